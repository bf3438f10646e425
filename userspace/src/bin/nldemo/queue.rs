// SPDX-License-Identifier: GPL-2.0

//! `nldemo queue`.

mod record;
mod run;

use clap::Subcommand;
use nldemo::stop::Stop;

use crate::Failure;
use crate::output::Output;

/// Decide what becomes of queued packets
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
}

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    match &args.command {
        Command::Run(args) => run::run(args, output, stop),
    }
}
