// SPDX-License-Identifier: MIT OR Apache-2.0

//! A bound queue, which receives packets and sends verdicts.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZero;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::RawFd;
use std::time::Duration;
use std::time::Instant;

use knetlink::HEADER_LEN;
use knetlink::Inbox;
use knetlink::KernelSocket;
use knetlink::Malformed;
use knetlink::Status;
use knetlink::Wake;
use knetlink::already_readable;
use linux_names::constant::octet;
use linux_names::module;
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
use crate::options::no_room_payload;
use crate::options::unbind_payload;
use crate::outbox::DATAGRAM_LEN;
use crate::outbox::Outbox;
use crate::owner;
use crate::owner::KernelLosses;
use crate::queued::Queued;
use crate::rewrite::Rewritten;
use crate::unwritable::Unwritable;
use crate::verdict::Decision;
use crate::wire::MSG_CONFIG;

/// The memory that the kernel charges to the socket for the message about a packet, if the packet
/// is a full-size Ethernet frame.
const PACKET_CHARGE: usize = 4096;
/// The number of packets that can wait for a verdict, by default.
const MAX_LENGTH_DEFAULT: u32 = 1024;
/// The largest receive buffer that the queue requests.
const SOCKET_CAPACITY_MAX: usize = 256 << 20;

/// The longest time that [`Queue::receive_many_soon`] waits.
pub const SOON: Duration = Duration::from_millis(100);

/// If the kernel could not take verdicts ([`Error::is_temporary`]), the queue sends them again
/// after this time.
pub const AGAIN: Duration = Duration::from_millis(1);

const NETLINK_NETFILTER: u8 = octet(libc::NETLINK_NETFILTER);

/// A netfilter queue bound to this process.
///
/// [`next_packet`](Self::next_packet) reads packets and blocks. [`receive`](Self::receive) does not
/// block. With the feature `tokio`, `AsyncQueue` reads packets. A verdict names its packet by the
/// packet's id. Packets can be decided in any order. The queue keeps a verdict until the kernel has
/// it: if sending fails, [`flush`](Self::flush) tries again.
///
/// When a `Queue` is dropped, it sends the verdicts that wait to be sent, and unbinds the queue.
/// Then the kernel drops the undecided packets. If the process exits and does not drop the `Queue`,
/// the kernel unbinds the queue, too.
pub struct Queue {
    socket: KernelSocket,
    number: u16,
    options: Options,
    /// Messages that were read from the socket, but not returned yet: messages that came before the
    /// acknowledgement of the bind, and messages behind a packet in the same datagram.
    early: VecDeque<Vec<u8>>,
    outbox: Outbox,
    /// Whether the kernel lets a program replace the content of packets in this network namespace.
    rewritable: bool,
    /// The time when the oldest verdict of the outbox must be sent.
    due: Option<Instant>,
    /// Whether the socket was found empty, and no packet was decided after that.
    paused: bool,
    refusals: Refusals,
}

/// Verdicts that the kernel refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Verdicts on packets that were gone, for example because an interface was removed.
    pub gone: u64,
    /// Verdicts that were refused for another reason.
    pub other: u64,
}

impl Refusals {
    fn count(&mut self, status: &Status) {
        if status.errno == Some(Errno::ENOENT) {
            self.gone += 1;
        } else {
            self.other += 1;
        }
    }
}

/// The result of one receive.
#[derive(Debug)]
pub(crate) enum Received {
    /// There is no datagram yet.
    Nothing,
    /// A datagram without a packet.
    Other,
    /// A packet.
    Packet(Place),
}

/// Where a packet is in a buffer.
#[derive(Debug)]
pub(crate) struct Place {
    id: u32,
    payload: Range<usize>,
}

impl Place {
    /// The packet at this place of `buffer`.
    pub(crate) fn of(self, buffer: &[u8]) -> Queued<'_> {
        Queued::at(self.id, buffer.get(self.payload).unwrap_or_default())
    }
}

