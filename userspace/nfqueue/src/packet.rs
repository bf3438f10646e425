// SPDX-License-Identifier: MIT OR Apache-2.0

//! A queued packet, with everything that the kernel says about it.

use std::time::Duration;

use knetlink::Malformed;
use knetlink::attr::Attribute;
use knetlink::attr::Attributes;
use linux_names::constant::half;
use linux_names::hook::Hook;
use serde::Serialize;

use crate::wire::NFGENMSG_LEN;

// Attribute types as patterns.
pub(crate) const NFQA_PACKET_HDR: u16 = half(libc::NFQA_PACKET_HDR);
const NFQA_MARK: u16 = half(libc::NFQA_MARK);
const NFQA_TIMESTAMP: u16 = half(libc::NFQA_TIMESTAMP);
const NFQA_IFINDEX_INDEV: u16 = half(libc::NFQA_IFINDEX_INDEV);
const NFQA_IFINDEX_OUTDEV: u16 = half(libc::NFQA_IFINDEX_OUTDEV);
const NFQA_IFINDEX_PHYSINDEV: u16 = half(libc::NFQA_IFINDEX_PHYSINDEV);
const NFQA_IFINDEX_PHYSOUTDEV: u16 = half(libc::NFQA_IFINDEX_PHYSOUTDEV);
const NFQA_HWADDR: u16 = half(libc::NFQA_HWADDR);
const NFQA_PAYLOAD: u16 = half(libc::NFQA_PAYLOAD);
const NFQA_CT: u16 = half(libc::NFQA_CT);
const NFQA_CT_INFO: u16 = half(libc::NFQA_CT_INFO);
const NFQA_CAP_LEN: u16 = half(libc::NFQA_CAP_LEN);
const NFQA_SKB_INFO: u16 = half(libc::NFQA_SKB_INFO);
const NFQA_UID: u16 = half(libc::NFQA_UID);
const NFQA_GID: u16 = half(libc::NFQA_GID);
const NFQA_SECCTX: u16 = half(libc::NFQA_SECCTX);
const NFQA_VLAN: u16 = half(libc::NFQA_VLAN);
const NFQA_L2HDR: u16 = half(libc::NFQA_L2HDR);
const NFQA_PRIORITY: u16 = half(libc::NFQA_PRIORITY);
/// The `libc` crate lacks this constant.
const NFQA_CGROUP_CLASSID: u16 = 22;

// The attributes in `NFQA_VLAN`.
const NFQA_VLAN_PROTO: u16 = half(libc::NFQA_VLAN_PROTO);
const NFQA_VLAN_TCI: u16 = half(libc::NFQA_VLAN_TCI);

/// The attribute in `NFQA_CT` with the id of the connection. The attributes in `NFQA_CT` have the
/// numbers of `nfnetlink_conntrack`.
const CTA_ID: u16 = 12;

