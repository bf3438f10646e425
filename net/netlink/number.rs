// SPDX-License-Identifier: GPL-2.0

//! The numbers of messages. In generic netlink, a message has its number in a header between
//! netlink's header and the payload.

use core::convert::Infallible;

use super::message::MessageType;

mod sealed {
    pub trait Sealed {}
}

/// The number of a message. In a raw protocol the number is a [`MessageType`]. In a family of
/// generic netlink the number is a [`Command`].
///
/// Operations, requests and dumps have a number of one of these two types. Code that works with
/// both types is generic over `Number`.
pub trait Number: sealed::Sealed + Copy + PartialEq + 'static {
    /// The values that are the same in the headers of all messages of a family of generic netlink.
    #[doc(hidden)]
    type Envelope: Copy + Send + 'static;

    /// The header between netlink's header and the payload.
    #[doc(hidden)]
    type Head: AsRef<[u8]>;

    /// This type is `()` if a message may have a payload that is no list of attributes. Otherwise
    /// this type is [`Infallible`], which has no values. The variant `Handler::Raw` contains a
    /// value of this type, so with `Infallible` nobody can make that variant.
    #[doc(hidden)]
    type Raw: Copy;

    /// The type that a message with this number has in netlink's header.
    #[doc(hidden)]
    fn msg_type(self, envelope: Self::Envelope) -> MessageType;

    /// The header between netlink's header and the payload, in a message with this number.
    #[doc(hidden)]
    fn head(self, envelope: Self::Envelope) -> Self::Head;
}

impl sealed::Sealed for MessageType {}

// The types below have size 0. So support for generic netlink does not make the code for a raw
// protocol slower.
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

/// The size of the header that generic netlink puts between netlink's header and the payload
/// (`GENL_HDRLEN`).
pub(super) const HEAD_LEN: usize = 4;

/// The number of a message in a family of generic netlink (`struct genlmsghdr`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Command(u8);

impl Command {
    /// The command with this number. bindgen gives constants 32 bits, so `number` is wider than a
    /// command. In a constant, a number of more than 8 bits does not compile.
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

/// The values that all messages of a family of generic netlink have in their headers.
#[derive(Clone, Copy)]
pub struct Envelope {
    pub(super) family: MessageType,
    pub(super) version: u8,
}
