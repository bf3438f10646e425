// SPDX-License-Identifier: MIT OR Apache-2.0

//! A bound queue: packets come out of it, verdicts go into it.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use knetlink::KernelSocket;
use knetlink::Status;
use knetlink::Wake;
use knetlink::wait;
use linux_names::constant::octet;
use netlink_packet_core::NLM_F_ACK;
use nix::errno::Errno;

use crate::error::Error;
use crate::error::Result;
use crate::event::Event;
use crate::event::Events;
use crate::event::packet_ids;
use crate::namespace::namespace_allows;
use crate::options::CopyMode;
use crate::options::Options;
use crate::options::unbind_payload;
use crate::outbox::DATAGRAM_LEN;
use crate::outbox::Outbox;
use crate::owner;
use crate::owner::KernelLosses;
use crate::rewrite::Rewritten;
use crate::unwritable::Unwritable;
use crate::verdict::Decision;
use crate::wire::MSG_CONFIG;

/// What a waiting packet is charged with: the memory that a full-size Ethernet frame takes.
const PACKET_CHARGE: usize = 4096;
/// How many packets wait at most, unless told otherwise.
const MAX_LENGTH_DEFAULT: u32 = 1024;
/// Largest receive buffer that is asked for.
const SOCKET_CAPACITY_MAX: usize = 256 << 20;

const NETLINK_NETFILTER: u8 = octet(libc::NETLINK_NETFILTER);

/// A netfilter queue bound to this process.
///
/// Dropping it sends the verdicts that wait to be sent and unbinds the queue, as process exit does;
/// the kernel then drops what is undecided.
pub struct Queue {
    socket: KernelSocket,
    number: u16,
    options: Options,
    /// Datagrams that came before the acknowledgement of the bind.
    early: VecDeque<Vec<u8>>,
    outbox: Outbox,
    /// Whether the network namespace is one where packets can get other content.
    rewritable: bool,
    /// When the oldest verdict is to be sent that waits in the outbox.
    due: Option<Instant>,
    /// Whether no packet was decided since the socket was found empty.
    paused: bool,
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

impl Options {
    /// Takes a queue of the current network namespace; needs `CAP_NET_ADMIN` in it.
    pub fn bind(self, number: u16) -> Result<Queue> {
        Queue::open(number, self)
    }
}

impl Queue {
    /// Takes a queue of the current network namespace with the default [`Options`]; needs
    /// `CAP_NET_ADMIN` in it.
    pub fn bind(number: u16) -> Result<Self> {
        Options::default().bind(number)
    }

