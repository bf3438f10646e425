// SPDX-License-Identifier: GPL-2.0

//! The record of earlier measurements, and the ratios that are worse than in the latest record.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::row::Row;

/// One record, a line of the file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Entry {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) kernel: String,
    /// The module's cost of each work, in instructions. A key is the name of a work.
    pub(crate) module: BTreeMap<String, f64>,
    /// The ratios of costs in instructions. A key has the names of the work and of the ratio.
    pub(crate) ratios: BTreeMap<String, f64>,
}

/// The largest difference of a ratio between two runs of the same code.
const NOISE: f64 = 0.005;

/// The rows whose unit is instructions. Their costs are the same on every machine.
fn counted(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| row.unit == "instructions")
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

impl Entry {
    /// The record of `rows`.
    pub(crate) fn new(date: &str, commit: &str, kernel: &str, rows: &[Row]) -> Self {
        Self {
            date: date.into(),
            commit: commit.into(),
            kernel: kernel.into(),
            module: counted(rows)
                .filter_map(|row| Some((row.work.clone(), rounded(row.cost("module")?))))
                .collect(),
            ratios: counted(rows)
                .flat_map(|row| {
                    row.ratios.iter().map(|ratio| {
                        (
                            format!("{}: {}", row.work, ratio.name),
                            rounded(ratio.value),
                        )
                    })
                })
                .collect(),
        }
    }

    /// A sentence for each ratio that is worse than in this record. Costs are not compared, because they
    /// also depend on the kernel and on the compilers.
    pub(crate) fn regressions(&self, rows: &[Row]) -> Vec<String> {
        let mut found = Vec::new();
        for row in counted(rows) {
            for ratio in &row.ratios {
                let name = format!("{}: {}", row.work, ratio.name);
                let Some(before) = self.ratios.get(&name) else {
                    continue;
                };
                let sign = if ratio.more_is_better { -1.0 } else { 1.0 };
                if sign * (ratio.value - before) > NOISE + ratio.spread {
                    found.push(format!(
                        "{name} is {:.3}, was {before:.3} at {}",
                        ratio.value, self.commit
                    ));
                }
            }
        }
        found
    }
}

/// The latest record; `None` if there is none yet.
pub(crate) fn latest(file: &Path) -> io::Result<Option<Entry>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.lines().last().map(serde_json::from_str).transpose()?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn append(file: &Path, entry: &Entry) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    writeln!(file, "{}", serde_json::to_string(entry)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Ratio;

    fn rows(unit: &str, value: f64, more_is_better: bool) -> Vec<Row> {
        vec![Row {
            section: "echo".into(),
            work: "echo".into(),
            unit: unit.into(),
            costs: vec![("module".into(), 5.0)],
            ratios: vec![Ratio {
                name: "module / twin".into(),
                value,
                spread: 0.01,
                more_is_better,
                bound: String::new(),
                met: true,
                allowed: true,
                why: String::new(),
            }],
        }]
    }

    #[test]
    fn a_ratio_that_is_worse_by_more_than_noise_is_a_regression() {
        let entry = Entry::new("", "abc", "", &rows("instructions", 1.0, false));
        let count = |value, more_is_better| {
            entry
                .regressions(&rows("instructions", value, more_is_better))
                .len()
        };
        assert_eq!(
            (count(0.9, false), count(1.01, false), count(1.02, false)),
            (0, 0, 1)
        );
        assert_eq!(
            (count(0.9, true), count(0.99, true), count(1.02, true)),
            (1, 0, 0)
        );
    }

    #[test]
    fn times_are_neither_recorded_nor_compared() {
        let times = Entry::new("", "", "", &rows("µs", 1.0, false));
        assert!(times.ratios.is_empty() && times.module.is_empty());
        let entry = Entry::new("", "", "", &rows("instructions", 1.0, false));
        assert!(entry.regressions(&rows("µs", 9.0, false)).is_empty());
    }

    #[test]
    fn what_was_recorded_last_is_the_latest() -> io::Result<()> {
        let directory = std::env::temp_dir().join(format!("nldemo-history-{}", std::process::id()));
        fs::create_dir(&directory)?;
        let file = directory.join("history.jsonl");
        assert_eq!(latest(&file)?, None);
        for commit in ["one", "two"] {
            append(
                &file,
                &Entry::new("", commit, "", &rows("instructions", 1.25, false)),
            )?;
        }
        let found = latest(&file)?;
        fs::remove_dir_all(directory)?;
        assert_eq!(
            found,
            Some(Entry::new(
                "",
                "two",
                "",
                &rows("instructions", 1.25, false)
            ))
        );
        Ok(())
    }
}
