// SPDX-License-Identifier: GPL-2.0

//! What the guest measured: the rows that it prints.

use std::path::Path;
use std::{fs, io};

use serde::Deserialize;

/// How one cost compares to another.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// Between repetitions, the largest less the smallest.
    pub(crate) spread: f64,
    pub(crate) more_is_better: bool,
    /// In words; empty if there is none.
    pub(crate) bound: String,
    pub(crate) met: bool,
    /// Whether it is at least as good as it must be while the bound is not met.
    pub(crate) allowed: bool,
    /// What stands in the way of a bound that is not met; empty if that is not known.
    pub(crate) why: String,
}

/// The costs of one work.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) section: String,
    pub(crate) work: String,
    pub(crate) unit: String,
    /// By what bore them, in the order of columns.
    pub(crate) costs: Vec<(String, f64)>,
    pub(crate) ratios: Vec<Ratio>,
}

impl Row {
    pub(crate) fn cost(&self, of: &str) -> Option<f64> {
        self.costs
            .iter()
            .find_map(|(name, cost)| (name == of).then_some(*cost))
    }

    pub(crate) fn ratio(&self, name: &str) -> Option<&Ratio> {
        self.ratios.iter().find(|ratio| ratio.name == name)
    }

    /// What it costs more than the path by itself; all of it if that is no cost of the row.
    pub(crate) fn added(&self, by: &str) -> Option<f64> {
        Some(self.cost(by)? - self.cost(PATH).unwrap_or(0.0))
    }
}

/// Who bears the cost of a path without a hook.
pub(crate) const PATH: &str = "nothing";

/// Reads rows, one a line.
pub(crate) fn read(file: &Path) -> io::Result<Vec<Row>> {
    fs::read_to_string(file)?
        .lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}