/// A queued packet, borrowed from the receive buffer. [`Queued::packet`] decodes it.
///
/// [`Queued::packet`]: super::Queued::packet
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet<'a> {
    /// Number of the queue that the packet waits in.
    pub queue: u16,
    /// The id that a verdict uses for the packet; unique within its queue.
    pub id: u32,
    /// Protocol family of the hook (`AF_INET`, `AF_INET6`, `AF_BRIDGE`...).
    pub family: u8,
    /// Hook point where the packet was caught.
    pub hook: Hook,
    /// EtherType of the packet.
    pub ethertype: u16,
    /// Packet mark, 0 if there is none.
    pub mark: u32,
    /// Packet priority, 0 if there is none.
    pub priority: u32,
    /// Index of the interface that the packet came in by.
    pub indev: Option<u32>,
    /// Index of the interface that the packet will leave by.
    pub outdev: Option<u32>,
    /// Index of the bridge port that the packet came in by.
    pub physindev: Option<u32>,
    /// Index of the bridge port that the packet will leave by.
    pub physoutdev: Option<u32>,
    /// Link-layer address of the sender.
    pub hardware_address: Option<&'a [u8]>,
    /// The link layer header before the packet; only for packets from bridges.
    pub link_header: Option<&'a [u8]>,
    /// The VLAN tag that the packet has; only for packets from bridges.
    pub vlan: Option<Vlan>,
    /// The time since the epoch when the packet came in. `None` if the kernel did not record this
    /// time. The kernel records it for example while a program captures packets.
    pub timestamp: Option<Duration>,
    /// The connection that the packet belongs to; only with
    /// [`Options::conntrack`](super::Options::conntrack).
    pub conntrack: Option<Conntrack>,
    /// User that the sending process acts for; only with
    /// [`Options::uid_gid`](super::Options::uid_gid) and for packets that this machine sends.
    pub uid: Option<u32>,
    /// Group that the sending process acts for.
    pub gid: Option<u32>,
    /// Class that the `net_cls` control group gives the sending process.
    pub cgroup_class: Option<u32>,
    /// Security context of the sending process; only with
    /// [`Options::security_context`](super::Options::security_context).
    pub security_context: Option<&'a [u8]>,
    /// The work that is left to do before the packet goes out.
    pub offload: Offload,
    /// The packet from its network header on, as far as it was copied.
    pub payload: &'a [u8],
    /// Length of the whole packet. 0 if no byte of the packet was copied, because then the kernel
    /// does not tell the length.
    pub length: usize,
}

/// A VLAN tag (IEEE 802.1Q).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Vlan {
    /// EtherType of the tag: 0x8100, or 0x88a8 for a provider's tag.
    pub protocol: u16,
    /// Priority (3 bits), drop eligibility (1 bit) and VLAN identifier (12 bits).
    pub tci: u16,
}

impl Vlan {
    /// Number of the VLAN.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.tci & 0xfff
    }
}

/// A packet's connection, as connection tracking sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Conntrack {
    /// Id of the connection, which `conntrack -L -o id` shows; `None` if the kernel does not tell.
    pub id: Option<u32>,
    /// The role of the packet in the connection (`enum ip_conntrack_info`).
    pub info: Option<u32>,
}

impl Conntrack {
    /// The role of the packet in the connection, in the words of nftables.
    #[must_use]
    pub fn state(&self) -> Option<&'static str> {
        Some(match self.info? {
            0 | 3 => "established",
            1 | 4 => "related",
            2 => "new",
            _ => return None,
        })
    }
}

/// The flags of `NFQA_SKB_INFO`: the work that is left to do before a packet goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload(pub u32);

impl Offload {
    /// The transport header has no checksum yet. The device will compute the checksum.
    #[must_use]
    pub fn checksum_not_ready(self) -> bool {
        self.has(libc::NFQA_SKB_CSUMNOTREADY)
    }

    /// Nobody has verified the checksum of the transport header yet.
    #[must_use]
    pub fn checksum_not_verified(self) -> bool {
        self.has(libc::NFQA_SKB_CSUM_NOTVERIFIED)
    }

    /// The packet was merged from several packets, and will be segmented later.
    #[must_use]
    pub fn gso(self) -> bool {
        self.has(libc::NFQA_SKB_GSO)
    }

    fn has(self, flag: libc::c_int) -> bool {
        self.0 & flag.unsigned_abs() != 0
    }
}

