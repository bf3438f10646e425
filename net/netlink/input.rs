// SPDX-License-Identifier: GPL-2.0

//! The trait of subsystems that serve a netlink protocol.

use kernel::{
    bindings,
    prelude::*, //
};

use super::{
    message::Header,
    operation::{
        Handled,
        Operation, //
    },
    request::Request, //
};

use crate::net::pernet::Subsystem;

/// The number of a netlink protocol, as in `socket(AF_NETLINK, SOCK_RAW, protocol)`.
///
/// # Invariants
///
/// The number is below `MAX_LINKS`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Protocol(u8);

impl Protocol {
    /// The protocol with this number; `None` if the kernel allows no such number.
    pub const fn new(number: u8) -> Option<Self> {
        // CAST: Widening.
        if (number as u32) < bindings::MAX_LINKS {
            // INVARIANT: The number was just checked.
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A subsystem that serves a netlink protocol.
///
/// The callbacks run in the context of the client's `sendmsg()`: in process context, and on several
/// CPUs at the same time. The callbacks may sleep, and the client waits until they return.
pub trait Input: Subsystem {
    /// The operations, the most frequent ones first. A request that no operation serves fails with
    /// `EOPNOTSUPP`. Two operations for the same type of message are a compile error.
    ///
    /// The client gets an acknowledgement if it asked for one, and always if its request
    /// fails. The acknowledgement of a failed request has the error number and the other
    /// contents of the [`Refusal`](super::Refusal). As in `netlink_rcv_skb()`, the failure
    /// `EINTR` is not reported to the client.
    const OPERATIONS: &'static [Operation<Self>];

    /// The protocol that [`KernelSocket`](super::KernelSocket) opens for an instance.
    fn protocol(&self) -> Protocol;

    /// Called for a message that is [not a request](Header::is_request). If the method
    /// returns `None`, the message is ignored, as the rules of netlink demand. A protocol
    /// should serve such a message only for clients that are older than these rules.
    ///
    /// If the answer to a message that is not a request cannot be sent, the error is not
    /// reported to the client, because the client made no request.
    fn other(&self, _message: &Request<'_>) -> Option<Handled> {
        None
    }

    /// Called after each message that was not ignored, so that the subsystem can count messages.
    fn served(&self, _header: &Header, _outcome: Outcome) {}
}

/// The outcome of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The client gets neither an acknowledgement nor an error: the message asked for no
    /// acknowledgement, or its handler failed with `EINTR`.
    Quiet,
    /// The message was acknowledged.
    Acknowledged,
    /// The message failed, and the client gets this error.
    Failed(Error),
}
