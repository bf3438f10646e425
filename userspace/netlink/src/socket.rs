// SPDX-License-Identifier: MIT OR Apache-2.0

//! A netlink socket that sends to the kernel and receives only from the kernel.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use std::time::Instant;

use linux_names::errno_of;
use netlink_packet_core::NLM_F_REQUEST;
use netlink_sys::Socket;
use netlink_sys::SocketAddr;
use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBuf;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::sockopt::SndBuf;
use nix::sys::socket::sockopt::SndBufForce;
use nix::sys::time::TimeVal;
use nix::sys::time::TimeValLike;

use crate::answer::Answer;
use crate::error::Error;
use crate::error::Result;
use crate::inbox::Inbox;
use crate::message::HEADER_LEN;
use crate::message::Message;
use crate::status::Status;
use crate::wait::Wake;
use crate::wait::already_readable;
use crate::wait::wait;

/// The portid of every kernel socket.
const KERNEL_PORTID: u32 = 0;

/// The length of a buffer that is long enough for any datagram, unless the kernel echoes a longer
/// message. A part of a dump has up to 32 KiB. A message about a queued packet has one attribute of
/// up to 64 KiB, and some small attributes.
pub const RECEIVE_LEN: usize = 128 * 1024;

/// The longest receive timeout: 68 years. `timeval` can hold this value on every machine.
const LONGEST_TIMEOUT: Duration = Duration::from_secs((1 << 31) - 1);

/// A raw netlink socket whose other end is the kernel.
///
/// Netlink lets privileged processes write to each other's sockets, and only the source address
/// shows whether the kernel sent a message. This socket is connected to the kernel, so another
/// process that sends to it gets `ECONNREFUSED`. The socket discards and counts two kinds of
/// messages from other processes: messages to a multicast group, and messages from before the
/// socket was connected.
pub struct KernelSocket {
    socket: Socket,
    portid: u32,
    /// The sequence number of the latest request.
    sequence: u32,
    foreign: u64,
    /// Whether the socket has joined a multicast group. Other processes, too, can send to a group.
    joined: bool,
    /// The error of a call that had already received datagrams. That call returned the datagrams.
    /// The next call to receive, of any kind, returns the error.
    failure: Option<Errno>,
}

