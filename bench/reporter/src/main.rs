// SPDX-License-Identifier: GPL-2.0

//! Makes tables, plots and a history from the rows that the benchmark's guests printed, and checks the
//! bounds of the ratios.

mod history;
mod plot;
mod report;
mod row;
mod section;
mod table;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::history::Entry;

/// Prints tables of the measurements. Exit status 1 if a ratio is outside its bounds or worse than in
/// the latest record.
#[derive(Parser)]
struct Options {
    /// Files of rows that the guests printed
    #[arg(required = true, value_name = "ROWS")]
    rows: Vec<PathBuf>,

    /// The record of earlier measurements
    #[arg(long, value_name = "FILE")]
    history: PathBuf,

    /// The date of the measurement
    #[arg(long)]
    date: String,

    /// The commit that was measured
    #[arg(long)]
    commit: String,

    /// The kernel of the guests
    #[arg(long)]
    kernel: String,

    /// A further line for the head of the report
    #[arg(long, value_name = "WHAT=VALUE", value_parser = pair)]
    about: Vec<(String, String)>,

    /// Write the report to this directory, and add to the history
    #[arg(long, value_name = "DIRECTORY")]
    record: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (what, value) = text.split_once('=').ok_or("no '=' in it")?;
    Ok((what.into(), value.into()))
}

fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let mut rows = Vec::new();
    for file in &options.rows {
        rows.extend(row::read(file).map_err(|error| format!("{}: {error}", file.display()))?);
    }
    println!("{}", report::tables(&rows));

    let worse =
        history::latest(&options.history)?.map_or(Vec::new(), |entry| entry.regressions(&rows));
    let wrong = report::ratios(&rows, |ratio| !ratio.allowed);
    for (what, items) in [
        (
            "not met yet",
            report::ratios(&rows, |ratio| !ratio.met && ratio.allowed),
        ),
        ("out of bounds", wrong.clone()),
        ("worse than recorded", worse.clone()),
    ] {
        for item in items {
            eprintln!("{what}: {item}");
        }
    }
    if let Some(directory) = &options.record {
        let entry = Entry::new(&options.date, &options.commit, &options.kernel, &rows);
        let mut about: Vec<_> = [
            ("date", &entry.date),
            ("commit", &entry.commit),
            ("kernel", &entry.kernel),
        ]
        .map(|(what, value)| (what.to_owned(), value.clone()))
        .into();
        about.extend(options.about.iter().cloned());
        report::write(directory, &rows, &about)?;
        history::append(&options.history, &entry)?;
    }
    Ok(wrong.is_empty() && worse.is_empty())
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
