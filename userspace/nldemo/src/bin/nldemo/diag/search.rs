// SPDX-License-Identifier: GPL-2.0

//! Going through the sockets that a filter means.

use nix::errno::Errno;
use nldemo::stop::Stop;
use sockdiag::Dump;
use sockdiag::Filter;
use sockdiag::Query;
use sockdiag::Socket;
use sockdiag::Term;

use crate::failure::Failure;
use crate::output::Output;

/// What a filter is, for `--help`.
pub(super) const FILTERS: &str = "\
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

/// Puts terms together; fails if they do not go together or name what is not there.
pub(super) fn filter(terms: &[Term]) -> Result<Filter, Failure> {
    let mut filter = Filter::new(terms.iter().cloned()).map_err(Failure::usage)?;
    filter.look_up().map_err(Failure::usage)?;
    Ok(filter)
}

/// Hands sockets to `each`, part by part.
///
/// A kind that the kernel does not tell about is an error if it was named, else a warning.
pub(super) fn search(
    filter: &Filter,
    output: &mut Output,
    stop: &Stop,
    mut each: impl FnMut(&mut Output, Vec<Socket>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for query in Query::all(filter) {
        for part in Dump::begin(query, filter)? {
            if stop.requested() {
                return Ok(());
            }
            match part {
                Ok(sockets) => each(output, sockets)?,
                Err(error) if error.errno() == Some(Errno::ENOENT) && !filter.names_kinds() => {
                    output.warn(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