impl<'a> Packet<'a> {
    /// Decodes the payload of a packet message.
    ///
    /// Unknown attributes are ignored. If an attribute comes twice, the last one is used, as in the
    /// kernel. The id is an exception: it is always the id of [`Queued`](super::Queued).
    #[inline]
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let Some((&[family, _version, queue0, queue1], attributes)) =
            payload.split_first_chunk::<NFGENMSG_LEN>()
        else {
            return Err(Malformed("queue message shorter than its header"));
        };
        let mut header = None;
        let mut packet = Self {
            queue: u16::from_be_bytes([queue0, queue1]),
            family,
            ..Self::EMPTY
        };
        let mut whole_length = None;
        for attribute in Attributes::new(attributes) {
            let attribute = attribute?;
            match attribute.kind {
                NFQA_PACKET_HDR => header = header.or(Some(attribute.prefix::<7>()?)),
                NFQA_MARK => packet.mark = attribute.be32()?,
                NFQA_PRIORITY => packet.priority = attribute.be32()?,
                NFQA_TIMESTAMP => packet.timestamp = Some(timestamp(&attribute)?),
                NFQA_IFINDEX_INDEV => packet.indev = Some(attribute.be32()?),
                NFQA_IFINDEX_OUTDEV => packet.outdev = Some(attribute.be32()?),
                NFQA_IFINDEX_PHYSINDEV => packet.physindev = Some(attribute.be32()?),
                NFQA_IFINDEX_PHYSOUTDEV => packet.physoutdev = Some(attribute.be32()?),
                NFQA_HWADDR => packet.hardware_address = Some(hardware_address(&attribute)?),
                NFQA_CT => packet.conntrack.get_or_insert_default().id = conntrack_id(&attribute)?,
                NFQA_CT_INFO => {
                    packet.conntrack.get_or_insert_default().info = Some(attribute.be32()?);
                }
                NFQA_UID => packet.uid = Some(attribute.be32()?),
                NFQA_GID => packet.gid = Some(attribute.be32()?),
                NFQA_CGROUP_CLASSID => packet.cgroup_class = Some(attribute.be32()?),
                NFQA_SECCTX => packet.security_context = Some(attribute.payload),
                NFQA_L2HDR => packet.link_header = Some(attribute.payload),
                NFQA_VLAN => packet.vlan = Some(vlan(&attribute)?),
                NFQA_SKB_INFO => packet.offload = Offload(attribute.be32()?),
                NFQA_PAYLOAD => packet.payload = attribute.payload,
                NFQA_CAP_LEN => whole_length = Some(attribute.be32()? as usize),
                _ => {}
            }
        }
        let Some(&[id0, id1, id2, id3, type0, type1, hook]) = header else {
            return Err(Malformed("queued packet without its header"));
        };
        packet.id = u32::from_be_bytes([id0, id1, id2, id3]);
        packet.ethertype = u16::from_be_bytes([type0, type1]);
        packet.hook = Hook(hook);
        packet.length = whole_length.unwrap_or(packet.payload.len());
        Ok(packet)
    }

    /// A packet about which the kernel has said nothing.
    pub(crate) const EMPTY: Self = Self {
        queue: 0,
        id: 0,
        family: 0,
        hook: Hook(0),
        ethertype: 0,
        mark: 0,
        priority: 0,
        indev: None,
        outdev: None,
        physindev: None,
        physoutdev: None,
        hardware_address: None,
        link_header: None,
        vlan: None,
        timestamp: None,
        conntrack: None,
        uid: None,
        gid: None,
        cgroup_class: None,
        security_context: None,
        offload: Offload(0),
        payload: &[],
        length: 0,
    };

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

    /// Whether the packet has more bytes than were copied.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.length > self.payload.len()
    }
}

/// Decodes a time: seconds and microseconds, with 64 bits each.
#[inline]
fn timestamp(attribute: &Attribute<'_>) -> Result<Duration, Malformed> {
    let fields: &[u8; 16] = attribute.prefix()?;
    let both = u128::from_be_bytes(*fields);
    let (seconds, micros) = ((both >> 64) as u64, both & u128::from(u64::MAX));
    // A wrong number of microseconds must not cause a panic on overflow.
    let nanos = u32::try_from(micros % 1_000_000).unwrap_or_default() * 1000;
    Ok(Duration::new(seconds, nanos))
}

/// Decodes a link layer address: a length of 16 bits, 2 bytes of padding, and room for 8 bytes.
#[inline]
fn hardware_address<'a>(attribute: &Attribute<'a>) -> Result<&'a [u8], Malformed> {
    let &[length0, length1, _, _, ref address @ ..] = attribute.prefix::<12>()?;
    let length = usize::from(u16::from_be_bytes([length0, length1]));
    address
        .get(..length)
        .ok_or(Malformed("hardware address longer than its field"))
}

