// SPDX-License-Identifier: GPL-2.0

//! `nldemo`: the program that uses the kernel module `rust_nldemo` from userspace.

mod arguments;
mod clock;
mod completions;
mod config;
mod diag;
mod digits;
mod echo;
mod failure;
mod filter;
mod man;
mod monitor;
mod output;
mod patient;
mod pretty;
mod queue;
mod stats;
mod table;
mod writer;

use std::process::ExitCode;

use clap::ArgMatches;
use clap::ColorChoice;
use clap::CommandFactory;
use clap::FromArgMatches;
use clap::Parser;
use clap::Subcommand;
use clap::error::ContextKind;
use clap::error::ContextValue;
use clap::error::ErrorKind;
use nldemo::stop::Stop;

use crate::failure::Failure;
use crate::output::Format;
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  nldemo echo                                  one message to the module and back
  nldemo echo --size 200000 --count 100        100 large messages, with statistics
  nldemo queue run                             show and accept the packets that the module queues
  nldemo queue run --policy 'size>56 drop'     drop large pings, accept the rest
  nldemo queue show                            queues and their consumers
  nldemo -N blue -j queue run --count 4        4 packets of network namespace blue, as JSON
  nldemo config set queues=4 ipv6-types=echo   change which packets go to which queues
  nldemo stats --watch                         counters and rates, every second
  nldemo monitor                               changes, as soon as they happen
  nldemo filter count eth0                     traffic by protocol, counted in the kernel
  nldemo diag list tcp state=listen            sockets that wait for connections
  nldemo diag kill tcp remote=192.0.2.0/24     destroy the connections to this network

A TIME is in seconds, or has units: 5, 0.5, 250ms, 1m30s. A number is decimal, or hexadecimal with
the prefix 0x. An IFACE is the name of an interface, or its number if no interface has this name.

SIGINT, SIGTERM and SIGHUP end every command within 10 seconds. A second signal, more than 0.3
seconds later, ends the command at once.

Exit status:
  0  done
  1  the answer was no: for example no reply, a wrong reply, or no socket that matches;
     or packets are missing from the output
  2  usage or system error";

/// Talk to the `rust_nldemo` kernel module: echo over netlink, verdicts on queued packets,
/// configuration, statistics; and list the sockets of a network namespace.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Print JSON: one object, or one object on each line
    #[arg(short, long, global = true)]
    json: bool,
    /// Print JSON on several lines, indented
    #[arg(short, long, global = true)]
    pretty: bool,
    /// Work in this network namespace, by its name in `ip netns`
    #[arg(short = 'N', long, global = true, value_name = "NAME")]
    netns: Option<String>,
    /// Colour the output; auto means only on terminals, and not if `NO_COLOR` is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

#[derive(Subcommand)]
enum Command {
    Echo(echo::Args),
    Queue(queue::Args),
    Config(config::Args),
    Stats(stats::Args),
    Monitor(monitor::Args),
    Filter(filter::Args),
    Diag(diag::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Man(man::Args),
}

fn main() -> ExitCode {
    let (cli, matches) = parse();
    match run(cli.global.color, &cli) {
        Ok(()) => ExitCode::SUCCESS,
        // If the reader has closed the output, the reader needs no more output. So a closed
        // pipe is no failure.
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => usage_error(cli.global.color, &matches, message),
        Err(failure) => {
            output::print_error(cli.global.color, &failure);
            ExitCode::from(failure.status())
        }
    }
}

fn run(color: ColorChoice, cli: &Cli) -> Result<(), Failure> {
    let stop = Stop::on_signals()?;
    if let Some(name) = &cli.global.netns {
        nldemo::netns::enter(name)?;
    }
    let format = match cli.global {
        Global { pretty: true, .. } => Format::PrettyJson,
        Global { json: true, .. } => Format::Json,
        _ => Format::Plain,
    };
    let mut output = Output::new(format, color);
    match &cli.command {
        Command::Echo(args) => echo::run(args, &mut output, &stop),
        Command::Queue(args) => queue::run(args, &mut output, &stop),
        Command::Config(args) => config::run(args, &mut output),
        Command::Stats(args) => stats::run(args, &mut output, &stop),
        Command::Monitor(args) => monitor::run(args, &mut output, &stop),
        Command::Filter(args) => filter::run(args, &mut output, &stop),
        Command::Diag(args) => diag::run(args, &mut output, &stop),
        Command::Completions(args) => completions::run(args, Cli::command(), &mut output),
        Command::Man(args) => man::run(args, Cli::command()),
    }
}

/// Parses the command line. clap prints help and usage errors during the parsing, and `--color`
/// must apply to this output, too. So this function looks for `--color` before the parsing.
fn parse() -> (Cli, ArgMatches) {
    let mut arguments = std::env::args_os().skip(1);
    let mut color = ColorChoice::Auto;
    while let Some(argument) = arguments.next() {
        let value = match argument.to_str() {
            Some("--") => break,
            Some("--color") => arguments.next(),
            Some(argument) => argument.strip_prefix("--color=").map(Into::into),
            None => None,
        };
        if let Some(value) = value {
            color = value.to_str().and_then(|v| v.parse().ok()).unwrap_or(color);
        }
    }
    let mut command = Cli::command().color(color);
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let matches = parsed.unwrap_or_else(|error| show(&with_usage(error, color), color));
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    (cli, matches)
}

/// Ends the program with clap's output: help, the version, or an error.
fn show(message: &clap::Error, color: ColorChoice) -> ! {
    if !message.use_stderr() {
        // This function does not call clap's own print function, which loses text if the output is
        // non-blocking.
        let _ = Output::new(Format::Plain, color).styled(&message.render());
        std::process::exit(message.exit_code());
    }
    message.exit()
}

/// Ends the program with an error about its arguments, and the usage.
fn usage_error(color: ColorChoice, matches: &ArgMatches, message: String) -> ! {
    let mut command = Cli::command().color(color);
    asked_for(&mut command, matches)
        .error(ErrorKind::ValueValidation, message)
        .exit()
}

/// Adds the usage to an error about the value of an argument. clap itself adds no usage to such an
/// error.
fn with_usage(mut error: clap::Error, color: ColorChoice) -> clap::Error {
    if matches!(
        error.kind(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation
    ) {
        let mut command = Cli::command().color(color);
        // The part of the command line that can be parsed shows which subcommand was meant.
        if let Ok(matches) = command.clone().ignore_errors(true).try_get_matches() {
            let usage = asked_for(&mut command, &matches).render_usage();
            error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
        }
    }
    error
}

/// The innermost subcommand that the command line names.
fn asked_for<'a>(command: &'a mut clap::Command, matches: &ArgMatches) -> &'a mut clap::Command {
    // Only `build` gives subcommands their full names, such as `nldemo queue run`.
    command.build();
    match matches.subcommand() {
        Some((name, below)) => asked_for(
            command
                .find_subcommand_mut(name)
                .expect("the same definition has parsed the name"),
            below,
        ),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
