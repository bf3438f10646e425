// SPDX-License-Identifier: MIT OR Apache-2.0

//! The holder of a queue, and the packets that the kernel could not deliver, from `/proc`.

use std::fs;
use std::io;

use linux_names::Error;
use linux_names::Result;
use linux_names::process::Process;
use serde::Serialize;

/// The directory of the calling thread's network namespace. `/proc/net` is the directory of the
/// main thread's network namespace. The two differ if a thread has changed its namespace.
const PROC_NET: &str = "/proc/thread-self/net";

/// The socket that a queue is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueHolder {
    /// Address of the socket.
    pub portid: u32,
    /// The process that has the socket open, if `/proc` tells.
    pub process: Option<Process>,
}

/// Packets that the kernel dropped instead of delivering them, since the queue was bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KernelLosses {
    /// Packets that were dropped because too many packets waited for a verdict.
    pub queue_full: u32,
    /// Packets that were dropped because the consumer's receive buffer was full.
    pub socket_full: u32,
}

/// A queue that a socket holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueState {
    /// Number of the queue.
    pub queue: u16,
    /// Address of the socket that the queue is bound to.
    pub portid: u32,
    /// The process that has the socket open, if `/proc` tells.
    pub process: Option<Process>,
    /// The number of packets that wait for their verdict.
    pub waiting: u32,
    /// The part of a packet that is copied, `NFQNL_COPY_*`.
    pub copy_mode: u8,
    /// The largest number of bytes that are copied.
    pub copy_range: u32,
    /// The packets that could not be delivered.
    pub lost: KernelLosses,
    /// Id of the latest packet. The first packet has id 1.
    pub last_id: u32,
}

/// A line of `/proc/net/netfilter/nfnetlink_queue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct QueueLine {
    queue: u16,
    portid: u32,
    waiting: u32,
    copy_mode: u8,
    copy_range: u32,
    losses: KernelLosses,
    last_id: u32,
}

/// The queues of the calling thread's network namespace that a socket holds, in the order of their
/// numbers.
pub fn bound_queues() -> Result<Vec<QueueState>> {
    let path = format!("{PROC_NET}/netfilter/nfnetlink_queue");
    let table = match fs::read_to_string(&path) {
        Ok(table) => table,
        // The kernel has no queues, because `nfnetlink_queue` is not loaded.
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::io(format!("read {path}"), &error)),
    };
    let mut queues: Vec<_> = table.lines().filter_map(parse_queue_line).collect();
    queues.sort_by_key(|line| line.queue);
    let states = queues.into_iter().map(|line| QueueState {
        queue: line.queue,
        portid: line.portid,
        process: process_of(line.portid),
        waiting: line.waiting,
        copy_mode: line.copy_mode,
        copy_range: line.copy_range,
        lost: line.losses,
        last_id: line.last_id,
    });
    Ok(states.collect())
}

/// Finds the holder of a queue; `None` if there is none or `/proc` does not tell.
pub(crate) fn holder(queue: u16) -> Option<QueueHolder> {
    let portid = queue_line(queue)?.portid;
    let process = process_of(portid);
    Some(QueueHolder { portid, process })
}

/// Finds the process that has a netfilter netlink socket open. `portid` is the address of the
/// socket.
fn process_of(portid: u32) -> Option<Process> {
    let table = fs::read_to_string(format!("{PROC_NET}/netlink")).ok()?;
    let inode = socket_inode(&table, portid)?;
    Process::all().find(|process| process.sockets().any(|socket| socket == inode))
}

/// The packets that the kernel could not deliver to a queue's socket; `None` if `/proc` does not
/// tell.
pub(crate) fn losses(queue: u16) -> Option<KernelLosses> {
    Some(queue_line(queue)?.losses)
}

fn queue_line(queue: u16) -> Option<QueueLine> {
    let table = fs::read_to_string(format!("{PROC_NET}/netfilter/nfnetlink_queue")).ok()?;
    parse_queue_table(&table, queue)
}

fn parse_queue_table(table: &str, queue: u16) -> Option<QueueLine> {
    let mut lines = table.lines().filter_map(parse_queue_line);
    lines.find(|line| line.queue == queue)
}

/// Reads a line. Its columns: queue, portid, waiting packets, copy mode, copy range, packets lost
/// to a full queue, packets lost to a full socket, last packet id, 1.
fn parse_queue_line(line: &str) -> Option<QueueLine> {
    let mut fields = line.split_ascii_whitespace().map(str::parse::<u32>);
    let mut field = || fields.next()?.ok();
    Some(QueueLine {
        queue: field()?.try_into().ok()?,
        portid: field()?,
        waiting: field()?,
        copy_mode: field()?.try_into().ok()?,
        copy_range: field()?,
        losses: KernelLosses {
            queue_full: field()?,
            socket_full: field()?,
        },
        last_id: field()?,
    })
}

/// The inode of a netfilter netlink socket. The first columns of the table are sk, Eth (the
/// protocol) and Pid (the portid). The last column is the inode.
fn socket_inode(table: &str, portid: u32) -> Option<u64> {
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let is_ours = fields.get(1)?.parse() == Ok(libc::NETLINK_NETFILTER)
            && fields.get(2)?.parse() == Ok(portid);
        is_ours.then(|| fields.last()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUES: &str = "    0   4711     3 2 65531     5     9      120  1\n   \
                          40  -4301     0 2 65531     0     0        0  1\n  \
                          300   4712     0 1     0     0     0        0  1\n";

    #[test]
    fn queue_table_is_read() {
        let line = parse_queue_table(QUEUES, 0).unwrap();
        assert_eq!(line.portid, 4711);
        let losses = line.losses;
        assert_eq!((losses.queue_full, losses.socket_full), (5, 9));
        assert_eq!((line.waiting, line.last_id), (3, 120));
        assert_eq!((line.copy_mode, line.copy_range), (2, 65531));
        assert_eq!(parse_queue_table(QUEUES, 300).unwrap().portid, 4712);
        assert_eq!(parse_queue_table(QUEUES, 1), None);
    }

    #[test]
    fn odd_queue_tables_are_not_read() {
        assert_eq!(parse_queue_table(QUEUES, 40), None);
        for table in ["", "\n", "0", "0 x", "0 1 2 3 4 5", "0 1 2 3 4 5 6"] {
            assert_eq!(parse_queue_table(table, 0), None);
        }
    }

    #[test]
    fn socket_table_is_read() {
        let table = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    \
                     Drops    Inode\n\
                     0000000000000000 0   4711       00000000 0        0        0     2        \
                     0        1001    \n\
                     0000000000000000 12  4711       00000000 0        0        0     2        \
                     0        1002    \n\
                     0000000000000000 12  0          00000000 0        0        0     2        \
                     0        4       \n";
        assert_eq!(socket_inode(table, 4711), Some(1002));
        assert_eq!(socket_inode(table, 4712), None);
    }
}
