// SPDX-License-Identifier: GPL-2.0

//! A bound queue: packets come out of it, verdicts go into it.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use netlink_packet_core::NLM_F_ACK;
use nix::errno::Errno;

use super::codec::Config;
use super::codec::Event;
use super::codec::Events;
use super::codec::MSG_CONFIG;
use super::codec::Verdict;
use super::owner;
use super::owner::KernelLosses;
use crate::error::Error;
use crate::error::Result;
use crate::message::Status;
use crate::netlink::KernelSocket;
use crate::stop::Stop;
use crate::wait::Wake;

/// Receive buffer of the socket: the kernel's default of 1024 waiting packets, each charged with
/// the memory that a full-size Ethernet frame takes.
const SOCKET_CAPACITY: usize = 4 << 20;

const NETLINK_NETFILTER: u8 = 12;
const _: () = assert!(libc::NETLINK_NETFILTER == NETLINK_NETFILTER as libc::c_int);

/// A netfilter queue bound to this process. Dropping it unbinds the queue, as process exit does.
pub struct Queue {
    socket: KernelSocket,
    number: u16,
    /// Datagrams that came before the acknowledgement of the bind.
    early: VecDeque<Vec<u8>>,
    send: Vec<u8>,
}

/// What turned up while a queue was closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Packets that arrived too late for a verdict, which the kernel dropped.
    pub flushed: u64,
    /// Refusals of earlier verdicts because the packet was gone.
    pub gone: u64,
    /// Refusals of earlier verdicts for other reasons.
    pub refused: u64,
    /// Messages that could not be decoded.
    pub malformed: u64,
}

impl Queue {
    /// Takes a queue of the current network namespace; needs `CAP_NET_ADMIN` in it.
    pub fn bind(number: u16) -> Result<Self> {
        let socket = KernelSocket::open(NETLINK_NETFILTER).map_err(|error| {
            if error.errno() == Some(Errno::EPROTONOSUPPORT) {
                return error.with_fix(
                    "this kernel has no nfnetlink (CONFIG_NETFILTER_NETLINK): modprobe nfnetlink",
                );
            }
            error
        })?;
        socket.grow_receive_buffer(SOCKET_CAPACITY)?;
        // Without this, one overrun makes the kernel refuse every further packet until the
        // socket has been read empty; with it, only those that find no room are lost. The kernel
        // counts them either way, see `losses`.
        socket.keep_receiving_when_full()?;
        let mut queue = Self {
            socket,
            number,
            early: VecDeque::new(),
            send: Vec::new(),
        };
        queue.request_bind()?;
        Ok(queue)
    }

    /// Number of the queue.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Address of the socket, by which `/proc/net/netfilter/nfnetlink_queue` names the holder.
    #[must_use]
    pub fn portid(&self) -> u32 {
        self.socket.portid()
    }

    /// How many messages from other senders than the kernel were discarded.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.socket.foreign()
    }

    /// What the kernel could not deliver so far; `None` if `/proc` does not tell.
    #[must_use]
    pub fn losses(&self) -> Option<KernelLosses> {
        owner::losses(self.number)
    }

    /// Blocks until there is something to receive, the deadline passes or `stop` is requested.
    pub fn wait(&self, deadline: Option<Instant>, stop: Option<&Stop>) -> Result<Wake> {
        if !self.early.is_empty() && !stop.is_some_and(Stop::requested) {
            return Ok(Wake::Readable);
        }
        self.socket.wait(deadline, stop)
    }

    /// Receives one datagram into `buffer`, of [`RECEIVE_LEN`](crate::netlink::RECEIVE_LEN) bytes; `None` if there is none yet.
    ///
    /// [`Error::Overrun`] means that packets were lost; the queue works on.
    pub fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<Events<'b>>> {
        if let Some(early) = self.early.pop_front() {
            let (length, capacity) = (early.len(), buffer.len());
            let Some(start) = buffer.get_mut(..length) else {
                return Err(Error::Truncated { length, capacity });
            };
            start.copy_from_slice(&early);
            return Ok(Some(Events::new(start)));
        }
        Ok(self.socket.receive(buffer)?.map(Events::new))
    }

    /// Gives the verdict on a packet.
    ///
    /// Success means that the kernel has the verdict; if it refuses it, the packet being gone for
    /// instance, that comes as [`Event::VerdictRefused`].
    pub fn decide(&mut self, id: u32, verdict: Verdict) -> Result<()> {
        self.send.clear();
        verdict.append_to(self.number, id, &mut self.send);
        self.socket.send(&self.send)
    }

    /// Unbinds the queue, and tells what was left in it and in the socket.
    pub fn close(mut self) -> Result<Closed> {
        let mut closed = Closed::default();
        let mut left = std::mem::take(&mut self.early);
        let mut answer = self.configure(Config::Unbind, &mut left)?;
        if answer.is_none() {
            // The socket was full. It is empty now, and asking again does no harm.
            answer = self.configure(Config::Unbind, &mut left)?;
        }
        for datagram in left {
            for event in Events::new(&datagram) {
                match event {
                    Ok(Event::Packet(_)) => closed.flushed += 1,
                    Ok(Event::VerdictRefused { status, .. }) => {
                        if status.errno == Some(Errno::ENOENT) {
                            closed.gone += 1;
                        } else {
                            closed.refused += 1;
                        }
                    }
                    Ok(Event::Configured(_) | Event::Other) => {}
                    Err(_) => closed.malformed += 1,
                }
            }
        }
        match answer {
            // ENODEV: the first request was heard, only its answer was lost.
            Some(Status {
                errno: None | Some(Errno::ENODEV),
                ..
            }) => Ok(closed),
            Some(status) => Err(self.refused("unbind", status)),
            None => Err(self.unanswered("unbind")),
        }
    }

    fn request_bind(&mut self) -> Result<()> {
        let mut early = VecDeque::new();
        let status = self
            .configure(Config::Bind, &mut early)?
            .ok_or_else(|| self.unanswered("bind"))?;
        self.early = early;
        let Some(errno) = status.errno else {
            return Ok(());
        };
        // EPERM is also what the kernel says to anybody but the holder of a queue.
        if matches!(errno, Errno::EPERM | Errno::EBUSY) {
            if let Some(holder) = owner::holder(self.number) {
                let queue = self.number;
                return Err(Error::QueueBusy { queue, holder });
            }
        }
        let refused = self.refused("bind", status);
        Err(match errno {
            Errno::EPERM => {
                refused.with_fix("it needs CAP_NET_ADMIN in this network namespace: run as root")
            }
            Errno::EINVAL => refused.with_fix(
                "this kernel has no nfnetlink_queue (CONFIG_NETFILTER_NETLINK_QUEUE): \
                 modprobe nfnetlink_queue",
            ),
            _ => refused,
        })
    }

    fn refused(&self, operation: &str, status: Status) -> Error {
        Error::Refused {
            operation: format!("{operation} queue {}", self.number),
            status,
            fix: None,
        }
    }

    /// Sends a request and reads its answer, and puts what came before it into `before`.
    fn configure(
        &mut self,
        config: Config,
        before: &mut VecDeque<Vec<u8>>,
    ) -> Result<Option<Status>> {
        let payload = config.payload(self.number);
        self.socket.ask(MSG_CONFIG, NLM_F_ACK, &payload, |message| {
            let mut datagram = Vec::new();
            message.append_to(&mut datagram);
            before.push_back(datagram);
            Ok(())
        })
    }

    fn unanswered(&self, operation: &str) -> Error {
        Error::Unanswered {
            operation: format!("{operation} queue {}", self.number),
        }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
