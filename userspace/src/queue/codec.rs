// SPDX-License-Identifier: GPL-2.0

//! The messages of `nfnetlink_queue`: packets and statuses in, configuration and verdicts out.
//!
//! Each is a netlink message whose payload is a 4-byte nfnetlink header (family, version,
//! big-endian queue number) and attributes with big-endian payloads.

use std::fmt;

use netlink_packet_core::NLM_F_REQUEST;
use serde::Serialize;

use crate::attr;
use crate::attr::Attributes;
use crate::error::Error;
use crate::error::Result;
use crate::message::Message;
use crate::message::Messages;
use crate::message::Status;

const NFGENMSG_LEN: usize = 4;

const MSG_PACKET: u16 = queue_message(libc::NFQNL_MSG_PACKET);
const MSG_VERDICT: u16 = queue_message(libc::NFQNL_MSG_VERDICT);
pub(super) const MSG_CONFIG: u16 = queue_message(libc::NFQNL_MSG_CONFIG);

/// The message type of a message of the queue subsystem.
const fn queue_message(message: libc::c_int) -> u16 {
    number((libc::NFNL_SUBSYS_QUEUE << 8) | message)
}

/// The same kernel constant with the width that it has on the wire.
const fn number(constant: libc::c_int) -> u16 {
    assert!(constant >= 0 && constant <= u16::MAX as libc::c_int);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "asserted above"
    )]
    let number = constant as u16;
    number
}

/// Likewise for constants that take one byte.
const fn octet(constant: libc::c_int) -> u8 {
    let [high, low] = number(constant).to_be_bytes();
    assert!(high == 0);
    low
}

// Attribute types as patterns.
const NFQA_PACKET_HDR: u16 = number(libc::NFQA_PACKET_HDR);
const NFQA_MARK: u16 = number(libc::NFQA_MARK);
const NFQA_IFINDEX_INDEV: u16 = number(libc::NFQA_IFINDEX_INDEV);
const NFQA_IFINDEX_OUTDEV: u16 = number(libc::NFQA_IFINDEX_OUTDEV);
const NFQA_PAYLOAD: u16 = number(libc::NFQA_PAYLOAD);
const NFQA_CAP_LEN: u16 = number(libc::NFQA_CAP_LEN);

/// A netfilter hook point, by its `NF_INET_*` number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook(pub u8);

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 6] = [
            "prerouting",
            "input",
            "forward",
            "output",
            "postrouting",
            "ingress",
        ];
        match NAMES.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "hook{}", self.0),
        }
    }
}

/// A queued packet, borrowed from the receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Number of the queue that the packet waits in.
    pub queue: u16,
    /// What a verdict calls the packet; unique within its queue.
    pub id: u32,
    /// Protocol family of the hook (`AF_INET`, `AF_INET6`, `AF_BRIDGE`...).
    pub family: u8,
    /// Hook point where the packet was caught.
    pub hook: Hook,
    /// EtherType of the packet.
    pub ethertype: u16,
    /// Packet mark, 0 if there is none.
    pub mark: u32,
    /// Index of the interface that the packet came in by.
    pub indev: Option<u32>,
    /// Index of the interface that the packet will leave by.
    pub outdev: Option<u32>,
    /// The packet from its network header on, as far as it was copied.
    pub payload: &'a [u8],
    /// Length of the whole packet.
    pub length: usize,
}

impl<'a> Packet<'a> {
    /// Decodes the payload of a packet message.
    ///
    /// Attributes that are unknown are passed over, of those that come twice the last one counts,
    /// as the kernel itself has it.
    fn parse(payload: &'a [u8]) -> Result<Self> {
        let Some((&[family, _version, queue0, queue1], attributes)) =
            payload.split_first_chunk::<NFGENMSG_LEN>()
        else {
            return Err(Error::Malformed("queue message shorter than its header"));
        };
        let mut header = None;
        let mut packet = Self {
            queue: u16::from_be_bytes([queue0, queue1]),
            id: 0,
            family,
            hook: Hook(0),
            ethertype: 0,
            mark: 0,
            indev: None,
            outdev: None,
            payload: &[],
            length: 0,
        };
        let mut whole_length = None;
        for attribute in Attributes::new(attributes) {
            let attribute = attribute?;
            match attribute.kind {
                NFQA_PACKET_HDR => header = Some(attribute.prefix::<7>()?),
                NFQA_MARK => packet.mark = attribute.be32()?,
                NFQA_IFINDEX_INDEV => packet.indev = Some(attribute.be32()?),
                NFQA_IFINDEX_OUTDEV => packet.outdev = Some(attribute.be32()?),
                NFQA_PAYLOAD => packet.payload = attribute.payload,
                NFQA_CAP_LEN => whole_length = Some(attribute.be32()? as usize),
                _ => {}
            }
        }
        let Some(&[id0, id1, id2, id3, type0, type1, hook]) = header else {
            return Err(Error::Malformed("queued packet without its header"));
        };
        packet.id = u32::from_be_bytes([id0, id1, id2, id3]);
        packet.ethertype = u16::from_be_bytes([type0, type1]);
        packet.hook = Hook(hook);
        packet.length = whole_length.unwrap_or(packet.payload.len());
        Ok(packet)
    }