/// The packets and answers that were left when a queue was closed, and the refusals that
/// [`Queue::refusals`] had counted before the close.
///
/// To learn the losses, call [`Queue::losses`] before the queue is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Packets that the kernel dropped before the program received them. The kernel also drops
    /// packets that the program received and did not decide. This number does not include them.
    pub flushed: u64,
    /// Verdicts that could not be sent. The kernel dropped their packets.
    pub unsent: u64,
    /// Refusals of verdicts because the packet was gone, except refusals that came as events.
    pub gone: u64,
    /// Refusals of verdicts for other reasons, except refusals that came as events.
    pub refused: u64,
    /// Messages that could not be decoded.
    pub malformed: u64,
}

impl Options {
    /// Binds a queue of the current network namespace. Needs `CAP_NET_ADMIN` in that namespace.
    pub fn bind(self, number: u16) -> Result<Queue> {
        Queue::open(number, self)
    }
}

impl Queue {
    /// Binds a queue of the current network namespace, with the default [`Options`]. Needs
    /// `CAP_NET_ADMIN` in that namespace.
    pub fn bind(number: u16) -> Result<Self> {
        Options::default().bind(number)
    }

    fn open(number: u16, options: Options) -> Result<Self> {
        let socket = KernelSocket::open(NETLINK_NETFILTER).map_err(|error| {
            if error.errno() == Some(Errno::EPROTONOSUPPORT) {
                if let Some(remedy) = module::remedy("nfnetlink", "CONFIG_NETFILTER_NETLINK") {
                    return error.with_fix(format!("this kernel has no nfnetlink: {remedy}"));
                }
            }
            error
        })?;
        let packets = options.max_length.unwrap_or(MAX_LENGTH_DEFAULT) as usize;
        let capacity = packets.saturating_mul(PACKET_CHARGE);
        socket.grow_receive_buffer(capacity.min(SOCKET_CAPACITY_MAX))?;
        // Without this option, the kernel delivers no packet after an overrun until the program has
        // read the socket empty. With this option, only the packets that have no room are lost. In
        // both cases the kernel counts the lost packets, see `losses`.
        socket.keep_receiving_when_full()?;
        socket.grow_send_buffer(DATAGRAM_LEN)?;
        socket.set_receive_timeout(SOON)?;
        let mut queue = Self {
            socket,
            number,
            options,
            early: VecDeque::new(),
            outbox: Outbox::new(number),
            rewritable: namespace_allows(),
            due: None,
            paused: true,
            refusals: Refusals::default(),
        };
        queue.request_bind()?;
        Ok(queue)
    }

    /// Number of the queue.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Address of the socket. `/proc/net/netfilter/nfnetlink_queue` shows it as the holder of the
    /// queue.
    #[must_use]
    pub fn portid(&self) -> u32 {
        self.socket.portid()
    }

