// SPDX-License-Identifier: GPL-2.0

//! `nldemo man`: writes the manual pages when a package of the program is built.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use clap::Command;
use clap_mangen::Man;

use crate::failure::Failure;

/// Write the manual pages of the program and of each subcommand to a directory
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The directory. It must exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn run(args: &Args, command: Command) -> Result<(), Failure> {
    let version = command.get_version().unwrap_or_default();
    let source = format!("{} {version}", command.get_name());
    // The subcommand `help` is for users without manual pages. So `help` needs no manual page.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    write_pages(&command, &source, &args.directory).map_err(|error| {
        let operation = format!("write manual pages to {}", args.directory.display());
        linux_names::Error::io(operation, &error).into()
    })
}

fn write_pages(command: &Command, source: &str, directory: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        write_pages(subcommand, source, directory)?;
    }
    Man::new(command.clone())
        .source(source)
        .manual("User Commands")
        .generate_to(directory)?;
    Ok(())
}