    /// Name of the hook's protocol family.
    #[must_use]
    pub fn family_name(&self) -> &'static str {
        match i32::from(self.family) {
            libc::AF_INET => "ipv4",
            libc::AF_INET6 => "ipv6",
            libc::AF_BRIDGE => "bridge",
            _ => "other",
        }
    }
}

/// What a message on the queue's socket means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A packet awaits its verdict.
    Packet(Packet<'a>),
    /// The kernel refused a verdict; [`Status::errno`] is `ENOENT` when the packet was gone.
    VerdictRefused {
        /// Which packet it was for.
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
    #[must_use]
    pub fn new(datagram: &'a [u8]) -> Self {
        Self {
            messages: Messages::new(datagram),
        }
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.messages.next()?.and_then(|message| event(&message)))
    }
}

fn event<'a>(message: &Message<'a>) -> Result<Event<'a>> {
    if message.kind == MSG_PACKET {
        return Packet::parse(message.payload).map(Event::Packet);
    }
    Ok(match Status::parse(message)? {
        // Verdicts carry the packet's id for a sequence number.
        Some(status) if status.request == MSG_VERDICT => Event::VerdictRefused {
            id: message.sequence,
            status,
        },
        Some(status) if status.request == MSG_CONFIG => Event::Configured(status),
        _ => Event::Other,
    })
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It continues on its way.
    Accept,
    /// It vanishes.
    Drop,
}

impl Verdict {
    /// Appends the message that gives this verdict on packet `id` of `queue`.
    ///
    /// It asks for no acknowledgement: the kernel answers refusals only.
    pub fn append_to(self, queue: u16, id: u32, buffer: &mut Vec<u8>) {
        let verdict = match self {
            Self::Accept => libc::NF_ACCEPT,
            Self::Drop => libc::NF_DROP,
        };
        let mut header = [0; 8];
        header[..4].copy_from_slice(&verdict.to_be_bytes());
        header[4..].copy_from_slice(&id.to_be_bytes());
        let mut payload = nfgenmsg(queue);
        attr::append(&mut payload, number(libc::NFQA_VERDICT_HDR), header);
        Message {
            kind: MSG_VERDICT,
            flags: NLM_F_REQUEST,
            sequence: id,
            portid: 0,
            payload: &payload,
        }
        .append_to(buffer);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
        })
    }
}

/// A request about a queue itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Config {
    /// Take the queue, and have whole packets copied.
    ///
    /// Both in one message, so that no packet arrives without its content in between.
    Bind,
    /// Give the queue back; the kernel drops what still waits in it.
    Unbind,
}

impl Config {
    /// The payload of the message of type [`MSG_CONFIG`] that requests it.
    pub(super) fn payload(self, queue: u16) -> Vec<u8> {
        let mut payload = nfgenmsg(queue);
        let command = match self {
            Self::Bind => libc::NFQNL_CFG_CMD_BIND,
            Self::Unbind => libc::NFQNL_CFG_CMD_UNBIND,
        };
        // Command, padding, a protocol family that the kernel ignores here.
        let command = [octet(command), 0, 0, 0];
        attr::append(&mut payload, number(libc::NFQA_CFG_CMD), command);
        if self == Self::Bind {
            // The kernel caps the range to what fits an attribute, 65531 bytes.
            let params = [0, 0, 0xff, 0xff, octet(libc::NFQNL_COPY_PACKET)];
            attr::append(&mut payload, number(libc::NFQA_CFG_PARAMS), params);
        }
        payload
    }
}

