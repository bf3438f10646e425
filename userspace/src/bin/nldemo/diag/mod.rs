// SPDX-License-Identifier: GPL-2.0

//! `nldemo diag`.

mod kill;
mod list;
mod row;
mod search;

use clap::Subcommand;
use nldemo::stop::Stop;

use crate::Failure;
use crate::output::Output;

/// List the sockets of a network namespace, or destroy some
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

/// What a filter is, for `--help`.
const FILTERS: &str = "\
A filter is any number of words, and a socket has to satisfy all of them:
  tcp udp raw icmp unix netlink packet   the kind: one of those that are named; icmp sockets are
                           those that ping uses without privilege
  family=FAMILY            ipv4 or ipv6, the latter also for IPv4 through IPv6 sockets
  state=STATE              established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait,
                           close (neither connected nor listening), close-wait, last-ack, listen,
                           closing
  local=PLACE remote=PLACE address=PLACE
                           where its own end is, the other, either: ADDRESS, ADDRESS/LENGTH or
                           ADDRESS%INTERFACE, with :PORT or :PORT-PORT behind them, IPv6 then in
                           brackets ([::1%lo]:80); * for any address or port. IPv4 is found in IPv6
                           sockets, too
  local-port=PORT remote-port=PORT port=PORT
                           the same for ports alone, and ranges of them; 0 for none
  inode=N cookie=N         one socket; inodes are those of /proc/PID/fd
  process=PID process=NAME who has it open, as far as this user may see
  protocol=N               of raw sockets the IP protocol, of netlink sockets the netlink protocol,
                           of packet sockets the EtherType
Alternatives have commas between them: state=listen,close";

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    match &args.command {
        Command::List(args) => list::run(args, output, stop),
        Command::Kill(args) => kill::run(args, output, stop),
    }
}
