// SPDX-License-Identifier: MIT OR Apache-2.0

//! The messages that come from a queue's socket.

use knetlink::HEADER_LEN;
use knetlink::Malformed;
use knetlink::Message;
use knetlink::Messages;
use knetlink::Status;

use crate::packet::NFQA_PACKET_HDR;
use crate::queued::Queued;
use crate::wire::MSG_CONFIG;
use crate::wire::MSG_PACKET;
use crate::wire::MSG_VERDICT;
use crate::wire::MSG_VERDICT_BATCH;
use crate::wire::NFGENMSG_LEN;

/// The meaning of a message on the queue's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A packet waits for its verdict.
    Packet(Queued<'a>),
    /// The kernel refused a verdict. [`Status::errno`] is `ENOENT` if the packet was gone. For a
    /// batch, [`Status::errno`] is `ENOENT` if none of its packets was still queued.
    VerdictRefused {
        /// The packet that the verdict was for, or the last packet of a batch.
        id: u32,
        /// The refusal.
        status: Status,
    },
    /// The answer to a configuration request.
    Configured(Status),
    /// A message that no consumer needs to know.
    Other,
}

/// Walks the events in a datagram.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    messages: Messages<'a>,
}

impl<'a> Events<'a> {
    /// Starts at the first message of `datagram`.
    #[inline]
    #[must_use]
    pub fn new(datagram: &'a [u8]) -> Self {
        Self {
            messages: Messages::new(datagram),
        }
    }

    /// The bytes of the messages that were not walked yet.
    pub(crate) fn remaining(&self) -> &'a [u8] {
        self.messages.remaining()
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(queued) = sole_packet(self.messages.remaining()) {
            self.messages = Messages::new(&[]);
            return Some(Ok(Event::Packet(queued)));
        }
        if self.messages.remaining().is_empty() {
            return None;
        }
        self.walk()
    }
}

impl<'a> Events<'a> {
    /// The next event, from a message of any kind.
    fn walk(&mut self) -> Option<Result<Event<'a>, Malformed>> {
        Some(self.messages.next()?.and_then(|message| event(&message)))
    }
}

/// The packet in a datagram, if the datagram has exactly one message, and the message's first
/// attribute is the packet header (`NFQA_PACKET_HDR`). The kernel sends packets in this form.
#[inline]
fn sole_packet(datagram: &[u8]) -> Option<Queued<'_>> {
    const START: usize = HEADER_LEN + NFGENMSG_LEN;
    let (header, _) = datagram.split_first_chunk::<HEADER_LEN>()?;
    let &[length0, length1, length2, length3, kind0, kind1, ..] = header;
    let length = u32::from_ne_bytes([length0, length1, length2, length3]);
    if u16::from_ne_bytes([kind0, kind1]) != MSG_PACKET || length as usize != datagram.len() {
        return None;
    }
    let attributes = datagram.get(START..)?;
    let (&[length0, length1, kind0, kind1, id @ ..], _) = attributes.split_first_chunk::<8>()?;
    let length = usize::from(u16::from_ne_bytes([length0, length1]));
    let is_header = u16::from_ne_bytes([kind0, kind1]) == NFQA_PACKET_HDR;
    let fits = (8..=attributes.len()).contains(&length);
    let id = u32::from_be_bytes(id);
    (is_header && fits).then(|| Queued::at(id, datagram.get(HEADER_LEN..).unwrap_or_default()))
}

/// The ids of the packets in a datagram.
pub(crate) fn packet_ids(datagram: &[u8]) -> impl Iterator<Item = u32> {
    Events::new(datagram).filter_map(|event| match event {
        Ok(Event::Packet(queued)) => Some(queued.id),
        _ => None,
    })
}

