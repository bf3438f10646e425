// SPDX-License-Identifier: GPL-2.0

//! `nldemo diag`.

mod kill;
mod list;
mod row;
mod search;

use clap::Subcommand;
use nldemo::stop::Stop;

use crate::failure::Failure;
use crate::output::Output;

/// List the sockets of a network namespace, or destroy some of them
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(list::Args),
    Kill(kill::Args),
}

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    match &args.command {
        Command::List(args) => list::run(args, output, stop),
        Command::Kill(args) => kill::run(args, output, stop),
    }
}
