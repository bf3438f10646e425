// SPDX-License-Identifier: GPL-2.0

//! What a subsystem that serves a netlink protocol has to say.

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
    /// The protocol of that number; `None` if there can be none.
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
    /// The client gets an acknowledgement if it asked for one, and always if its request fails:
    /// with the error number, and with what the [`Refusal`](super::Refusal) says. An `EINTR` goes
    /// unreported.
    const OPERATIONS: &'static [Operation<Self>];

    /// The protocol that [`KernelSocket`](super::KernelSocket) opens for an instance.
    fn protocol(&self) -> Protocol;

    /// Looks at a message that is [no request](Header::is_request). `None` ignores the message, as
    /// the rules of netlink demand. Only a client that predates the rules should be served.
    ///
    /// The client never hears of an error: it asked for nothing.
    fn other(&self, _message: &Request<'_>) -> Option<Handled> {
        None
    }

    /// Told of every message that was served or answered, for statistics.
    fn served(&self, _header: &Header, _outcome: Outcome) {}
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was served, and asked for no acknowledgement.
    Quiet,
    /// It was acknowledged.
    Acknowledged,
    /// Its failure was reported.
    Failed(Error),
}
