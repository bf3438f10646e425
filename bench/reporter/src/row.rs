// SPDX-License-Identifier: GPL-2.0

//! The rows of results that the benchmark prints in the guest.

use std::path::Path;
use std::{fs, io};

use serde::Deserialize;

/// One cost divided by another.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// The largest ratio of all repetitions minus the smallest.
    pub(crate) spread: f64,
    pub(crate) more_is_better: bool,
    /// The bound as text, for example "≤ 1.00". It is empty if the ratio has no bound.
    pub(crate) bound: String,
    pub(crate) met: bool,
    /// Whether the ratio meets its bound, or the weaker bound `meanwhile` of the work.
    pub(crate) allowed: bool,
    /// The reason why the bound is not met; empty if the reason is not known.
    pub(crate) why: String,
}

/// The costs of one work.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) section: String,
    pub(crate) work: String,
    pub(crate) unit: String,
    /// The cost of each subject, in the order of the columns.
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

    /// The cost of a subject minus the cost of the packet's path without a hook ([`PATH`]). If the
    /// row has no such cost, nothing is subtracted.
    pub(crate) fn added(&self, by: &str) -> Option<f64> {
        Some(self.cost(by)? - self.cost(PATH).unwrap_or(0.0))
    }
}

/// The name of the subject without a hook. Its cost is that of a packet's path through the kernel
/// alone.
pub(crate) const PATH: &str = "nothing";

/// Reads rows. Each line of the file has one row.
pub(crate) fn read(file: &Path) -> io::Result<Vec<Row>> {
    fs::read_to_string(file)?
        .lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}
