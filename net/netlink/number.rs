// SPDX-License-Identifier: GPL-2.0

//! How messages are numbered, and what comes of it between netlink's header and their payload.

use super::message::MessageType;

mod sealed {
    pub trait Sealed {}
}

/// What tells the messages of a kind apart: [`MessageType`] those of a protocol, [`Command`] those of a
/// family of generic netlink.
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
