// SPDX-License-Identifier: GPL-2.0

//! How messages are numbered, and what comes of it between netlink's header and their payload.

use core::convert::Infallible;

use super::message::MessageType;

mod sealed {
    pub trait Sealed {}
}

/// What tells the messages of a kind apart: [`MessageType`] those of a protocol, [`Command`] those
/// of a family of generic netlink.
///
/// Operations, requests and dumps are of one kind. What serves both is generic over it.
pub trait Number: sealed::Sealed + Copy + PartialEq + 'static {
    /// What is the same for all messages of a family, as far as they tell it.
    #[doc(hidden)]
    type Envelope: Copy + Send + 'static;

    /// What comes before the payload of a message.
    #[doc(hidden)]
    type Head: AsRef<[u8]>;

    /// There are values if messages may have a payload that is not made of attributes.
    #[doc(hidden)]
    type Raw: Copy;

    /// The type of a message in netlink's header.
    #[doc(hidden)]
    fn msg_type(self, envelope: Self::Envelope) -> MessageType;

    /// What comes before its payload.
    #[doc(hidden)]
    fn head(self, envelope: Self::Envelope) -> Self::Head;
}

impl sealed::Sealed for MessageType {}

// All of it has no size: a protocol's own messages are made as if there were no others.
impl Number for MessageType {
    type Envelope = ();
    type Head = [u8; 0];
    type Raw = ();

    #[inline(always)]
    fn msg_type(self, (): ()) -> MessageType {
        self
    }

    #[inline(always)]
    fn head(self, (): ()) -> [u8; 0] {
        []
    }
}

/// The size of a family's header in a buffer (`GENL_HDRLEN`).
pub(super) const HEAD_LEN: usize = 4;

/// What a message of a generic netlink family is (`struct genlmsghdr`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Command(u8);

impl Command {
    /// The command of that number, which bindgen takes for 32 bits wide. One of more than 8 bits
    /// does not compile, if this is used for a constant.
    pub const fn new(number: u32) -> Self {
        assert!(number <= u8::MAX as u32, "a command has 8 bits");
        Self(number as u8) // CAST: Just checked.
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl sealed::Sealed for Command {}

impl Number for Command {
    type Envelope = Envelope;
    type Head = [u8; HEAD_LEN];
    type Raw = Infallible;

    fn msg_type(self, envelope: Envelope) -> MessageType {
        envelope.family
    }

    fn head(self, envelope: Envelope) -> [u8; HEAD_LEN] {
        [self.0, envelope.version, 0, 0]
    }
}

/// What all messages of a generic netlink family tell.
#[derive(Clone, Copy)]
pub struct Envelope {
    pub(super) family: MessageType,
    pub(super) version: u8,
}