    /// The number of messages that were discarded, because the kernel had not sent them.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.socket.foreign()
    }

    /// The packets that the kernel could not deliver so far; `None` if `/proc` does not tell.
    #[must_use]
    pub fn losses(&self) -> Option<KernelLosses> {
        owner::losses(self.number)
    }

    /// The refusals that [`next_packet`](Self::next_packet) counted. [`receive`](Self::receive)
    /// does not count a refusal, but returns it as an event.
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        self.refusals
    }

    /// The options that the queue was bound with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Blocks until a datagram can be received, the deadline passes, or `stop` is readable.
    ///
    /// When the time of a waiting verdict comes ([`due`](Self::due)), this function sends the
    /// verdict and continues to wait. A program that must know when verdicts were sent uses
    /// [`due`](Self::due) as the deadline.
    ///
    /// If a verdict cannot be sent, this function fails. Before it returns an error for which
    /// [`Error::is_temporary`] is true, it waits for the time [`AGAIN`]. The wait ends earlier if
    /// `stop` or the queue is readable. So a loop that calls this function again is not busy.
    pub fn wait(
        &mut self,
        deadline: Option<Instant>,
        stop: Option<BorrowedFd<'_>>,
    ) -> Result<Wake> {
        if !self.early.is_empty() {
            return Ok(already_readable(stop)?);
        }
        match self.wait_and_send(deadline, stop) {
            Err(error) => Err(self.pause_after(error, stop)?),
            woken => woken,
        }
    }

    fn wait_and_send(
        &mut self,
        deadline: Option<Instant>,
        stop: Option<BorrowedFd<'_>>,
    ) -> Result<Wake> {
        if self.options.batching.time.is_zero() {
            self.flush()?;
        }
        loop {
            let first = deadline.into_iter().chain(self.due).min();
            let wake = self.socket.wait(first, stop)?;
            self.flush_due()?;
            if wake != Wake::TimedOut || deadline.is_some_and(|end| end <= Instant::now()) {
                return Ok(wake);
            }
        }
    }

    /// After a temporary error, waits for the time [`AGAIN`]. The wait ends earlier if there is
    /// something to receive or `stop` is readable.
    #[cold]
    fn pause_after(&self, error: Error, stop: Option<BorrowedFd<'_>>) -> Result<Error> {
        if error.is_temporary() {
            self.socket.wait(Some(Instant::now() + AGAIN), stop)?;
        }
        Ok(error)
    }

    /// Blocks until there is a packet, and reads it into `buffer`. The buffer should have
    /// [`RECEIVE_LEN`](crate::RECEIVE_LEN) bytes.
    ///
    /// While this function blocks, it sends the verdicts that were not sent yet, repeatedly if
    /// necessary. It counts refusals of verdicts, see [`refusals`](Self::refusals).
    ///
    /// After every error the queue can still be used. [`knetlink::Error::Malformed`] and
    /// [`knetlink::Error::Truncated`] are about one message. If that message has a packet, the
    /// packet stays in the queue, and takes room there, until [`decide_up_to`](Self::decide_up_to)
    /// decides a later packet or the queue is unbound. A buffer of
    /// [`RECEIVE_LEN`](crate::RECEIVE_LEN) bytes holds every message.
    ///
    /// ```no_run
    /// # use nfnetlink_queue::{Decision, Queue, RECEIVE_LEN};
    /// let mut queue = Queue::bind(0)?;
    /// let mut buffer = vec![0; RECEIVE_LEN];
    /// loop {
    ///     let packet = queue.next_packet(&mut buffer)?;
    ///     queue.decide(packet.id, Decision::ACCEPT)?;
    /// }
    /// # Ok::<(), nfnetlink_queue::Error>(())
    /// ```
    pub fn next_packet<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Queued<'b>> {
        loop {
            match self.receive_place(buffer)? {
                Received::Packet(place) => return Ok(place.of(buffer)),
                Received::Other => {}
                Received::Nothing => match self.wait(None, None) {
                    Err(error) if error.is_temporary() => {}
                    woken => drop(woken?),
                },
            }
        }
    }

    /// Receives one datagram into `buffer` without blocking, or returns `None` if there is none
    /// yet. The buffer should have [`RECEIVE_LEN`](crate::RECEIVE_LEN) bytes.
    ///
    /// A full socket is no error. [`losses`](Self::losses) counts the packets that the kernel
    /// dropped because they had no room in the socket.
    pub fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<Events<'b>>> {
        let Some(length) = self.receive_datagram(buffer)? else {
            return Ok(None);
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        if self.options.batching.is_on() {
            packet_ids(datagram).for_each(|id| self.outbox.arrived(id));
        }
        Ok(Some(Events::new(datagram)))
    }

    /// Makes an inbox with room for this number of packets, of any length.
    #[must_use]
    pub fn inbox(&self, places: NonZero<usize>) -> Inbox {
        Inbox::new(places, self.options.message_length())
    }

    /// Receives the datagrams that wait, as many as `inbox` has room for, without blocking. The
    /// datagrams replace the earlier content of `inbox`. Returns the number of datagrams.
    /// [`events`](Self::events) then returns the packets in them, or
    /// [`decide_all`](Self::decide_all) decides all packets.
    ///
    /// After this call, more datagrams can wait, even if `inbox` has room for them: see
    /// [`KernelSocket::receive_many`].
    pub fn receive_many(&mut self, inbox: &mut Inbox) -> Result<usize> {
        self.receive_into(inbox, KernelSocket::receive_many)
    }

    /// Sends the verdicts that wait to be sent, except verdicts that wait for a time
    /// ([`due`](Self::due)). Then receives as [`receive_many`](Self::receive_many) does. If no
    /// datagram is there, it waits for a datagram. The wait ends after the time [`SOON`] at the
    /// latest, or when a signal is handled.
    ///
    /// While packets keep coming, this function makes one system call less than
    /// [`wait`](Self::wait) and [`receive_many`](Self::receive_many) together. Verdicts that wait
    /// for a time can be late, by at most the time [`SOON`]. If this function fails, `inbox` can
    /// still have its earlier content. If a verdict cannot be sent, this function fails as
    /// [`wait`](Self::wait) does.
    pub fn receive_many_soon(&mut self, inbox: &mut Inbox) -> Result<usize> {
        if self.early.is_empty() && self.options.batching.time.is_zero() {
            if let Err(error) = self.flush() {
                return Err(self.pause_after(error, None)?);
            }
        }
        self.receive_into(inbox, KernelSocket::await_many)
    }

    #[inline]
    fn receive_into(
        &mut self,
        inbox: &mut Inbox,
        receive: impl FnOnce(&mut KernelSocket, &mut Inbox) -> knetlink::Result<usize>,
    ) -> Result<usize> {
        if let Some(early) = self.early.pop_front() {
            inbox.replace(&early);
            return Ok(1);
        }
        let count = receive(&mut self.socket, inbox)?;
        self.paused |= count == 0;
        Ok(count)
    }

    /// The events in the datagrams that [`receive_many`](Self::receive_many) received, in order. A
    /// datagram that was too long for its place gives an error, and so does a malformed message.
    pub fn events<'b>(
        &mut self,
        inbox: &'b Inbox,
    ) -> impl Iterator<Item = Result<Event<'b>, knetlink::Error>> + use<'b> {
        if self.options.batching.is_on() {
            let ids = inbox.datagrams().flatten().flat_map(packet_ids);
            ids.for_each(|id| self.outbox.arrived(id));
        }
        inbox.datagrams().flat_map(|datagram| {
            let (events, failure) = match datagram {
                Ok(datagram) => (Events::new(datagram), None),
                Err(error) => (Events::new(&[]), Some(Err(error))),
            };
            let events = events.map(|event| event.map_err(knetlink::Error::from));
            events.chain(failure)
        })
    }

    /// Decides all packets that [`receive_many`](Self::receive_many) received. All get the same
    /// decision. The verdicts wait as those of [`gather`](Self::gather) do. Returns the number of
    /// packets. Calls `other` for everything else that came.
    pub fn decide_all(
        &mut self,
        inbox: &Inbox,
        decision: Decision,
        mut other: impl FnMut(Result<Event<'_>, knetlink::Error>),
    ) -> (u64, Result<()>) {
        let in_turn = self.options.batching.is_on() && self.outbox.has_no_undecided();
        let (mut count, mut sent) = (0, Ok(()));
        // One batch verdict decides a run of packets. The verdict needs only the id of the last
        // packet. The outbox also needs the number of packets, but not their ids.
        let (mut run, mut last) = (0, 0);
        let mut decide = |id| {
            count += 1;
            if in_turn {
                (run, last) = (run + 1, id);
                if self.outbox.decisions() + run < self.options.batching.count.get() {
                    return;
                }
                self.outbox
                    .decide_next(last, std::mem::take(&mut run), decision);
            } else {
                self.outbox.decide(id, decision, None);
            }
            if self.has_gathered_enough() {
                let flushed = self.flush();
                if sent.is_ok() {
                    sent = flushed;
                }
            }
        };
        for datagram in inbox.datagrams() {
            match datagram {
                Ok(datagram) => Events::new(datagram).for_each(|event| match event {
                    Ok(Event::Packet(queued)) => decide(queued.id),
                    event => other(event.map_err(knetlink::Error::from)),
                }),
                Err(error) => other(Err(error)),
            }
        }
        if run > 0 {
            self.outbox.decide_next(last, run, decision);
        }
        (count, sent)
    }

    /// Receives one datagram, if there is one, and finds the first packet in it. If messages follow
    /// the packet in the datagram, the next call receives them.
    pub(crate) fn receive_place(&mut self, buffer: &mut [u8]) -> Result<Received> {
        let Some(length) = self.receive_datagram(buffer)? else {
            return Ok(Received::Nothing);
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        let Some(place) = self.find_packet(datagram)? else {
            return Ok(Received::Other);
        };
        if self.options.batching.is_on() {
            self.outbox.arrived(place.id);
        }
        Ok(Received::Packet(place))
    }

    /// Whether there are messages that were already read from the socket, but not returned yet.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    fn find_packet(&mut self, datagram: &[u8]) -> Result<Option<Place>, Malformed> {
        let mut events = Events::new(datagram);
        loop {
            let start = datagram.len() - events.remaining().len() + HEADER_LEN;
            match events.next().transpose()? {
                Some(Event::Packet(queued)) => {
                    if !events.remaining().is_empty() {
                        self.early.push_front(events.remaining().to_vec());
                    }
                    return Ok(Some(Place {
                        id: queued.id,
                        payload: start..start + queued.message().len(),
                    }));
                }
                Some(Event::VerdictRefused { status, .. }) => self.refusals.count(&status),
                Some(Event::Configured(_) | Event::Other) => {}
                None => return Ok(None),
            }
        }
    }

    /// Receives one datagram and returns its length.
    fn receive_datagram(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let datagram = if let Some(early) = self.early.pop_front() {
            let (length, capacity) = (early.len(), buffer.len());
            let Some(start) = buffer.get_mut(..length) else {
                return Err(knetlink::Error::Truncated { length, capacity }.into());
            };
            start.copy_from_slice(&early);
            return Ok(Some(length));
        } else if let Some(datagram) = self.socket.receive(buffer)? {
            datagram
        } else {
            self.paused = true;
            return Ok(None);
        };
        Ok(Some(datagram.len()))
    }

    /// Decides about a packet. Packets can be decided in any order.
    ///
    /// Without [`Options::batching`], success means that the verdict was sent. With batching, the
    /// verdict can wait for other verdicts, see [`flush`](Self::flush). The kernel can still refuse
    /// a verdict, for example because the packet is gone or already has a verdict. Then
    /// [`receive`](Self::receive) returns [`Event::VerdictRefused`], and
    /// [`next_packet`](Self::next_packet) counts the refusal in [`refusals`](Self::refusals).
    ///
    /// After an error the verdict still waits to be sent. It is sent with the next verdict, or by
    /// [`flush`](Self::flush). Do not decide the packet again.
    #[inline]
    pub fn decide(&mut self, id: u32, decision: Decision) -> Result<()> {
        self.add(id, decision, None)
    }

    /// Decides about all packets of the queue that have no verdict yet, up to the packet with this
    /// id. The decision also applies to packets that the program has not received yet, and to
    /// packets whose message was lost.
    ///
    /// To send fewer messages, a program can also use [`Options::batching`]. Then each packet has a
    /// decision of its own.
    pub fn decide_up_to(&mut self, id: u32, decision: Decision) -> Result<()> {
        self.outbox.decide_up_to(id, decision);
        self.send_if_enough()
    }

    /// Decides about a packet and replaces its content.
    ///
    /// Fails if [`check_rewriting`](Self::check_rewriting) fails. Then nothing is decided.
    pub fn decide_rewritten(&mut self, decision: Decision, packet: &Rewritten) -> Result<()> {
        self.check_rewriting()?;
        self.add(packet.id, decision, Some(&packet.content))
    }

    /// Decides about a packet as [`decide`](Self::decide) does or, if there is `content`, as
    /// [`decide_rewritten`](Self::decide_rewritten) does. But the verdict waits for
    /// [`send_gathered`](Self::send_gathered), unless very many verdicts wait.
    ///
    /// With this function a program can receive several packets together, and send their verdicts
    /// in one datagram.
    #[inline]
    pub fn gather(
        &mut self,
        id: u32,
        decision: Decision,
        content: Option<&Rewritten>,
    ) -> Result<()> {
        if content.is_some() {
            self.check_rewriting()?;
        }
        let content = content.map(|rewritten| &rewritten.content[..]);
        self.outbox.decide(id, decision, content);
        if self.has_gathered_enough() {
            return self.flush();
        }
        Ok(())
    }

    /// Sends the verdicts that were gathered, unless [`Options::batching`] lets them wait for later
    /// verdicts. `more` says that more packets wait to be received. Then, with batching, the
    /// gathered verdicts wait for the verdicts on these packets.
    pub fn send_gathered(&mut self, more: bool) -> Result<()> {
        let batching = self.options.batching;
        self.paused = false;
        if !batching.time.is_zero() {
            return self.flush_when_due();
        }
        if batching.is_on() && more {
            return Ok(());
        }
        self.flush()
    }

    #[inline]
    fn has_gathered_enough(&self) -> bool {
        let batching = self.options.batching;
        self.outbox.is_large()
            || (batching.is_on() && self.outbox.decisions() >= batching.count.get())
    }

    /// Checks that a program can replace the content of packets of this queue. If this check fails,
    /// the kernel would drop each packet whose content is replaced.
    pub fn check_rewriting(&self) -> Result<()> {
        if !self.rewritable {
            return Err(Unwritable::Namespace.into());
        }
        match self.options.copy_mode {
            CopyMode::Packet { .. } => Ok(()),
            _ => Err(Unwritable::NotCopied.into()),
        }
    }

    #[inline]
    fn add(&mut self, id: u32, decision: Decision, content: Option<&[u8]>) -> Result<()> {
        self.outbox.decide(id, decision, content);
        self.send_if_enough()
    }

    #[inline]
    fn send_if_enough(&mut self) -> Result<()> {
        let batching = self.options.batching;
        let enough = self.outbox.decisions() >= batching.count.get();
        let paused = std::mem::take(&mut self.paused);
        if enough || self.outbox.is_large() {
            return self.flush();
        }
        if batching.time.is_zero() {
            // After a pause, packets probably come one by one. So no other verdict will come soon,
            // and this verdict need not wait.
            if paused {
                return self.flush();
            }
        } else {
            return self.flush_when_due();
        }
        Ok(())
    }

    /// Lets the verdicts wait for the time of [`Options::batching`]. If this time has passed, sends
    /// them.
    fn flush_when_due(&mut self) -> Result<()> {
        let now = Instant::now();
        let time = self.options.batching.time;
        // If the clock cannot represent the time, the verdicts wait without a limit of time.
        self.due = self.due.or_else(|| now.checked_add(time));
        self.flush_due()
    }

    /// Sends the verdicts that wait to be sent.
    ///
    /// After an error, the queue still has the verdicts that the kernel did not get. Another call
    /// sends these verdicts, and sends no verdict twice. [`Error::is_temporary`] says whether
    /// another call can succeed.
    ///
    /// ```no_run
    /// # use nfnetlink_queue::{AGAIN, Decision, Queue, Result};
    /// # fn example(queue: &mut Queue) -> Result<()> {
    /// let mut sent = queue.decide(7, Decision::DROP);
    /// while sent.as_ref().is_err_and(|error| error.is_temporary()) {
    ///     std::thread::sleep(AGAIN);
    ///     sent = queue.flush();
    /// }
    /// # sent
    /// # }
    /// ```
    #[inline]
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

    /// The time when the oldest waiting verdict must be sent. It is for programs that poll the
    /// descriptor themselves and do not use [`wait`](Self::wait).
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The number of verdicts that wait to be sent.
    #[inline]
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

    /// After this call, the kernel does not queue new packets. With [`Options::fail_open`] new
    /// packets pass. Without this option, the kernel drops new packets.
    ///
    /// When a queue is unbound, the kernel drops the packets that wait in it. So packets that
    /// arrive after the last verdict would be lost. To lose no packet, call this function, and then
    /// decide all packets that came before the call. Then no packet waits when the queue is
    /// unbound.
    pub fn let_pass(&mut self) -> Result<()> {
        let mut early = std::mem::take(&mut self.early);
        let answer = self.configure(&no_room_payload(self.number), &mut early);
        self.early = early;
        match answer? {
            Some(Status { errno: None, .. }) | None => Ok(()),
            Some(status) => Err(self.refused("stop queueing to", status).into()),
        }
    }

    /// Sends the verdicts that wait to be sent, unbinds the queue, and returns what was left in the
    /// queue and in the socket.
    ///
    /// Verdicts that cannot be sent are counted ([`Closed::unsent`]). To learn the reason, call
    /// [`flush`](Self::flush) before this function.
    pub fn close(mut self) -> Result<Closed> {
        // The error needs no report: `Closed::unsent` has the number of verdicts that were not
        // sent.
        let _ = self.flush();
        let mut closed = Closed {
            unsent: self.unsent() as u64,
            ..Closed::default()
        };
        let mut refusals = self.refusals;
        let mut left = std::mem::take(&mut self.early);
        let mut answer = self.configure(&unbind_payload(self.number), &mut left)?;
        if answer.is_none() {
            // The answer to the first request was lost because the socket was full. The search for
            // this answer has read the socket empty, so now the socket has room for an answer.
            answer = self.configure(&unbind_payload(self.number), &mut left)?;
        }
        for datagram in left {
            for event in Events::new(&datagram) {
                match event {
                    Ok(Event::Packet(_)) => closed.flushed += 1,
                    Ok(Event::VerdictRefused { status, .. }) => refusals.count(&status),
                    Ok(Event::Configured(_) | Event::Other) => {}
                    Err(_) => closed.malformed += 1,
                }
            }
        }
        (closed.gone, closed.refused) = (refusals.gone, refusals.other);
        match answer {
            // ENODEV is the answer to the second request, if the first request had unbound the
            // queue and only its answer was lost.
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
        // The kernel also returns EPERM if another socket holds the queue.
        if matches!(errno, Errno::EPERM | Errno::EBUSY) {
            if let Some(holder) = owner::holder(self.number) {
                let queue = self.number;
                return Err(Error::QueueBusy { queue, holder });
            }
        }
        let refused = self.refused("bind", status);
        let refused =
            match errno {
                Errno::EPERM => refused
                    .with_fix("it needs CAP_NET_ADMIN in this network namespace: run as root"),
                Errno::EOPNOTSUPP => {
                    let conntrack = module::remedy("nf_conntrack_netlink", "CONFIG_NF_CT_NETLINK");
                    let conntrack = conntrack.map(|remedy| format!("connections ({remedy}) or "));
                    refused.with_fix(format!(
                        "this kernel cannot report {}security contexts \
                     (CONFIG_NETWORK_SECMARK): bind the queue without them",
                        conntrack.unwrap_or_default()
                    ))
                }
                Errno::EINVAL => {
                    let queue = module::remedy("nfnetlink_queue", "CONFIG_NETFILTER_NETLINK_QUEUE");
                    match queue {
                        Some(remedy) => refused
                            .with_fix(format!("this kernel has no nfnetlink_queue: {remedy}")),
                        None => refused,
                    }
                }
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

    /// Sends a request and reads its answer. Messages that came before the answer go into `before`.
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

/// The descriptor, for event loops that register descriptors (`mio`, `AsyncFd` of tokio).
impl AsRawFd for Queue {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("number", &self.number)
            .field("portid", &self.portid())
            .field("options", &self.options)
            .field("unsent", &self.unsent())
            .finish_non_exhaustive()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // A drop cannot return an error, so the result is ignored.
        let _ = self.flush();
    }
}