fn nfgenmsg(queue: u16) -> Vec<u8> {
    let [queue0, queue1] = queue.to_be_bytes();
    vec![0, 0, queue0, queue1]
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NLMSG_ERROR;
    use nix::errno::Errno;
    use proptest::prelude::*;

    use super::*;

    /// The payload of a packet message in the kernel's layout: 29 bytes, unpadded, leaving by
    /// interface 1, and an attribute that nobody knows.
    fn packet_payload() -> Vec<u8> {
        let mut payload = vec![2, 0, 0, 7];
        attr::append(&mut payload, NFQA_PACKET_HDR, [0, 0, 1, 2, 8, 0, 4]);
        attr::append(&mut payload, NFQA_IFINDEX_OUTDEV, [0, 0, 0, 1]);
        attr::append(&mut payload, NFQA_MARK, [0, 0, 0, 9]);
        attr::append(&mut payload, 200, [1, 2, 3]);
        payload.extend(33_u16.to_ne_bytes());
        payload.extend(NFQA_PAYLOAD.to_ne_bytes());
        payload.extend([0x45; 29]);
        payload
    }

    fn packet_message(payload: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::new();
        Message {
            kind: MSG_PACKET,
            flags: 0,
            sequence: 0,
            portid: 0,
            payload,
        }
        .append_to(&mut datagram);
        datagram
    }

    #[test]
    fn packet_is_decoded_with_unpadded_last_attribute_and_unknown_ones() {
        let payload = packet_payload();
        let packet = Packet::parse(&payload).unwrap();
        assert_eq!(
            packet,
            Packet {
                queue: 7,
                id: 0x0102,
                family: 2,
                hook: Hook(4),
                ethertype: 0x0800,
                mark: 9,
                indev: None,
                outdev: Some(1),
                payload: &[0x45; 29],
                length: 29,
            }
        );
        assert_eq!(packet.family_name(), "ipv4");
        assert_eq!(packet.hook.to_string(), "postrouting");
    }

    #[test]
    fn whole_length_is_told_apart_from_the_copied_one() {
        let mut payload = vec![10, 0, 0, 0];
        attr::append(&mut payload, NFQA_PACKET_HDR, [0; 7]);
        attr::append(&mut payload, NFQA_CAP_LEN, 70_000_u32.to_be_bytes());
        attr::append(&mut payload, NFQA_PAYLOAD, [0x60; 100]);
        let packet = Packet::parse(&payload).unwrap();
        assert_eq!((packet.length, packet.payload.len()), (70_000, 100));
    }

    #[test]
    fn every_truncation_is_an_error_or_a_shorter_packet() {
        let payload = packet_payload();
        for length in 0..payload.len() {
            if let Ok(packet) = Packet::parse(&payload[..length]) {
                assert!(packet.payload.is_empty(), "length {length}");
            }
        }
    }

    #[test]
    fn packet_without_header_attribute_is_an_error() {
        assert!(Packet::parse(&[2, 0, 0, 0]).is_err());
    }

    #[test]
    fn short_header_attribute_is_an_error() {
        let mut payload = vec![2, 0, 0, 0];
        attr::append(&mut payload, NFQA_PACKET_HDR, [0; 6]);
        assert!(Packet::parse(&payload).is_err());
    }

    #[test]
    fn short_numbers_are_errors() {
        for kind in [
            NFQA_MARK,
            NFQA_IFINDEX_INDEV,
            NFQA_IFINDEX_OUTDEV,
            NFQA_CAP_LEN,
        ] {
            let mut payload = vec![2, 0, 0, 0];
            attr::append(&mut payload, NFQA_PACKET_HDR, [0; 7]);
            attr::append(&mut payload, kind, [0; 3]);
            assert!(Packet::parse(&payload).is_err(), "attribute {kind}");
        }
    }

    #[test]
    fn verdict_message_is_what_the_kernel_expects() {
        let mut buffer = Vec::new();
        Verdict::Accept.append_to(0x0102, 0x0a0b_0c0d, &mut buffer);
        let message = Messages::new(&buffer).next().unwrap().unwrap();
        assert_eq!(message.kind, 0x0301);
        assert_eq!(message.flags, NLM_F_REQUEST);
        assert_eq!(message.sequence, 0x0a0b_0c0d);
        assert_eq!(message.payload[..4], [0, 0, 1, 2]);
        let attribute = Attributes::new(&message.payload[4..])
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(attribute.kind, 2);
        assert_eq!(attribute.payload, [0, 0, 0, 1, 10, 11, 12, 13]);
    }

    #[test]
    fn bind_message_takes_the_queue_and_asks_for_whole_packets() {
        assert_eq!(MSG_CONFIG, 0x0302);
        let payload = Config::Bind.payload(5);
        assert_eq!(payload[..4], [0, 0, 0, 5]);
        let attributes: Vec<_> = Attributes::new(&payload[4..])
            .map(|attribute| attribute.map(|a| (a.kind, a.payload)).unwrap())
            .collect();
        assert_eq!(
            attributes,
            [(1, &[1, 0, 0, 0][..]), (2, &[0, 0, 0xff, 0xff, 2][..])]
        );
    }

    #[test]
    fn refused_verdict_names_its_packet() {
        let mut payload = (-libc::ENOENT).to_ne_bytes().to_vec();
        Verdict::Drop.append_to(0, 77, &mut payload);
        let mut datagram = Vec::new();
        Message {
            kind: NLMSG_ERROR,
            flags: 0,
            sequence: 77,
            portid: 0,
            payload: &payload[..20],
        }
        .append_to(&mut datagram);
        match Events::new(&datagram).next().unwrap().unwrap() {
            Event::VerdictRefused { id: 77, status } => {
                assert_eq!(status.errno, Some(Errno::ENOENT));
            }
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_decoded_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            for event in Events::new(&bytes) {
                let _ = event;
            }
            let _ = Packet::parse(&bytes);
        }

        #[test]
        fn damaged_packets_are_decoded_without_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut payload = packet_payload();
            for (place, byte) in damage {
                *place.get_mut(&mut payload) = byte;
            }
            payload.truncate(cut.index(payload.len() + 1));
            let datagram = packet_message(&payload);
            for event in Events::new(&datagram).flatten() {
                if let Event::Packet(packet) = event {
                    prop_assert!(packet.payload.len() <= payload.len());
                }
            }
        }
    }
}
