// SPDX-License-Identifier: GPL-2.0

//! `nldemo diag kill`.

use std::fs::File;
use std::io;
use std::io::Read;
use std::os::fd::AsFd;

use anstyle::AnsiColor;
use knetlink::Wake;
use knetlink::wait;
use nldemo::stop::Stop;
use serde::Serialize;
use sockdiag::Destroyer;
use sockdiag::Fate;
use sockdiag::Kind;
use sockdiag::Target;
use sockdiag::Term;

use super::row;
use super::search;
use super::search::FILTERS;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::Cell;
use crate::table::Table;

const DETAILS: &str = "\
Only tcp, udp and raw sockets can be destroyed. A filter without a kind matches only these. A read
from a destroyed socket fails with ECONNABORTED. The other end of a TCP connection gets a reset. The
command lists all matching sockets before it destroys the first of them. Each request names a socket
by its cookie. So the kernel does not destroy a new socket that got the same addresses meanwhile.

Examples:
  nldemo diag kill --dry-run tcp process=sshd
  nldemo diag kill local=127.0.0.1:8080 remote=127.0.0.1:40000
  nldemo diag kill tcp remote=192.0.2.0/24 state=established,close-wait
  nldemo -j diag list tcp | jq -c 'select(.receive_queue > 1000000)' | nldemo diag kill --stdin

JSON keys (-j), an object for each socket:
  outcome                  one of:
    destroyed              the kernel destroyed the socket
    subflow-destroyed      the kernel destroyed the socket, which was a subflow of an MPTCP
                           connection. The connection goes on: the kernel cannot destroy an MPTCP
                           connection
    would-be-destroyed     with --dry-run: the socket was found, and not destroyed
    gone                   the socket did not exist any more
    replaced               the kernel found another socket at these addresses, and destroyed nothing
    out-of-reach           the kernel cannot look up the socket, for example a TCP socket that is
                           bound and neither listens nor is connected
  kind, state, cookie, family, protocol, local, remote, ifindex
                           as in nldemo diag list

Exit status: 0 all matching sockets were destroyed; 1 some sockets were not destroyed or were
subflows, or no socket matched; 2 error, or the kernel refused";

/// Destroy sockets of any program
#[derive(clap::Args)]
#[command(after_long_help = format!("{FILTERS}\n\n{DETAILS}"))]
pub(crate) struct Args {
    /// The sockets to destroy: kinds and KEY=VALUE, see below; at least one KEY=VALUE must exclude
    /// some sockets
    #[arg(value_name = "FILTER", required_unless_present_any = ["all", "stdin"])]
    terms: Vec<Term>,
    /// Destroy all sockets, or all sockets of the given kinds
    #[arg(long)]
    all: bool,
    /// Destroy the sockets that standard input lists, in the JSON of nldemo -j diag list
    #[arg(long, conflicts_with_all = ["terms", "all"])]
    stdin: bool,
    /// Print the sockets that would be destroyed, and destroy none; this needs no privilege
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// The JSON of a socket; `nldemo diag kill --help` describes the keys.
#[derive(Serialize)]
struct Record<'a> {
    outcome: Outcome,
    #[serde(flatten)]
    target: &'a Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Outcome {
    Done(Fate),
    #[serde(serialize_with = "would_be_destroyed")]
    DryRun,
}

impl Outcome {
    fn of_dry_run(target: &Target) -> Self {
        if target.is_out_of_reach() {
            Self::Done(Fate::OutOfReach)
        } else {
            Self::DryRun
        }
    }

    /// Whether the kernel destroyed the socket, or would destroy it without `--dry-run`.
    fn is_destroyed(self) -> bool {
        matches!(self, Self::DryRun | Self::Done(Fate::Destroyed))
    }
}

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    let targets = if args.stdin {
        read_targets(stop)?
    } else {
        find_targets(args, output, stop)?
    };
    let mut destroyer = Destroyer::open()?;
    // Some kinds of sockets can never be destroyed. If a target has such a kind, the command must
    // fail before it destroys the first socket.
    for target in &targets {
        destroyer.check(target.kind())?;
    }
    let mut report = Report {
        output,
        table: Table::default(),
        staying: 0,
        subflows: 0,
    };
    if args.dry_run {
        for target in &targets {
            report.add(target, Outcome::of_dry_run(target))?;
        }
    } else {
        destroy(targets, &mut destroyer, &mut report, stop)?;
    }
    let staying = match report.staying {
        0 if report.subflows == 0 => return Ok(()),
        0 => {
            return Err(Failure::Negative(format!(
                "subflows of MPTCP connections were destroyed ({}), and the connections go on",
                report.subflows
            )));
        }
        1 => "1 socket".to_owned(),
        count => format!("{count} sockets"),
    };
    let tense = match (report.staying, args.dry_run) {
        (_, true) => "would not be",
        (1, false) => "was not",
        (_, false) => "were not",
    };
    Err(Failure::Negative(format!("{staying} {tense} destroyed")))
}