    fn open(number: u16, options: Options) -> Result<Self> {
        let socket = KernelSocket::open(NETLINK_NETFILTER).map_err(|error| {
            if error.errno() == Some(Errno::EPROTONOSUPPORT) {
                return error.with_fix(
                    "this kernel has no nfnetlink (CONFIG_NETFILTER_NETLINK): modprobe nfnetlink",
                );
            }
            error
        })?;
        let packets = options.max_length.unwrap_or(MAX_LENGTH_DEFAULT) as usize;
        let capacity = packets.saturating_mul(PACKET_CHARGE);
        socket.grow_receive_buffer(capacity.min(SOCKET_CAPACITY_MAX))?;
        // Without this, one overrun makes the kernel refuse every further packet until the
        // socket has been read empty; with it, only those that find no room are lost. The kernel
        // counts them either way, see `losses`.
        socket.keep_receiving_when_full()?;
        socket.grow_send_buffer(DATAGRAM_LEN)?;
        let mut queue = Self {
            socket,
            number,
            options,
            early: VecDeque::new(),
            outbox: Outbox::new(number),
            rewritable: namespace_allows(),
            due: None,
            paused: true,
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

    /// How it was taken.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Blocks until there is something to receive, the deadline passes or `stop` can be read.
    ///
    /// Verdicts are sent meanwhile when their time has come.
    pub fn wait(
        &mut self,
        deadline: Option<Instant>,
        stop: Option<BorrowedFd<'_>>,
    ) -> Result<Wake> {
        if !self.early.is_empty() {
            // Only to see whether it is time to stop.
            let now = Some(Instant::now());
            return Ok(match wait(None, now, stop)? {
                Wake::TimedOut => Wake::Readable,
                woken => woken,
            });
        }
        if self.options.batching.time.is_zero() {
            self.flush()?;
        }
        loop {
            let first = match (deadline, self.due) {
                (Some(deadline), Some(due)) => Some(deadline.min(due)),
                (deadline, due) => deadline.or(due),
            };
            let wake = self.socket.wait(first, stop)?;
            self.flush_due()?;
            if wake != Wake::TimedOut || deadline.is_some_and(|end| end <= Instant::now()) {
                return Ok(wake);
            }
        }
    }

    /// Receives one datagram into `buffer`, of [`RECEIVE_LEN`](knetlink::RECEIVE_LEN) bytes; `None` if there is none yet.
    ///
    /// [`knetlink::Error::Overrun`] means that packets were lost; the queue works on.
    pub fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<Events<'b>>> {
        let datagram = if let Some(early) = self.early.pop_front() {
            let (length, capacity) = (early.len(), buffer.len());
            let Some(start) = buffer.get_mut(..length) else {
                return Err(knetlink::Error::Truncated { length, capacity }.into());
            };
            start.copy_from_slice(&early);
            start
        } else if let Some(datagram) = self.socket.receive(buffer)? {
            datagram
        } else {
            self.paused = true;
            return Ok(None);
        };
        if self.options.batching.is_on() {
            packet_ids(datagram).for_each(|id| self.outbox.arrived(id));
        }
        Ok(Some(Events::new(datagram)))
    }

    /// Decides what becomes of a packet, in whatever order.
    ///
    /// Without [`Options::batching`], success means that the kernel has the verdict; with it, the
    /// verdict may wait for others, see [`flush`](Self::flush). If the kernel refuses it, the
    /// packet being gone for instance, that comes as [`Event::VerdictRefused`].
    pub fn decide(&mut self, id: u32, decision: Decision) -> Result<()> {
        self.add(id, decision, None)
    }

    /// Decides what becomes of a packet that gets other content.
    ///
    /// Fails where [`check_rewriting`](Self::check_rewriting) does; then nothing is decided.
    pub fn decide_rewritten(&mut self, decision: Decision, packet: &Rewritten) -> Result<()> {
        self.check_rewriting()?;
        self.add(packet.id, decision, Some(&packet.content))
    }

    /// Whether packets of this queue can get other content at all. Where they cannot, the kernel
    /// would drop them.
    pub fn check_rewriting(&self) -> Result<()> {
        if !self.rewritable {
            return Err(Unwritable::Namespace.into());
        }
        match self.options.copy_mode {
            CopyMode::Packet { .. } => Ok(()),
            _ => Err(Unwritable::NotCopied.into()),
        }
    }

    fn add(&mut self, id: u32, decision: Decision, content: Option<&[u8]>) -> Result<()> {
        self.outbox.decide(id, decision, content);
        let batching = self.options.batching;
        let enough = self.outbox.decisions() >= batching.count.get();
        let paused = std::mem::take(&mut self.paused);
        if enough || self.outbox.is_large() {
            return self.flush();
        }
        if batching.time.is_zero() {
            // Where packets come one by one, there is nothing to wait for.
            if paused {
                return self.flush();
            }
        } else {
            let now = Instant::now();
            // A time beyond the clock's end never comes.
            self.due = self.due.or_else(|| now.checked_add(batching.time));
            return self.flush_due();
        }
        Ok(())
    }

    /// Sends the verdicts that wait to be sent. If it fails they still wait, but for those that the
    /// kernel has.
    pub fn flush(&mut self) -> Result<()> {
        while self.outbox.decisions() > 0 {
            let datagram = self.outbox.datagram();
            let length = datagram.len();
            self.socket.send(datagram)?;
            self.outbox.sent(length);
        }
        self.due = None;
        Ok(())
    }

    /// When the oldest verdict is to be sent that waits to be sent, for those who poll the
    /// descriptor themselves instead of using [`wait`](Self::wait).
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// How many verdicts wait to be sent.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.outbox.decisions()
    }

    fn flush_due(&mut self) -> Result<()> {
        match self.due {
            Some(due) if due <= Instant::now() => self.flush(),
            _ => Ok(()),
        }
    }

    /// Unbinds the queue, and tells what was left in it and in the socket.
    pub fn close(mut self) -> Result<Closed> {
        self.flush()?;
        let mut closed = Closed::default();
        let mut left = std::mem::take(&mut self.early);
        let mut answer = self.configure(&unbind_payload(self.number), &mut left)?;
        if answer.is_none() {
            // The socket was full. It is empty now, and asking again does no harm.
            answer = self.configure(&unbind_payload(self.number), &mut left)?;
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
            Some(status) => Err(self.refused("unbind", status).into()),
            None => Err(self.unanswered("unbind").into()),
        }
    }

    fn request_bind(&mut self) -> Result<()> {
        let mut early = VecDeque::new();
        let status = self
            .configure(&self.options.bind_payload(self.number), &mut early)?
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
        let refused = match errno {
            Errno::EPERM => {
                refused.with_fix("it needs CAP_NET_ADMIN in this network namespace: run as root")
            }
            Errno::EOPNOTSUPP => refused.with_fix(
                "this kernel tells nothing about connections: modprobe nf_conntrack_netlink, or go \
                 without --conntrack",
            ),
            Errno::EINVAL => refused.with_fix(
                "this kernel has no nfnetlink_queue (CONFIG_NETFILTER_NETLINK_QUEUE): \
                 modprobe nfnetlink_queue",
            ),
            _ => refused,
        };
        Err(refused.into())
    }

    fn refused(&self, operation: &str, status: Status) -> knetlink::Error {
        knetlink::Error::Refused {
            operation: format!("{operation} queue {}", self.number),
            status,
            fix: None,
        }
    }

    /// Sends a request and reads its answer, and puts what came before it into `before`.
    fn configure(
        &mut self,
        payload: &[u8],
        before: &mut VecDeque<Vec<u8>>,
    ) -> Result<Option<Status>> {
        let answer = self.socket.ask(MSG_CONFIG, NLM_F_ACK, payload, |message| {
            let mut datagram = Vec::new();
            message.append_to(&mut datagram);
            before.push_back(datagram);
            Ok(())
        });
        Ok(answer?)
    }

    fn unanswered(&self, operation: &str) -> knetlink::Error {
        knetlink::Error::Unanswered {
            operation: format!("{operation} queue {}", self.number),
        }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.flush();
    }
}