#[inline]
fn event<'a>(message: &Message<'a>) -> Result<Event<'a>, Malformed> {
    if message.kind == MSG_PACKET {
        return Queued::parse(message.payload).map(Event::Packet);
    }
    Ok(match Status::parse(message)? {
        // The sequence number of a verdict is the packet's id.
        Some(status) if matches!(status.request, MSG_VERDICT | MSG_VERDICT_BATCH) => {
            Event::VerdictRefused {
                id: message.sequence,
                status,
            }
        }
        Some(status) if status.request == MSG_CONFIG => Event::Configured(status),
        _ => Event::Other,
    })
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NLMSG_ERROR;
    use nix::errno::Errno;
    use proptest::prelude::*;

    use super::*;
    use crate::packet::tests::packet_payload;
    use crate::verdict::Decision;
    use crate::verdict::append_batch;
    use crate::verdict::append_verdict;

    fn message(kind: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::new();
        Message {
            kind,
            flags: 0,
            sequence,
            portid: 0,
            payload,
        }
        .append_to(&mut datagram);
        datagram
    }

    #[test]
    fn refused_verdicts_name_their_packet() {
        let append: [fn(&mut Vec<u8>); 2] = [
            |buffer| append_verdict(buffer, 0, 77, Decision::DROP, None),
            |buffer| append_batch(buffer, 0, 77, Decision::DROP),
        ];
        for append in append {
            let mut payload = (-libc::ENOENT).to_ne_bytes().to_vec();
            append(&mut payload);
            let datagram = message(NLMSG_ERROR, 77, &payload[..20]);
            match Events::new(&datagram).next().unwrap().unwrap() {
                Event::VerdictRefused { id: 77, status } => {
                    assert_eq!(status.errno, Some(Errno::ENOENT));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn sole_packet_is_the_one_that_the_walk_finds() {
        let payload = packet_payload(0x0102);
        let sole = message(MSG_PACKET, 0, &payload);
        let sole = &sole[..HEADER_LEN + payload.len()];
        let found = sole_packet(sole).unwrap();
        assert_eq!(Events::new(sole).walk(), Some(Ok(Event::Packet(found))));
        assert!(found.packet().is_ok());
        let two = [&message(MSG_PACKET, 0, &payload)[..], sole].concat();
        assert_eq!((sole_packet(&two), Events::new(&two).count()), (None, 2));
    }

    proptest! {
        /// Changes any bytes of a datagram. If `sole_packet()` then finds a packet, the walk over
        /// the events must find the same packet.
        #[test]
        fn sole_packet_of_damaged_datagrams_is_the_one_that_the_walk_finds(
            damage in prop::collection::vec((0..40_usize, any::<u8>()), 0..4),
            length in 0..120_usize,
        ) {
            let mut datagram = message(MSG_PACKET, 0, &packet_payload(9));
            for (place, byte) in damage {
                datagram[place] = byte;
            }
            datagram.resize(length, 0);
            if let Some(found) = sole_packet(&datagram) {
                let mut events = Events::new(&datagram);
                let walked: Vec<_> = std::iter::from_fn(|| events.walk()).collect();
                prop_assert_eq!(walked, [Ok(Event::Packet(found))]);
            }
        }

        #[test]
        fn any_datagram_is_decoded_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            for event in Events::new(&bytes) {
                let _ = event;
            }
            let _ = Queued::parse(&bytes).map(|queued| queued.packet());
        }

        #[test]
        fn damaged_packets_are_decoded_without_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut payload = packet_payload(1);
            for (place, byte) in damage {
                *place.get_mut(&mut payload) = byte;
            }
            payload.truncate(cut.index(payload.len() + 1));
            let datagram = message(MSG_PACKET, 0, &payload);
            for event in Events::new(&datagram).flatten() {
                if let Event::Packet(queued) = event {
                    if let Ok(packet) = queued.packet() {
                        prop_assert_eq!(packet.id, queued.id);
                        prop_assert!(packet.payload.len() <= payload.len());
                    }
                }
            }
        }
    }
}