fn vlan(attribute: &Attribute<'_>) -> Result<Vlan, Malformed> {
    let mut vlan = Vlan::default();
    for inner in attribute.nested() {
        let inner = inner?;
        match inner.kind {
            NFQA_VLAN_PROTO => vlan.protocol = u16::from_be_bytes(*inner.prefix()?),
            NFQA_VLAN_TCI => vlan.tci = u16::from_be_bytes(*inner.prefix()?),
            _ => {}
        }
    }
    Ok(vlan)
}

fn conntrack_id(attribute: &Attribute<'_>) -> Result<Option<u32>, Malformed> {
    let mut id = None;
    for inner in attribute.nested() {
        let inner = inner?;
        if inner.kind == CTA_ID {
            id = Some(inner.be32()?);
        }
    }
    Ok(id)
}

#[cfg(test)]
pub(crate) mod tests {
    use knetlink::attr;
    use proptest::prelude::*;

    use super::*;

    /// The payload of a packet message in the kernel's layout. The packet leaves by interface 1. It
    /// has 29 bytes, so its attribute would need padding, which the kernel leaves out. The message
    /// also has an unknown attribute.
    pub(crate) fn packet_payload(id: u32) -> Vec<u8> {
        let mut payload = vec![2, 0, 0, 7];
        let [id0, id1, id2, id3] = id.to_be_bytes();
        attr::append(&mut payload, NFQA_PACKET_HDR, [id0, id1, id2, id3, 8, 0, 4]);
        attr::append(&mut payload, NFQA_IFINDEX_OUTDEV, [0, 0, 0, 1]);
        attr::append(&mut payload, NFQA_MARK, [0, 0, 0, 9]);
        attr::append(&mut payload, 200, [1, 2, 3]);
        payload.extend(33_u16.to_ne_bytes());
        payload.extend(NFQA_PAYLOAD.to_ne_bytes());
        payload.extend([0x45; 29]);
        payload
    }