impl KernelSocket {
    /// Opens and binds a socket. The kernel will send it extended acknowledgements, without a copy
    /// of the request's payload.
    pub fn open(protocol: u8) -> Result<Self> {
        let failed = |error| {
            linux_names::Error::io(format!("open netlink socket, protocol {protocol}"), &error)
        };
        let mut socket = Socket::new(isize::from(protocol)).map_err(failed)?;
        let portid = socket.bind_auto().map_err(failed)?.port_number();
        socket.set_ext_ack(true).map_err(failed)?;
        socket.set_cap_ack(true).map_err(failed)?;
        let kernel = SocketAddr::new(KERNEL_PORTID, 0);
        socket.connect(&kernel).map_err(failed)?;
        let mut socket = Self {
            socket,
            portid,
            sequence: 0,
            foreign: 0,
            joined: false,
            failure: None,
        };
        // This socket has not sent a request yet. So if messages wait here, other processes sent
        // them between bind and connect.
        let mut unasked = [0; HEADER_LEN];
        loop {
            match socket.receive(&mut unasked) {
                Ok(None) => return Ok(socket),
                Ok(Some(_)) | Err(Error::Truncated { .. } | Error::Overrun { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The address that the kernel answers to.
    #[must_use]
    pub fn portid(&self) -> u32 {
        self.portid
    }

    /// How many messages were discarded because the kernel did not send them.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Lets the socket continue to receive after an overrun. Without this option, the kernel
    /// reports `ENOBUFS` once after an overrun, and delivers no message until the program has read
    /// the socket empty.
    pub fn keep_receiving_when_full(&self) -> Result<()> {
        let set = self.socket.set_no_enobufs(true);
        set.map_err(|error| linux_names::Error::io("set NETLINK_NO_ENOBUFS", &error))?;
        Ok(())
    }

    /// Sets the longest time that [`await_many`](Self::await_many) waits. By default it waits for
    /// ever.
    ///
    /// The time is rounded up to microseconds. Zero fails with `EINVAL`, because for the kernel
    /// zero means to wait for ever.
    pub fn set_receive_timeout(&self, time: Duration) -> Result<()> {
        let failed = |errno| linux_names::Error::new("set SO_RCVTIMEO", errno);
        if time.is_zero() {
            return Err(failed(Errno::EINVAL)
                .with_fix("a timeout must be longer than 0")
                .into());
        }
        setsockopt(&self.socket, ReceiveTimeout, &timeout_value(time)).map_err(failed)?;
        Ok(())
    }

    /// Enlarges the receive buffer to `bytes`, as the kernel accounts them, or to the largest size
    /// that this process may set.
    ///
    /// If the buffer stays smaller than `bytes`, this function does not fail, because callers
    /// estimate more bytes than they need. If the buffer overflows later,
    /// [`receive`](Self::receive) returns [`Error::Overrun`].
    pub fn grow_receive_buffer(&self, bytes: usize) -> Result<()> {
        let failed = |errno| linux_names::Error::new("set SO_RCVBUF", errno);
        if self.receive_capacity()? < bytes {
            let half = option_value(bytes);
            setsockopt(&self.socket, RcvBufForce, &half)
                .or_else(|_| setsockopt(&self.socket, RcvBuf, &half))
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Enlarges the send buffer so that one datagram of `bytes` fits, or to the largest size that
    /// this process may set.
    pub fn grow_send_buffer(&self, bytes: usize) -> Result<()> {
        let failed = |errno| linux_names::Error::new("set SO_SNDBUF", errno);
        // The kernel subtracts 32 bytes from the buffer's size, and compares the datagram with the
        // rest.
        let bytes = bytes.saturating_add(32);
        if getsockopt(&self.socket, SndBuf).map_err(failed)? < bytes {
            let half = option_value(bytes);
            setsockopt(&self.socket, SndBufForce, &half)
                .or_else(|_| setsockopt(&self.socket, SndBuf, &half))
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Sends one datagram, of one message or several, to the kernel.
    ///
    /// The kernel handles all messages before this function returns.
    #[inline]
    pub fn send(&self, datagram: &[u8]) -> Result<()> {
        let sent = self.socket.send(datagram, 0).map_err(|error| {
            let operation = format!("netlink send of {} bytes", datagram.len());
            let failed = linux_names::Error::io(operation, &error);
            if failed.errno() == Errno::EMSGSIZE {
                return failed.with_fix(
                    "the datagram does not fit the send buffer: send less at once, or run with \
                         CAP_NET_ADMIN, or raise the limit with `sysctl -w \
                         net.core.wmem_max=BYTES`",
                );
            }
            failed
        })?;
        debug_assert_eq!(sent, datagram.len(), "netlink datagrams are all or nothing");
        Ok(())
    }

    /// Receives one datagram from the kernel into `buffer`; `None` if there is none yet.
    ///
    /// If a datagram is longer than `buffer`, returns [`Error::Truncated`]. If the socket's receive
    /// buffer was full, returns [`Error::Overrun`]. After each of these errors the socket still
    /// works.
    pub fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>> {
        self.report_failure()?;
        let Some(length) = self.receive_from_kernel(buffer, false)? else {
            return Ok(None);
        };
        let capacity = buffer.len();
        match buffer.get(..length) {
            Some(datagram) => Ok(Some(datagram)),
            None => Err(Error::Truncated { length, capacity }),
        }
    }

    /// Receives one datagram from the kernel, and returns its length before truncation. Discards
    /// datagrams of other senders.
    ///
    /// If `waits` is set, this function waits for a datagram. When a signal is handled, the wait
    /// ends without a datagram. When a datagram of another sender arrives, the wait ends without a
    /// datagram, too, so that other senders cannot prolong the wait.
    fn receive_from_kernel(&mut self, buffer: &mut [u8], waits: bool) -> Result<Option<usize>> {
        // With MSG_TRUNC, the kernel returns the length that the datagram had before truncation.
        let flags = libc::MSG_TRUNC | if waits { 0 } else { libc::MSG_DONTWAIT };
        loop {
            let mut free = &mut *buffer;
            match self.socket.recv_from(&mut free, flags) {
                Ok((length, source)) if source.port_number() == KERNEL_PORTID => {
                    return Ok(Some(length));
                }
                Ok(_) => self.foreign += 1,
                Err(error) => match errno_of(&error) {
                    Errno::EAGAIN => return Ok(None),
                    Errno::EINTR => {}
                    errno => return Err(self.not_received(errno)?),
                },
            }
            if waits {
                return Ok(None);
            }
        }
    }

    /// Returns the error that an earlier receipt left in `failure`, if there is one.
    #[inline]
    fn report_failure(&mut self) -> Result<()> {
        match self.failure.take() {
            Some(errno) => Err(self.not_received(errno)?),
            None => Ok(()),
        }
    }

    /// Replaces the datagrams in `inbox` by the datagrams that wait, as many as there is room for.
    /// Returns the number of datagrams in `inbox`. If a call asks the kernel for several datagrams
    /// and receives only one, the next 15 calls receive at most one datagram each, even if more
    /// datagrams wait. So only a return value of 0 means that no datagram waits.
    ///
    /// This function does not check the sender of each datagram, because only the kernel can send
    /// to a socket that is connected to the kernel. But other processes can send to a multicast
    /// group. So if the socket has joined a group, each call receives one datagram and checks its
    /// sender.
    ///
    /// If the socket's receive buffer was full, returns [`Error::Overrun`]. After this error the
    /// socket still works.
    pub fn receive_many(&mut self, inbox: &mut Inbox) -> Result<usize> {
        self.fill(inbox, false)
    }

    /// Receives as [`receive_many`](Self::receive_many) does. If there is no datagram, it waits for
    /// a datagram. The wait ends after the time of
    /// [`set_receive_timeout`](Self::set_receive_timeout), when a signal is handled, or when a
    /// message of another process was discarded.
    ///
    /// This function makes one system call. [`wait`](Self::wait) and
    /// [`receive_many`](Self::receive_many) together make two system calls.
    pub fn await_many(&mut self, inbox: &mut Inbox) -> Result<usize> {
        self.fill(inbox, true)
    }

    fn fill(&mut self, inbox: &mut Inbox, waits: bool) -> Result<usize> {
        inbox.clear();
        self.report_failure()?;
        if self.joined {
            return self.fill_one(inbox, waits);
        }
        loop {
            match inbox.fill(self.socket.as_raw_fd(), waits) {
                Ok(()) | Err(Errno::EAGAIN) => return Ok(inbox.len()),
                // A signal was handled. The caller may be waiting for this signal, so the wait
                // ends.
                Err(Errno::EINTR) if waits => return Ok(inbox.len()),
                Err(Errno::EINTR) => {}
                Err(errno) if inbox.is_empty() => return Err(self.not_received(errno)?),
                Err(errno) => {
                    self.failure = Some(errno);
                    return Ok(inbox.len());
                }
            }
        }
    }

    /// Receives one datagram from a socket to which other processes can send, too.
    fn fill_one(&mut self, inbox: &mut Inbox, waits: bool) -> Result<usize> {
        if let Some(length) = self.receive_from_kernel(inbox.first_place(), waits)? {
            inbox.filled(length);
        }
        Ok(inbox.len())
    }

    /// The error to return after a receive failed with `errno`.
    #[cold]
    fn not_received(&self, errno: Errno) -> Result<Error> {
        Ok(match errno {
            Errno::ENOBUFS => Error::Overrun {
                capacity: self.receive_capacity()?,
            },
            errno => linux_names::Error::new("netlink receive", errno).into(),
        })
    }

    /// Blocks until there is something to receive, the deadline passes or `stop` can be read.
    pub fn wait(&self, deadline: Option<Instant>, stop: Option<BorrowedFd<'_>>) -> Result<Wake> {
        if self.failure.is_some() {
            return already_readable(stop);
        }
        wait(Some(self.as_fd()), deadline, stop)
    }

    /// Joins a multicast group. The socket then receives the messages of the group among all other
    /// messages.
    pub fn join(&mut self, group: u32) -> Result<()> {
        self.joined = true;
        let joined = self.socket.add_membership(group);
        joined.map_err(|error| {
            linux_names::Error::io(format!("join multicast group {group}"), &error)
        })?;
        Ok(())
    }

    /// Sends a request that asks for an acknowledgement or a dump, and reads the answer to its end.
    /// Returns the status in the last message of the answer. `other` gets all other messages.
    ///
    /// The kernel answers before the send returns, and continues a dump when the program reads it.
    /// So if the socket becomes empty before the last message was read, the receive buffer had no
    /// room for that message. Then this function returns `None`. If the data changed while the
    /// kernel dumped them, it returns [`Error::Interrupted`].
    pub fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        payload: &[u8],
        mut other: impl FnMut(&Message<'_>) -> Result<()>,
    ) -> Result<Option<Status>> {
        let sequence = self.request(kind, flags, payload)?;
        let mut buffer = vec![0; RECEIVE_LEN];
        let mut answer = Answer::new(kind, sequence);
        loop {
            match self.receive(&mut buffer) {
                Ok(Some(datagram)) => {
                    if let Some(end) = answer.read(datagram, &mut other)? {
                        return Ok(Some(end));
                    }
                }
                Ok(None) => return Ok(None),
                Err(Error::Overrun { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a request, and returns its sequence number.
    pub fn request(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<u32> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = Vec::new();
        Message {
            kind,
            flags: NLM_F_REQUEST | flags,
            sequence: self.sequence,
            portid: self.portid,
            payload,
        }
        .append_to(&mut request);
        self.send(&request)?;
        Ok(self.sequence)
    }

    fn receive_capacity(&self) -> Result<usize> {
        let capacity = getsockopt(&self.socket, RcvBuf);
        Ok(capacity.map_err(|errno| linux_names::Error::new("get SO_RCVBUF", errno))?)
    }
}

impl AsFd for KernelSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The value of `SO_RCVBUF` or `SO_SNDBUF` for a buffer of `bytes`. The kernel doubles the value,
/// and keeps the result in a signed 32-bit number.
fn option_value(bytes: usize) -> usize {
    bytes.div_ceil(2).min(i32::MAX as usize / 2)
}

/// A timeout in the form that the kernel expects. It is rounded up, because for the kernel 0 means
/// to wait for ever.
fn timeout_value(time: Duration) -> TimeVal {
    let microseconds = time.min(LONGEST_TIMEOUT).as_nanos().div_ceil(1000);
    TimeVal::microseconds(i64::try_from(microseconds).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use netlink_packet_core::NLM_F_ACK;
    use netlink_packet_core::NLM_F_DUMP;
    use netlink_packet_core::NLM_F_REQUEST;
    use nix::sys::socket::MsgFlags;
    use nix::sys::socket::send;

    use super::*;
    use crate::message::Messages;

    // Every Linux has NETLINK_ROUTE and NETLINK_USERSOCK, and requests to them need no privilege.
    const NETLINK_ROUTE: u8 = 0;
    const NETLINK_USERSOCK: u8 = 2;
    /// A group of `NETLINK_ROUTE` that gets no messages.
    const RTNLGRP_NOP4: u32 = 17;

    fn request(socket: &KernelSocket, kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::new();
        let message = Message {
            kind,
            flags: NLM_F_REQUEST | NLM_F_ACK,
            sequence: 7,
            portid: socket.portid(),
            payload,
        };
        message.append_to(&mut datagram);
        datagram
    }

    #[test]
    fn kernel_answers_with_a_status() {
        let mut socket = KernelSocket::open(NETLINK_ROUTE).unwrap();
        let mut buffer = [0; 4096];
        assert_eq!(socket.receive(&mut buffer).unwrap(), None);
        // RTM_GETLINK for an interface index that cannot exist.
        let mut payload = [0; 16];
        payload[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        socket.send(&request(&socket, 18, &payload)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        assert_eq!(socket.wait(Some(deadline), None).unwrap(), Wake::Readable);
        let datagram = socket.receive(&mut buffer).unwrap().unwrap();
        let message = Messages::new(datagram).next().unwrap().unwrap();
        assert_eq!((message.sequence, message.portid), (7, socket.portid()));
        let status = Status::parse(&message).unwrap().unwrap();
        assert_eq!((status.errno, status.request), (Some(Errno::ENODEV), 18));
    }

    #[test]
    fn requests_are_answered_up_to_their_acknowledgement_or_the_end_of_the_dump() {
        let mut socket = KernelSocket::open(NETLINK_ROUTE).unwrap();
        // RTM_GETLINK for all interfaces: there is at least lo. Then RTM_GETLINK for an interface
        // that cannot exist.
        let mut links = 0;
        let mut count = |message: &Message<'_>| {
            links += usize::from(message.kind == 16);
            Ok(())
        };
        let end = socket.ask(18, NLM_F_DUMP, &[0; 16], &mut count).unwrap();
        assert_eq!(end.unwrap().errno, None);
        let mut payload = [0; 16];
        payload[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        let end = socket.ask(18, NLM_F_ACK, &payload, &mut count).unwrap();
        assert_eq!(end.unwrap().errno, Some(Errno::ENODEV));
        // Message type 1 is NLMSG_NOOP. Without NLM_F_ACK, the kernel does not answer the message.
        assert_eq!(socket.ask(1, 0, &[], &mut count).unwrap(), None);
        assert_eq!(socket.receive(&mut [0; 64]).unwrap(), None);
        assert!(links > 0);
    }

    #[test]
    fn truncated_message_is_an_error() {
        let mut socket = KernelSocket::open(NETLINK_ROUTE).unwrap();
        socket.send(&request(&socket, 18, &[0; 16])).unwrap();
        let error = socket.receive(&mut [0; 20]).unwrap_err();
        assert!(matches!(error, Error::Truncated { length, capacity: 20 } if length > 20));
    }

    #[test]
    fn other_processes_are_refused_by_the_kernel() {
        let mut victim = KernelSocket::open(NETLINK_USERSOCK).unwrap();
        let attacker = Socket::new(isize::from(NETLINK_USERSOCK)).unwrap();
        let target = SocketAddr::new(victim.portid(), 0);
        let forged = request(&victim, 16, b"forged");
        let refused = attacker.send_to(&forged, &target, 0).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert_eq!(victim.receive(&mut [0; 64]).unwrap(), None);
        assert_eq!(victim.foreign(), 0);
    }

    #[test]
    fn what_other_processes_send_to_a_group_is_discarded() {
        let mut victim = KernelSocket::open(NETLINK_USERSOCK).unwrap();
        victim.join(1).unwrap();
        let attacker = Socket::new(isize::from(NETLINK_USERSOCK)).unwrap();
        let forged = request(&victim, 16, b"forged");
        let mut inbox = inbox(4);
        for foreign in 1..=3 {
            // The group gets the message. Then the send fails, because the kernel has no socket of
            // this protocol.
            let error = attacker
                .send_to(&forged, &SocketAddr::new(0, 1), 0)
                .unwrap_err();
            assert_eq!(errno_of(&error), Errno::ECONNREFUSED);
            match foreign {
                1 => assert_eq!(victim.receive(&mut [0; 64]).unwrap(), None),
                2 => assert_eq!(victim.receive_many(&mut inbox).unwrap(), 0),
                // This call ends because it discards a message. Otherwise it would wait for ever.
                _ => assert_eq!(victim.await_many(&mut inbox).unwrap(), 0),
            }
            assert_eq!(victim.foreign(), foreign);
        }
    }

    fn inbox(places: usize) -> Inbox {
        let number = |number| std::num::NonZero::new(number).unwrap();
        Inbox::new(number(places), number(40))
    }

    #[test]
    fn datagrams_are_received_together_up_to_the_room_there_is() {
        let mut socket = KernelSocket::open(NETLINK_ROUTE).unwrap();
        let mut inbox = inbox(5);
        assert_eq!(socket.receive_many(&mut inbox).unwrap(), 0);
        // Message type 1 is NLMSG_NOOP: the kernel answers each message with an acknowledgement of
        // 36 bytes.
        let acknowledged = |sequence| {
            let mut datagram = Vec::new();
            let (kind, flags) = (1, NLM_F_REQUEST | NLM_F_ACK);
            let message = Message {
                kind,
                flags,
                sequence,
                portid: 0,
                payload: &[],
            };
            message.append_to(&mut datagram);
            datagram
        };
        socket
            .send(&(1..=8).flat_map(acknowledged).collect::<Vec<_>>())
            .unwrap();
        let mut sequence = 0;
        for (count, full) in [(5, true), (3, false), (0, false)] {
            assert_eq!(socket.receive_many(&mut inbox).unwrap(), count);
            assert_eq!((inbox.len(), inbox.is_full()), (count, full));
            for datagram in inbox.datagrams() {
                let message = Messages::new(datagram.unwrap()).next().unwrap().unwrap();
                sequence += 1;
                assert_eq!(message.sequence, sequence);
            }
        }
        assert_eq!(sequence, 8);
    }

    /// Sends requests. The kernel answers each request with an acknowledgement only.
    fn ask(socket: &KernelSocket, count: u32) {
        let noop = request(socket, 1, &[]);
        (0..count).for_each(|_| socket.send(&noop).unwrap());
    }

    #[test]
    fn datagrams_behind_one_that_came_alone_are_received_and_more_of_them_together_again() {
        let mut socket = KernelSocket::open(NETLINK_ROUTE).unwrap();
        let mut inbox = inbox(64);
        ask(&socket, 1);
        assert_eq!(socket.receive_many(&mut inbox).unwrap(), 1);
        ask(&socket, 100);
        let mut counts = Vec::new();
        loop {
            match socket.receive_many(&mut inbox).unwrap() {
                0 => break,
                count => counts.push(count),
            }
        }
        assert_eq!(counts.iter().sum::<usize>(), 100);
        assert!(counts[0] == 1 && counts.contains(&64), "{counts:?}");
    }

    #[test]
    fn first_datagram_is_awaited_as_long_as_it_may_take() {
        let alone = KernelSocket::open(NETLINK_ROUTE).unwrap();
        let mut joined = KernelSocket::open(NETLINK_ROUTE).unwrap();
        joined.join(RTNLGRP_NOP4).unwrap();
        for mut socket in [alone, joined] {
            let time = Duration::from_millis(50);
            socket.set_receive_timeout(time).unwrap();
            let mut inbox = inbox(4);
            // The result is the same in each round, although after the first round each call asks
            // the kernel for one datagram only.
            for _ in 0..3 {
                let start = Instant::now();
                assert_eq!(socket.await_many(&mut inbox).unwrap(), 0);
                assert!(start.elapsed() >= time, "joined: {}", socket.joined);
                ask(&socket, 1);
                assert_eq!(socket.await_many(&mut inbox).unwrap(), 1);
            }
            socket.set_receive_timeout(Duration::MAX).unwrap();
            let (asking, noop) = (
                socket.as_fd().try_clone_to_owned().unwrap(),
                request(&socket, 1, &[]),
            );
            let asking = thread::spawn(move || send(asking.as_raw_fd(), &noop, MsgFlags::empty()));
            assert_eq!(socket.await_many(&mut inbox).unwrap(), 1);
            asking.join().unwrap().unwrap();
        }
    }

    #[test]
    fn timeout_is_rounded_up_and_never_means_for_ever() {
        let microseconds = |time| timeout_value(time).num_microseconds();
        assert_eq!(microseconds(Duration::from_nanos(1)), 1);
        assert_eq!(microseconds(Duration::from_nanos(2001)), 3);
        assert_eq!(microseconds(Duration::from_secs(5)), 5_000_000);
        let socket = KernelSocket::open(NETLINK_ROUTE).unwrap();
        let kept = || getsockopt(&socket, ReceiveTimeout).unwrap();
        for time in [Duration::from_nanos(1), Duration::MAX] {
            socket.set_receive_timeout(time).unwrap();
            assert!(kept().num_microseconds() > 0, "{time:?}");
        }
        assert_eq!(kept().num_seconds(), (1 << 31) - 1);
        let error = socket.set_receive_timeout(Duration::ZERO).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EINVAL));
        assert_eq!(kept().num_seconds(), (1 << 31) - 1);
    }

    #[test]
    fn error_behind_datagrams_is_left_for_the_next_receipt_of_any_kind() {
        let mut socket = KernelSocket::open(NETLINK_ROUTE).unwrap();
        let mut inbox = inbox(4);
        let mut buffer = [0; 64];
        for many in [false, true] {
            socket.failure = Some(Errno::ENOBUFS);
            assert_eq!(socket.wait(None, None).unwrap(), Wake::Readable);
            let error = if many {
                socket.receive_many(&mut inbox).unwrap_err()
            } else {
                socket.receive(&mut buffer).unwrap_err()
            };
            assert!(matches!(error, Error::Overrun { .. }), "{error}");
            assert_eq!(socket.receive(&mut buffer).unwrap(), None);
        }
    }

    #[test]
    fn datagram_longer_than_its_place_is_an_error_and_those_around_it_are_not() {
        let mut socket = KernelSocket::open(NETLINK_ROUTE).unwrap();
        let mut inbox = inbox(4);
        // `found` asks for interface 1, which exists, so the answer is longer than a place.
        let mut found = [0; 16];
        found[4] = 1;
        let mut none = [0; 16];
        none[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        for payload in [none, found, none] {
            socket.send(&request(&socket, 18, &payload)).unwrap();
        }
        let mut truncated = Vec::new();
        while socket.receive_many(&mut inbox).unwrap() > 0 {
            truncated.extend(inbox.datagrams().map(|datagram| datagram.is_err()));
        }
        assert!(
            truncated.len() >= 3 && truncated.contains(&true),
            "{truncated:?}"
        );
        assert!(truncated.last() == Some(&false) || truncated.first() == Some(&false));
    }

    #[test]
    fn thousand_answers_fit_or_their_loss_is_told() {
        let mut socket = KernelSocket::open(NETLINK_ROUTE).unwrap();
        socket.grow_receive_buffer(1000 * 1024).unwrap();
        // Message type 1 is NLMSG_NOOP: the kernel answers with an acknowledgement only.
        let noop = request(&socket, 1, &[]);
        socket.send(&noop.repeat(1000)).unwrap();
        let mut buffer = [0; 4096];
        let mut answers = 0;
        loop {
            match socket.receive(&mut buffer) {
                Ok(Some(_)) => answers += 1,
                Ok(None) => break assert_eq!(answers, 1000),
                Err(Error::Overrun { capacity }) => break assert!(capacity < 1000 * 1024),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn oversized_datagram_names_the_limit() {
        let socket = KernelSocket::open(NETLINK_ROUTE).unwrap();
        let error = socket.send(&vec![0; 64 << 20]).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EMSGSIZE));
        assert!(error.to_string().contains("net.core.wmem_max"), "{error}");
    }

    #[test]
    fn unused_protocol_is_refused() {
        let error = KernelSocket::open(31).err().unwrap();
        assert_eq!(error.errno(), Some(Errno::EPROTONOSUPPORT));
    }
}
