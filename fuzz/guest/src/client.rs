// SPDX-License-Identifier: GPL-2.0

//! A netlink client that knows which answers it must get.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::mem;

use knetlink::Message;
use knetlink::Messages;
use netlink_sys::Socket;
use netlink_sys::SocketAddr;
use nix::libc;
use nix::unistd::Uid;
use nix::unistd::seteuid;
use nldemo::protocol;

use crate::answers;
use crate::answers::Answer;
use crate::answers::Judgement;

/// A user without capabilities.
const NOBODY: Uid = Uid::from_raw(65534);
/// The length of the buffer for received messages, in bytes. The largest message is shorter.
const BUFFER_LEN: usize = 256 << 10;
/// The size of a socket's receive buffer, in bytes. It is so large that answers are lost only after
/// [`Client::narrow()`].
const RECEIVE_BUFFER: u32 = 16 << 20;

/// A client of the module.
pub struct Client {
    socket: Socket,
    portid: u32,
    privileged: bool,
    sequence: u32,
    expected: VecDeque<Answer>,
    /// Whether answers may be missing, because the socket's receive buffer is small or was full.
    lossy: bool,
    /// Whether options or groups of the socket may have changed since it was opened.
    changed: bool,
    received: Vec<u8>,
}

/// The socket options that an input can set.
#[derive(Clone, Copy, Debug, arbitrary::Arbitrary)]
pub enum Switch {
    ExtendedAck,
    CappedAck,
    StrictCheck,
    NoEnobufs,
    BroadcastErrors,
    AllNamespaces,
    PacketInfo,
}

impl Client {
    /// Opens a socket.
    ///
    /// # Panics
    ///
    /// Panics if the kernel refuses to open the socket or to set its options.
    #[must_use]
    pub fn open(privileged: bool) -> Self {
        Self::open_with(privileged, vec![0; BUFFER_LEN])
    }

    fn open_with(privileged: bool, received: Vec<u8>) -> Self {
        // If a connected socket sends without an address, netlink checks the rights of the user who
        // opened the socket.
        let opened_by = |uid| seteuid(uid).expect("root may be anybody");
        if !privileged {
            opened_by(NOBODY);
        }
        let socket = Socket::new(protocol::PROTOCOL_DEFAULT.into());
        if !privileged {
            opened_by(Uid::from_raw(0));
        }
        let mut socket = socket.expect("the module has a socket");
        let address = socket.bind_auto().expect("there is an address");
        socket
            .connect(&SocketAddr::new(0, 0))
            .expect("the kernel is there");
        socket
            .set_rx_buf_sz(RECEIVE_BUFFER)
            .expect("a receive buffer");
        Self {
            socket,
            portid: address.port_number(),
            privileged,
            sequence: 0,
            expected: VecDeque::new(),
            lossy: false,
            changed: false,
            received,
        }
    }

    /// Replaces the socket by a new one, if the socket may have changed.
    pub fn renew(&mut self) {
        if self.changed {
            self.reopen();
        }
    }

    /// Replaces the socket by a new one.
    pub fn reopen(&mut self) {
        *self = Self::open_with(self.privileged, mem::take(&mut self.received));
    }

    /// The sequence number for the next message.
    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends a buffer to the module. If `group` is `Some`, the sockets of this group get the
    /// buffer, too. Returns the number of messages that were sent.
    pub fn send(&mut self, buffer: &[u8], group: Option<u32>) -> usize {
        let sent = match group {
            None => self.socket.send(buffer, libc::MSG_DONTWAIT),
            Some(group) => {
                let address = SocketAddr::new(0, 1 << (group - 1));
                self.socket.send_to(buffer, &address, libc::MSG_DONTWAIT)
            }
        };
        // For example, the kernel refuses a buffer that is too large for the socket.
        if sent.is_err() {
            return 0;
        }
        // If a call names the destination, netlink checks only the rights that the process has now.
        // The fuzzer runs as root.
        let privileged = self.privileged || group.is_some();
        self.expected.extend(answers::answers(buffer, privileged));
        Messages::new(buffer).flatten().count()
    }

    /// Sets one of the socket's options.
    ///
    /// # Panics
    ///
    /// Panics if the kernel does not know the option.
    pub fn switch(&mut self, switch: Switch, on: bool) {
        self.changed = true;
        match switch {
            Switch::ExtendedAck => self.socket.set_ext_ack(on),
            Switch::CappedAck => self.socket.set_cap_ack(on),
            Switch::StrictCheck => self.socket.set_netlink_get_strict_chk(on),
            Switch::NoEnobufs => self.socket.set_no_enobufs(on),
            Switch::BroadcastErrors => self.socket.set_broadcast_error(on),
            Switch::AllNamespaces => self.socket.set_listen_all_namespaces(on),
            Switch::PacketInfo => self.socket.set_pktinfo(on),
        }
        .expect("a socket option");
    }

    /// Gives the socket a small receive buffer, so that the kernel drops answers.
    ///
    /// # Panics
    ///
    /// Panics if the kernel refuses to set the size.
    pub fn narrow(&mut self) {
        self.lossy = true;
        self.changed = true;
        self.socket.set_rx_buf_sz(0_u32).expect("a receive buffer");
    }

    /// Joins the group if `join` is true. Otherwise leaves it. A group of this number need not
    /// exist.
    pub fn membership(&mut self, group: u32, join: bool) {
        self.changed = true;
        let _ = if join {
            self.socket.add_membership(group)
        } else {
            self.socket.drop_membership(group)
        };
    }

    /// Receives all messages that wait, and compares them with the expected answers.
    ///
    /// # Panics
    ///
    /// Panics if a message is not the expected answer.
    pub fn receive(&mut self) {
        let mut buffer = mem::take(&mut self.received);
        loop {
            let mut room = &mut buffer[..];
            match self.socket.recv_from(&mut room, libc::MSG_DONTWAIT) {
                // Messages that other clients sent to a group are ignored.
                Ok((_, from)) if from.port_number() != 0 => {}
                Ok((len, _)) => {
                    for message in Messages::new(&buffer[..len]) {
                        self.take(&message.expect("sound messages"));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.lossy = true,
                Err(error) => panic!("recvmsg: {error}"),
            }
        }
        self.received = buffer;
    }

    fn take(&mut self, message: &Message<'_>) {
        // In an event the portid is 0.
        if message.portid == 0 {
            match message.kind {
                protocol::MSG_CONFIG_NTF => answers::check_config(message.payload),
                protocol::MSG_NETNS_NTF => {}
                _ => panic!("no such event: {message:?}"),
            }
            return;
        }
        while let Some(answer) = self.expected.front() {
            match answer.judge(message, self.portid) {
                Judgement::Whole => {
                    self.expected.pop_front();
                    return;
                }
                Judgement::Part => return,
                Judgement::Other if self.lossy || answer.is_optional() => {
                    self.expected.pop_front();
                }
                Judgement::Other => panic!("{message:?} came instead of {answer:?}"),
            }
        }
        assert!(self.lossy, "nobody asked for {message:?}");
    }

    /// Receives all messages that wait, and checks that no expected answer is missing.
    ///
    /// # Panics
    ///
    /// Panics if an expected answer is missing, or a message is not the expected answer.
    pub fn finish(&mut self) {
        self.receive();
        let missing = self.expected.iter().find(|answer| !answer.is_optional());
        assert!(
            self.lossy || missing.is_none(),
            "nothing came instead of {missing:?}"
        );
        self.expected.clear();
    }
}