fn destroy(
    mut left: Vec<Target>,
    destroyer: &mut Destroyer,
    report: &mut Report,
    stop: &Stop,
) -> Result<(), Failure> {
    // If several sockets have the same addresses, the kernel finds only one of them, and
    // `destroyer` reports the others as replaced. After the found socket was destroyed, the kernel
    // finds the next one. So the loop tries the replaced sockets again. It ends when no socket is
    // left, or when a pass reports every remaining socket as replaced.
    loop {
        let before = left.len();
        for target in std::mem::take(&mut left) {
            check(stop)?;
            match destroyer.destroy(&target)? {
                Fate::Replaced => left.push(target),
                fate => report.add(&target, Outcome::Done(fate))?,
            }
        }
        if left.is_empty() || left.len() == before {
            break;
        }
    }
    for target in &left {
        report.add(target, Outcome::Done(Fate::Replaced))?;
    }
    Ok(())
}

/// Reports the outcome for each socket. Counts the sockets that were not destroyed. Also counts the
/// destroyed subflows: the command fails after them, too, because their MPTCP connections go on.
struct Report<'o> {
    output: &'o mut Output,
    table: Table,
    staying: usize,
    subflows: usize,
}

impl Report<'_> {
    fn add(&mut self, target: &Target, outcome: Outcome) -> io::Result<()> {
        let is_subflow = outcome == Outcome::Done(Fate::SubflowDestroyed);
        self.subflows += usize::from(is_subflow);
        self.staying += usize::from(!outcome.is_destroyed() && !is_subflow);
        match self.print(target, outcome) {
            // If the reader has closed the output, the remaining sockets must still be destroyed.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    fn print(&mut self, target: &Target, outcome: Outcome) -> io::Result<()> {
        if self.output.is_json() {
            return self.output.json(&Record { outcome, target });
        }
        let (word, color) = match outcome {
            Outcome::DryRun => ("would be destroyed", AnsiColor::Yellow),
            Outcome::Done(Fate::Destroyed) => ("destroyed", AnsiColor::Green),
            Outcome::Done(Fate::SubflowDestroyed) => ("subflow destroyed", AnsiColor::Yellow),
            Outcome::Done(Fate::Gone) => ("gone", AnsiColor::Red),
            Outcome::Done(Fate::Replaced) => ("replaced", AnsiColor::Red),
            Outcome::Done(Fate::OutOfReach) => ("out of reach", AnsiColor::Red),
        };
        let (kind, word) = (target.kind(), Cell::left(word).painted(color));
        let ends = target.ends();
        let ends = ends.map(|(local, remote)| [local, remote].map(|end| row::end(kind, end, None)));
        let ends = ends.into_iter().flatten().map(Cell::left);
        let cells = [word, Cell::left(kind.name())].into_iter().chain(ends);
        self.table.row(cells);
        self.output.text(self.table.drain(self.output))
    }
}

fn check(stop: &Stop) -> Result<(), Failure> {
    if stop.requested() {
        return Err(Failure::Negative(
            "stopped by a signal before the end".to_owned(),
        ));
    }
    Ok(())
}

fn find_targets(args: &Args, output: &mut Output, stop: &Stop) -> Result<Vec<Target>, Failure> {
    let filter = search::filter(&args.terms)?.or_kinds(&Kind::DESTRUCTIBLE);
    if !filter.chooses() && !args.all {
        return Err(Failure::usage(
            "the filter matches all sockets of its kinds; to destroy all of them, add --all",
        ));
    }
    let mut targets = Vec::new();
    search::search(&filter, output, stop, |_, sockets| {
        targets.extend(sockets.iter().map(Target::from));
        Ok(())
    })?;
    check(stop)?;
    if targets.is_empty() {
        let kinds: Vec<_> = filter.kinds().map(Kind::name).collect();
        let kinds = kinds.join(" or ");
        return Err(Failure::Negative(format!("no {kinds} socket matches")));
    }
    Ok(targets)
}

fn read_targets(stop: &Stop) -> Result<Vec<Target>, Failure> {
    let input = io::BufReader::new(Input::open(stop)?);
    let targets = serde_json::Deserializer::from_reader(input).into_iter();
    let targets: serde_json::Result<Vec<_>> = targets.collect();
    check(stop)?;
    let targets = targets.map_err(|error| {
        Failure::usage(format!(
            "standard input must be the output of nldemo -j diag list: {error}"
        ))
    })?;
    if targets.is_empty() {
        return Err(Failure::Negative("standard input has no socket".to_owned()));
    }
    Ok(targets)
}

/// Standard input. If the user stops the program, a read returns 0 bytes, as at the end of a file.
struct Input<'s> {
    file: File,
    stop: &'s Stop,
}

impl<'s> Input<'s> {
    fn open(stop: &'s Stop) -> Result<Self, linux_names::Error> {
        let input = io::stdin().as_fd().try_clone_to_owned();
        let input = input.map_err(|error| linux_names::Error::io("open standard input", &error))?;
        let file = input.into();
        Ok(Self { file, stop })
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match wait(Some(self.file.as_fd()), None, Some(self.stop.as_fd())) {
            Ok(Wake::Readable) => self.file.read(buffer),
            Ok(Wake::Stopped | Wake::TimedOut) => Ok(0),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

fn would_be_destroyed<S: serde::Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("would-be-destroyed")
}
