// SPDX-License-Identifier: MIT OR Apache-2.0

//! A packet in a queue, before it is decoded.

use knetlink::Malformed;
use knetlink::attr::Attributes;

use crate::packet::NFQA_PACKET_HDR;
use crate::packet::Packet;
use crate::wire::NFGENMSG_LEN;

/// A packet that waits for its verdict, borrowed from the receive buffer.
///
/// A verdict needs only the packet's id. [`packet`](Self::packet) decodes the rest of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued<'a> {
    /// The id that a verdict uses for the packet; unique within its queue.
    pub id: u32,
    message: &'a [u8],
}

impl<'a> Queued<'a> {
    /// Finds the id in the payload of a packet message. The kernel puts the attribute with the id
    /// first.
    #[inline]
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let attributes = message
            .get(NFGENMSG_LEN..)
            .ok_or(Malformed("queue message shorter than its header"))?;
        for attribute in Attributes::new(attributes) {
            let attribute = attribute?;
            if attribute.kind == NFQA_PACKET_HDR {
                let id = attribute.be32()?;
                return Ok(Self { id, message });
            }
        }
        Err(Malformed("queued packet without its header"))
    }

    /// The packet in `message`. `id` is the id that was found in the message.
    pub(crate) fn at(id: u32, message: &'a [u8]) -> Self {
        Self { id, message }
    }

    /// The payload of the packet's message.
    pub(crate) fn message(&self) -> &'a [u8] {
        self.message
    }

    /// Copies the message out of the receive buffer.
    #[must_use]
    pub fn to_owned(&self) -> OwnedPacket {
        OwnedPacket {
            id: self.id,
            message: self.message.into(),
        }
    }

    /// Decodes everything that the kernel says about the packet. If this fails, the packet still
    /// waits for a verdict, which needs only the id.
    #[inline]
    pub fn packet(&self) -> Result<Packet<'a>, Malformed> {
        Packet::parse(self.message)
    }
}

/// A packet that waits for its verdict, with its message. A program can keep it, and send it to
/// other threads and tasks.
///
/// A verdict needs only the packet's id, so a verdict that fails does not consume the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPacket {
    /// The id that a verdict uses for the packet; unique within its queue.
    pub id: u32,
    message: Box<[u8]>,
}

impl OwnedPacket {
    /// Borrows the packet as [`Queued`].
    #[must_use]
    pub fn as_queued(&self) -> Queued<'_> {
        Queued::at(self.id, &self.message)
    }

    /// Decodes everything that the kernel says about the packet.
    pub fn packet(&self) -> Result<Packet<'_>, Malformed> {
        self.as_queued().packet()
    }
}

#[cfg(test)]
mod tests {
    use knetlink::attr;

    use super::*;
    use crate::packet::tests::packet_payload;

    #[test]
    fn id_is_found_wherever_it_is_and_the_first_counts() {
        let payload = packet_payload(0x0102);
        assert_eq!(Queued::parse(&payload).unwrap().id, 0x0102);
        let mut payload = vec![2, 0, 0, 7];
        attr::append(&mut payload, 200, [1, 2, 3]);
        attr::append(&mut payload, NFQA_PACKET_HDR, [0, 0, 0, 5, 8, 0, 0]);
        attr::append(&mut payload, NFQA_PACKET_HDR, [0, 0, 0, 6, 8, 0, 0]);
        let queued = Queued::parse(&payload).unwrap();
        assert_eq!((queued.id, queued.packet().unwrap().id), (5, 5));
    }

    #[test]
    fn packet_without_an_id_is_an_error() {
        let mut payload = vec![2, 0, 0, 0];
        assert!(Queued::parse(&payload[..3]).is_err());
        assert!(Queued::parse(&payload).is_err());
        attr::append(&mut payload, NFQA_PACKET_HDR, [0; 3]);
        assert!(Queued::parse(&payload).is_err());
    }

    #[test]
    fn packet_that_cannot_be_decoded_has_an_id_all_the_same() {
        let mut payload = packet_payload(9);
        payload.truncate(payload.len() - 1);
        let queued = Queued::parse(&payload).unwrap();
        assert_eq!(queued.id, 9);
        assert!(queued.packet().is_err());
    }
}
