// SPDX-License-Identifier: GPL-2.0

//! `nldemo diag list`.

use nldemo::stop::Stop;
use sockdiag::Owners;
use sockdiag::Term;

use super::row::Context;
use super::search;
use super::search::FILTERS;
use crate::arguments::Module;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  nldemo diag list tcp state=listen --processes
  nldemo diag list tcp local=10.0.0.0/8:22 state=established
  nldemo diag list process=sshd
  nldemo diag list netlink protocol=23         the module's own socket, and its clients
  nldemo -j diag list udp | jq 'select(.receive_queue > 0)'";

pub(super) const JSON: &str = "\
JSON keys (-j), an object for each socket:
  kind, state, inode       as in the table; inode is 0 if no process has the socket open
  cookie                   number of the socket, which no other socket ever gets; null if the kernel
                           does not report it: for icmp sockets, and for some netlink sockets if
                           there are many
  uid                      user ID of the owner; null if the kernel does not report it
  receive_queue, send_queue
                           bytes; for a listening socket, the connections that wait to be accepted,
                           and their limit; null if the kernel does not report them
  interface                name of the interface that the socket is bound to, or null
  module                   rust_nldemo for the module's own socket, else null
  processes                processes that have the socket open: null without --processes, else a
                           list of pid, name
  tcp, udp, raw, icmp:     family (ipv4, ipv6), protocol, local and remote (each address, port),
                           ifindex, timer (null or kind, milliseconds, retransmits), mark (null
                           without CAP_NET_ADMIN), v6only (null, true, false)
  unix:                    type (stream, dgram, seqpacket), name (null or text, bytes that are not
                           printable as \\xNN), abstract (whether the name is not a file), peer
                           (null or the other end's inode)
  netlink:                 type, protocol, portid, kernel (whether it is a kernel socket), groups
                           (a list of numbers), remote_portid
  packet:                  type, protocol, ifindex

Exit status: 0 done, also if no socket matched; 2 error";

/// List the sockets of the network namespace
#[derive(clap::Args)]
#[command(after_long_help = format!("{FILTERS}\n\n{EXAMPLES}\n\n{JSON}"))]
pub(crate) struct Args {
    /// The sockets to list: kinds and KEY=VALUE, see below; without a FILTER, all sockets
    #[arg(value_name = "FILTER")]
    terms: Vec<Term>,
    /// Show the processes that have the sockets open
    #[arg(short = 'P', long)]
    processes: bool,
    #[command(flatten)]
    module: Module,
}

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    let filter = search::filter(&args.terms)?;
    let processes = args.processes || filter.asks_for_processes();
    let owners = processes.then(Owners::look_up);
    let mut context = Context::new(owners, args.module.protocol);
    let mut table = Table::default();
    if !output.is_json() {
        table.row(context.headings());
    }
    // The kernel lists the sockets in parts. Each part is printed before the next part is read, so
    // that only one part is in memory.
    search::search(&filter, output, stop, |output, sockets| {
        let mut text = Vec::new();
        for socket in &sockets {
            if output.is_json() {
                output.append_json(&mut text, &context.row(socket))?;
            } else {
                table.row(context.cells(socket));
            }
        }
        text.extend(table.drain(output).into_bytes());
        Ok(output.text(text)?)
    })
}