    #[test]
    fn packet_is_decoded_with_unpadded_last_attribute_and_unknown_ones() {
        let payload = packet_payload(0x0102);
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
                outdev: Some(1),
                payload: &[0x45; 29],
                length: 29,
                ..Packet::EMPTY
            }
        );
        assert_eq!(packet.family_name(), "ipv4");
        assert_eq!(packet.hook.to_string(), "postrouting");
        assert!(!packet.is_truncated());
    }

    #[test]
    fn everything_that_the_kernel_may_tell_is_decoded() {
        let mut payload = vec![10, 0, 0, 0];
        attr::append(&mut payload, NFQA_PACKET_HDR, [0; 7]);
        attr::append(&mut payload, NFQA_IFINDEX_PHYSINDEV, [0, 0, 0, 3]);
        attr::append(&mut payload, NFQA_IFINDEX_PHYSOUTDEV, [0, 0, 0, 4]);
        attr::append(&mut payload, NFQA_PRIORITY, [0, 0, 0, 6]);
        attr::append(
            &mut payload,
            NFQA_HWADDR,
            [0, 6, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0],
        );
        let mut time = [0; 16];
        time[..8].copy_from_slice(&1_700_000_000_u64.to_be_bytes());
        time[8..].copy_from_slice(&123_456_u64.to_be_bytes());
        attr::append(&mut payload, NFQA_TIMESTAMP, time);
        attr::append(&mut payload, NFQA_UID, 1000_u32.to_be_bytes());
        attr::append(&mut payload, NFQA_GID, 100_u32.to_be_bytes());
        attr::append_nest(&mut payload, NFQA_CT, |nest| {
            attr::append(nest, 3, [0, 0, 0, 8]);
            attr::append(nest, CTA_ID, [0, 0, 1, 1]);
        });
        attr::append(&mut payload, NFQA_CT_INFO, [0, 0, 0, 2]);
        attr::append(&mut payload, NFQA_SKB_INFO, [0, 0, 0, 3]);
        attr::append(&mut payload, NFQA_CGROUP_CLASSID, [0, 1, 0, 2]);
        attr::append(&mut payload, NFQA_SECCTX, *b"system_u:object_r");
        attr::append(&mut payload, NFQA_L2HDR, [7; 14]);
        attr::append_nest(&mut payload, NFQA_VLAN, |nest| {
            attr::append(nest, NFQA_VLAN_TCI, [0x20, 0x05]);
            attr::append(nest, NFQA_VLAN_PROTO, [0x81, 0]);
        });
        let packet = Packet::parse(&payload).unwrap();
        assert_eq!((packet.physindev, packet.physoutdev), (Some(3), Some(4)));
        assert_eq!(packet.priority, 6);
        assert_eq!(packet.hardware_address, Some(&[2, 0, 0, 0, 0, 1][..]));
        let time = Duration::new(1_700_000_000, 123_456_000);
        assert_eq!(packet.timestamp, Some(time));
        assert_eq!((packet.uid, packet.gid), (Some(1000), Some(100)));
        assert_eq!(packet.cgroup_class, Some(0x1_0002));
        assert_eq!(packet.security_context, Some(&b"system_u:object_r"[..]));
        assert_eq!(packet.link_header, Some(&[7; 14][..]));
        let vlan = packet.vlan.unwrap();
        assert_eq!((vlan.protocol, vlan.tci, vlan.id()), (0x8100, 0x2005, 5));
        let conntrack = packet.conntrack.unwrap();
        assert_eq!((conntrack.id, conntrack.state()), (Some(257), Some("new")));
        assert!(packet.offload.gso() && packet.offload.checksum_not_ready());
        assert!(!packet.offload.checksum_not_verified());
        assert_eq!((packet.length, packet.payload), (0, &[][..]));
    }

    #[test]
    fn whole_length_is_told_apart_from_the_copied_one() {
        let mut payload = vec![10, 0, 0, 0];
        attr::append(&mut payload, NFQA_PACKET_HDR, [0; 7]);
        attr::append(&mut payload, NFQA_CAP_LEN, 70_000_u32.to_be_bytes());
        attr::append(&mut payload, NFQA_PAYLOAD, [0x60; 100]);
        let packet = Packet::parse(&payload).unwrap();
        assert_eq!((packet.length, packet.payload.len()), (70_000, 100));
        assert!(packet.is_truncated());
    }

    #[test]
    fn every_truncation_is_an_error_or_a_shorter_packet() {
        let payload = packet_payload(1);
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
            NFQA_PRIORITY,
            NFQA_TIMESTAMP,
            NFQA_IFINDEX_INDEV,
            NFQA_IFINDEX_OUTDEV,
            NFQA_IFINDEX_PHYSINDEV,
            NFQA_IFINDEX_PHYSOUTDEV,
            NFQA_HWADDR,
            NFQA_CT,
            NFQA_CT_INFO,
            NFQA_CAP_LEN,
            NFQA_SKB_INFO,
            NFQA_UID,
            NFQA_GID,
            NFQA_VLAN,
            NFQA_CGROUP_CLASSID,
        ] {
            let mut payload = vec![2, 0, 0, 0];
            attr::append(&mut payload, NFQA_PACKET_HDR, [0; 7]);
            attr::append(&mut payload, kind, [0; 3]);
            assert!(Packet::parse(&payload).is_err(), "attribute {kind}");
        }
    }

    #[test]
    fn lying_hardware_address_is_an_error() {
        let mut payload = vec![2, 0, 0, 0];
        attr::append(&mut payload, NFQA_PACKET_HDR, [0; 7]);
        attr::append(
            &mut payload,
            NFQA_HWADDR,
            [0, 9, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        );
        assert!(Packet::parse(&payload).is_err());
    }

    proptest! {
        #[test]
        fn any_attribute_of_any_content_is_decoded_without_panic(
            attributes in prop::collection::vec(
                (0..25_u16, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        ) {
            let mut payload = packet_payload(1);
            payload.truncate(16);
            for (kind, content) in attributes {
                let length = u16::try_from(content.len() + 4).unwrap();
                payload.extend(length.to_ne_bytes());
                payload.extend(kind.to_ne_bytes());
                payload.extend(&content);
                payload.resize(payload.len().next_multiple_of(4), 0);
            }
            let _ = Packet::parse(&payload);
        }
    }
}
