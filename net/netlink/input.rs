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
            // INVARIANT: Just checked.
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
/// The callbacks run in the context of the client's `sendmsg()`: in process context, on any number
/// of CPUs at once. They may sleep, and the client waits meanwhile.
pub trait Input: Subsystem {
    /// The requests that are served, the most frequent ones first. Others fail with `EOPNOTSUPP`.
    /// Two operations for one type of message do not compile.
    ///
    /// The client gets an acknowledgement if it asked for one, and always if its request fails.
    /// Then the acknowledgement has the error number and the rest of the
    /// [`Refusal`](super::Refusal). `EINTR` is not reported.
    const OPERATIONS: &'static [Operation<Self>];

    /// The protocol that [`KernelSocket`](super::KernelSocket) opens for an instance.
    fn protocol(&self) -> Protocol;

    /// Called for a message that is [not a request](Header::is_request). `None` ignores the
    /// message, as the rules of netlink demand. Only clients that are older than these rules should
    /// be served.
    ///
    /// An error is not reported to the client, because it made no request.
    fn other(&self, _message: &Request<'_>) -> Option<Handled> {
        None
    }

    /// Called for every message that was served or answered, for statistics.
    fn served(&self, _header: &Header, _outcome: Outcome) {}
}

/// The outcome of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The message was served, and asked for no acknowledgement.
    Quiet,
    /// The message was acknowledged.
    Acknowledged,
    /// The failure of the message was reported.
    Failed(Error),
}
