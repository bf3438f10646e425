// SPDX-License-Identifier: GPL-2.0

//! Goes through the sockets that match a filter.

use nix::errno::Errno;
use nldemo::stop::Stop;
use sockdiag::Dump;
use sockdiag::Filter;
use sockdiag::Query;
use sockdiag::Socket;
use sockdiag::Term;

use crate::failure::Failure;
use crate::output::Output;

/// The description of filters, for `--help`.
pub(super) const FILTERS: &str = "\
A filter is a list of words. A socket must match all of them:
  tcp udp raw icmp unix netlink packet   the kind of the socket. Several kinds are alternatives.
                           icmp sockets are the sockets of unprivileged ping
  family=FAMILY            ipv4 or ipv6; ipv6 also matches IPv4 through IPv6 sockets
  state=STATE              established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait,
                           close (neither connected nor listening), close-wait, last-ack, listen,
                           closing
  local=PLACE remote=PLACE address=PLACE
                           the address of the socket's own end, of the other end, or of any end:
                           ADDRESS, ADDRESS/LENGTH or ADDRESS%INTERFACE, optionally with :PORT or
                           :PORT-PORT. An IPv6 address with a port needs brackets: [::1%lo]:80.
                           * is any address or port. IPv4 addresses also match IPv4 through IPv6
                           sockets
  local-port=PORT remote-port=PORT port=PORT
                           only the port, or a range PORT-PORT; 0 means that the end has no port
  inode=N cookie=N         one socket; /proc/PID/fd shows the inodes
  process=PID process=NAME a process that has the socket open, if this user may see that
  protocol=N               the IP protocol of raw sockets, the protocol of netlink sockets, the
                           EtherType of packet sockets
Separate alternatives by commas: state=listen,close";

/// Makes a filter from terms. Fails if the terms contradict each other, or name an interface that
/// does not exist.
pub(super) fn filter(terms: &[Term]) -> Result<Filter, Failure> {
    let mut filter = Filter::new(terms.iter().cloned()).map_err(Failure::usage)?;
    filter.look_up().map_err(Failure::usage)?;
    Ok(filter)
}

/// Finds the sockets that match the filter. Calls `each` for each part of the kernel's list.
///
/// If the kernel cannot list a kind of sockets, this function fails if the filter names the kind.
/// If the filter does not name the kind, this function prints a warning and goes on.
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
