// SPDX-License-Identifier: GPL-2.0

//! `nldemo completions`: prints the scripts by which shells complete the command line of `nldemo`.

use clap::Command;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::Output;

/// Print a script that completes this program's command line in a shell
///
/// Write it to the directory of the shell's other completions, for example:
///
///   nldemo completions bash >~/.local/share/bash-completion/completions/nldemo
///   nldemo completions zsh >"${fpath[1]}/_nldemo"
///   nldemo completions fish >~/.config/fish/completions/nldemo.fish
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The shell that runs the script
    shell: Shell,
}

pub(crate) fn run(args: &Args, mut command: Command, output: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    Ok(output.text(script)?)
}
