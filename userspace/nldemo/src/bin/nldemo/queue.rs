// SPDX-License-Identifier: GPL-2.0

//! `nldemo queue`.

mod frame;
mod json;
mod links;
mod memory;
mod numbers;
mod run;
mod seen;
mod session;
mod show;
mod sink;
mod text;
mod threads;
mod totals;

use clap::Subcommand;
use nldemo::stop::Stop;

use crate::failure::Failure;
use crate::output::Output;

/// Decide about queued packets
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Show(show::Args),
}

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    match &args.command {
        Command::Run(args) => run::run(args, output, stop),
        Command::Show(_) => show::run(output),
    }
}
