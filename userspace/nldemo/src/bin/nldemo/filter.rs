// SPDX-License-Identifier: GPL-2.0

//! `nldemo filter`.

mod attach;
mod count;

use nldemo::stop::Stop;

use crate::failure::Failure;
use crate::output::Output;

/// Let the kernel run BPF programs for sockets: count traffic, or pass only some messages
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Count(count::Args),
    Attach(attach::Args),
}

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    match &args.command {
        Command::Count(args) => count::run(args, output, stop),
        Command::Attach(args) => attach::run(args, output, stop),
    }
}
