// SPDX-License-Identifier: GPL-2.0

//! The echo client's socket.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use std::time::Instant;

use knetlink::HEADER_LEN;
use knetlink::KernelSocket;
use knetlink::Malformed;
use knetlink::Message;
use knetlink::Messages;
use knetlink::Wake;
use knetlink::aligned;
use netlink_packet_core::NLM_F_ACK;
use netlink_packet_core::NLM_F_REQUEST;

use super::exchange::Exchange;
use super::exchange::Expectation;
use super::payload::Payload;
use crate::durations::Durations;
use crate::error::Error;
use crate::error::Result;
use crate::mismatch::Mismatch;
use crate::protocol;

/// The length of the shortest receive buffer. It has room for an error message of the kernel.
const MIN_RECEIVE_LEN: usize = 16 * 1024;

/// The message type that netlink "hello kernel" clients send. Their messages have no flags.
const HELLO: u16 = 0;

/// The options of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Netlink protocol number of the module.
    pub protocol: u8,
    /// Send messages as netlink "hello kernel" clients do: with type 0 and without flags. The
    /// replies have type 23.
    pub legacy: bool,
    /// Ask for an acknowledgement of every message. This must not be set with `legacy`, because the
    /// messages then have no flags.
    pub acknowledge: bool,
    /// The time to wait for the replies to one batch.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            protocol: protocol::PROTOCOL_DEFAULT,
            legacy: false,
            acknowledge: false,
            timeout: Duration::from_secs(5),
        }
    }
}

/// A client of the module's echo, with its own socket.
pub struct Client {
    options: Options,
    socket: KernelSocket,
    sequence: u32,
    send: Vec<u8>,
    receive: Vec<u8>,
    last_reply: Vec<u8>,
}

impl Client {
    /// Opens a socket on the module's protocol number.
    pub fn open(options: Options) -> Result<Self> {
        Ok(Self {
            options,
            socket: KernelSocket::open(options.protocol)
                .map_err(|error| Error::of_module(error, options.protocol))?,
            sequence: 1,
            send: Vec::new(),
            receive: Vec::new(),
            last_reply: Vec::new(),
        })
    }

    /// The portid of this client's socket.
    #[must_use]
    pub fn portid(&self) -> u32 {
        self.socket.portid()
    }

    /// The sequence number of the next message.
    #[must_use]
    pub fn next_sequence(&self) -> u32 {
        self.sequence
    }

    /// The number of messages that were discarded because the kernel did not send them.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.socket.foreign()
    }

    /// The payload of the last reply to a [`Payload::Fixed`]; empty before the first reply.
    #[must_use]
    pub fn last_reply(&self) -> &[u8] {
        &self.last_reply
    }

    /// Sends `batch` messages in one datagram and waits until the kernel has answered all of them.
    ///
    /// Compares every reply with its request, byte for byte, and adds the time until the reply to
    /// `round_trips`. Returns false if `stop` became readable before all replies had come.
    pub fn exchange(
        &mut self,
        payload: &Payload,
        batch: usize,
        stop: Option<BorrowedFd<'_>>,
        round_trips: &mut Durations,
    ) -> Result<bool> {
        let first_sequence = self.sequence;
        self.compose(payload, batch);
        self.make_room(payload.len(), batch)?;
        let expectation = Expectation {
            reply_kind: if self.options.legacy {
                protocol::MSG_HELLO_REPLY
            } else {
                protocol::MSG_ECHO
            },
            portid: self.socket.portid(),
            acknowledged: self.options.acknowledge,
        };
        let sent = Messages::new(&self.send).flatten();
        let payloads = sent.map(|message| message.payload);
        let mut exchange = Exchange::new(expectation, first_sequence, payloads);

        let start = Instant::now();
        let deadline = start + self.options.timeout;
        self.socket
            .send(&self.send)
            .map_err(|error| Error::of_module(error, self.options.protocol))?;
        while exchange.outstanding() > 0 {
            if let Some(datagram) = self.socket.receive(&mut self.receive)? {
                let round_trip = start.elapsed();
                for message in Messages::new(datagram) {
                    let message = message?;
                    if !exchange.accept(&message)? {
                        continue;
                    }
                    round_trips.record(round_trip);
                    if let Payload::Fixed(_) = payload {
                        message.payload.clone_into(&mut self.last_reply);
                    }
                }
                continue;
            }
            match self.socket.wait(Some(deadline), stop)? {
                Wake::Readable => {}
                Wake::Stopped => return Ok(false),
                Wake::TimedOut => {
                    return Err(Error::NoReply {
                        expected: batch,
                        missing: exchange.outstanding(),
                        timeout: self.options.timeout,
                    });
                }
            }
        }
        Ok(true)
    }

    /// Checks that no unexpected message arrived. Call this function after the last exchange.
    pub fn finish(&mut self) -> Result<()> {
        let mut surplus = vec![0; MIN_RECEIVE_LEN];
        match self.socket.receive(&mut surplus) {
            Ok(None) => Ok(()),
            Ok(Some(datagram)) => match Messages::new(datagram).next() {
                Some(message) => Err(Error::Mismatch {
                    sequence: message?.sequence,
                    mismatch: Mismatch::Unexpected,
                }),
                None => Err(Malformed("empty datagram").into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Builds the datagram of one batch.
    fn compose(&mut self, payload: &Payload, batch: usize) {
        let (kind, flags) = match self.options {
            Options { legacy: true, .. } => (HELLO, 0),
            Options {
                acknowledge: true, ..
            } => (protocol::MSG_ECHO, NLM_F_REQUEST | NLM_F_ACK),
            _ => (protocol::MSG_ECHO, NLM_F_REQUEST),
        };
        self.send.clear();
        let mut bytes = Vec::new();
        for _ in 0..batch {
            payload.fill(self.sequence, &mut bytes);
            let message = Message {
                kind,
                flags,
                sequence: self.sequence,
                portid: self.socket.portid(),
                payload: &bytes,
            };
            message.append_to(&mut self.send);
            self.sequence = self.sequence.wrapping_add(1);
        }
    }

    /// Enlarges the socket's buffers. The kernel answers the whole batch before the send returns,
    /// so the receive buffer must have room for all replies together.
    fn make_room(&mut self, payload_len: usize, batch: usize) -> Result<()> {
        self.socket.grow_send_buffer(self.send.len())?;
        let mut room = buffer_cost(payload_len);
        if self.options.acknowledge {
            room += buffer_cost(64);
        }
        self.socket
            .grow_receive_buffer(room.saturating_mul(batch))?;
        let longest = HEADER_LEN + aligned(payload_len);
        if self.receive.len() < longest {
            self.receive.resize(longest.max(MIN_RECEIVE_LEN), 0);
        }
        Ok(())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The number of bytes that the kernel charges a receive buffer for a message. The kernel charges
/// the memory of the packet buffer and of its descriptor. The packet buffer has the length of the
/// data plus 320 bytes, rounded up to a power of two. For the descriptor, this function adds 512
/// bytes.
fn buffer_cost(payload_len: usize) -> usize {
    (HEADER_LEN + payload_len + 320).next_power_of_two() + 512
}
