// SPDX-License-Identifier: GPL-2.0

//! A netlink socket that knows the expected answers.

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
/// The length of the buffer for a received message. It is more than the largest message.
const BUFFER_LEN: usize = 256 << 10;
/// The size of a receive buffer. It is so large that answers are lost only on purpose.
const RECEIVE_BUFFER: u32 = 16 << 20;

/// A client of the module.
pub struct Client {
    socket: Socket,
    portid: u32,
    privileged: bool,
    sequence: u32,
    expected: VecDeque<Answer>,
    /// Whether answers may be missing, because its receive buffer was full.
    lossy: bool,
    /// Whether the socket was changed since it was opened.
    changed: bool,
    received: Vec<u8>,
}

/// The options of a client's socket.
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
    /// If the kernel refuses to open the socket or to set its options.
    #[must_use]
    pub fn open(privileged: bool) -> Self {
        Self::open_with(privileged, vec![0; BUFFER_LEN])
    }

    fn open_with(privileged: bool, received: Vec<u8>) -> Self {
        // For a connected socket, the rights of its opener count.
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

    /// Opens the socket again, if it was changed.
    pub fn renew(&mut self) {
        if self.changed {
            self.reopen();
        }
    }

    /// Opens the socket again.
    pub fn reopen(&mut self) {
        *self = Self::open_with(self.privileged, mem::take(&mut self.received));
    }

    /// The number for the next message.
    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends a buffer to the module and, if `group` is one, to that group, too. Returns the number
    /// of messages.
    pub fn send(&mut self, buffer: &[u8], group: Option<u32>) -> usize {
        let sent = match group {
            None => self.socket.send(buffer, libc::MSG_DONTWAIT),
            Some(group) => {
                let address = SocketAddr::new(0, 1 << (group - 1));
                self.socket.send_to(buffer, &address, libc::MSG_DONTWAIT)
            }
        };
        // The kernel refuses a buffer that is too large.
        if sent.is_err() {
            return 0;
        }
        // If the destination is named, the current rights of the process count.
        let privileged = self.privileged || group.is_some();
        self.expected.extend(answers::answers(buffer, privileged));
        Messages::new(buffer).flatten().count()
    }

    /// Sets one of the socket's options.
    ///
    /// # Panics
    ///
    /// If the kernel does not know the option.
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

    /// Gives the socket a small receive buffer, so that answers are lost.
    ///
    /// # Panics
    ///
    /// If the kernel refuses to set the size.
    pub fn narrow(&mut self) {
        self.lossy = true;
        self.changed = true;
        self.socket.set_rx_buf_sz(0_u32).expect("a receive buffer");
    }

    /// Joins or leaves a group. The group may not exist.
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
    /// If the module answered something else.
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
        // An event has no portid.
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

    /// Receives all messages that wait. All expected answers must have come.
    ///
    /// # Panics
    ///
    /// If an answer is missing.
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
