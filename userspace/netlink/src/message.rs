// SPDX-License-Identifier: MIT OR Apache-2.0

//! Netlink messages: walking the messages of a datagram, and building new ones.

use netlink_packet_core::NetlinkBuffer;

use crate::framing::Malformed;
use crate::framing::aligned;
use crate::framing::pad;

/// Length of a netlink message header.
pub const HEADER_LEN: usize = 16;

/// One message, borrowed from the datagram that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Message type.
    pub kind: u16,
    /// `NLM_F_*` flags.
    pub flags: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Port number in the header. It does not prove who sent the message.
    pub portid: u32,
    /// The bytes after the header, without padding.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// Appends this message to a send buffer, starting at the next 4-byte boundary.
    ///
    /// # Panics
    ///
    /// Panics if the payload is too long: the length of a message is a 32-bit number.
    pub fn append_to(&self, buffer: &mut Vec<u8>) {
        self.append_with(buffer, |_| ());
    }

    /// Appends this message as [`append_to`](Self::append_to) does, with the attributes that `more`
    /// appends behind the payload. The length of the payload must be a multiple of 4.
    ///
    /// # Panics
    ///
    /// Panics if payload and attributes together are too long: the length of a message is a 32-bit
    /// number.
    pub fn append_with(&self, buffer: &mut Vec<u8>, more: impl FnOnce(&mut Vec<u8>)) {
        pad(buffer);
        let start = buffer.len();
        let mut header = [0; HEADER_LEN];
        let mut fields = NetlinkBuffer::new(&mut header);
        fields.set_message_type(self.kind);
        fields.set_flags(self.flags);
        fields.set_sequence_number(self.sequence);
        fields.set_port_number(self.portid);
        buffer.extend_from_slice(&header);
        buffer.extend_from_slice(self.payload);
        more(buffer);
        let length = u32::try_from(buffer.len() - start).expect("a netlink message is under 4 GiB");
        NetlinkBuffer::new(&mut buffer[start..]).set_length(length);
        pad(buffer);
    }
}

/// Walks the messages in a datagram. Ends after the first malformed message.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Starts at the first message of `datagram`.
    #[must_use]
    pub fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }

    /// The bytes of the messages that were not walked yet.
    #[must_use]
    pub fn remaining(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let datagram = std::mem::take(&mut self.rest);
        if datagram.is_empty() {
            return None;
        }
        if datagram.len() < HEADER_LEN {
            return Some(Err(Malformed("message shorter than its header")));
        }
        let header = NetlinkBuffer::new(datagram);
        let length = header.length() as usize;
        let Some(payload) = datagram.get(HEADER_LEN..length) else {
            return Some(Err(Malformed("message length out of bounds")));
        };
        self.rest = datagram.get(aligned(length)..).unwrap_or_default();
        Some(Ok(Message {
            kind: header.message_type(),
            flags: header.flags(),
            sequence: header.sequence_number(),
            portid: header.port_number(),
            payload,
        }))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn message(kind: u16, sequence: u32, payload: &[u8]) -> Message<'_> {
        Message {
            kind,
            flags: 0,
            sequence,
            portid: 42,
            payload,
        }
    }

    #[test]
    fn what_is_appended_is_read_back() {
        let mut datagram = Vec::new();
        message(16, 1, b"hello").append_to(&mut datagram);
        message(17, 2, b"").append_to(&mut datagram);
        assert_eq!(datagram.len(), 16 + 8 + 16);
        let all: Vec<_> = Messages::new(&datagram).map(Result::unwrap).collect();
        assert_eq!(all, [message(16, 1, b"hello"), message(17, 2, b"")]);
    }

    #[test]
    fn last_message_may_lack_padding() {
        let mut datagram = Vec::new();
        message(16, 1, b"hello").append_to(&mut datagram);
        datagram.truncate(21);
        let only = Messages::new(&datagram).next().unwrap().unwrap();
        assert_eq!(only.payload, b"hello");
    }

    #[test]
    fn lying_lengths_end_the_walk_with_an_error() {
        for length in [0_u32, 1, 15, 22, 0x7fff_ffff, u32::MAX] {
            let mut datagram = Vec::new();
            message(16, 1, b"hello").append_to(&mut datagram);
            datagram.truncate(21);
            datagram[..4].copy_from_slice(&length.to_ne_bytes());
            let mut walk = Messages::new(&datagram);
            assert!(walk.next().unwrap().is_err(), "length {length}");
            assert!(walk.next().is_none(), "length {length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            length in 0..220_u32,
        ) {
            let mut bytes = bytes;
            if let Some(field) = bytes.get_mut(..4) {
                field.copy_from_slice(&length.to_ne_bytes());
            }
            for message in Messages::new(&bytes).flatten() {
                prop_assert!(message.payload.len() + HEADER_LEN <= bytes.len());
            }
        }
    }
}
