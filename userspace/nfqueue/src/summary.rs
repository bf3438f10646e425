// SPDX-License-Identifier: MIT OR Apache-2.0

//! The few fields of an IP packet that a policy or a user needs.

use std::borrow::Cow;
use std::net::IpAddr;

use etherparse::IpNumber;
use etherparse::LaxIpSlice;
use linux_names::Family;
use linux_names::icmp::ECHO_REQUEST;
use serde::Serialize;

use crate::packet::Packet;

const ICMP_HEADER_LEN: usize = 8;

/// An IP packet in brief.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Transport protocol: the protocol of the header after the IP header and its extensions.
    pub protocol: u8,
    /// Whether the packet is a fragment. The transport header of a fragment is not read.
    pub fragment: bool,
    /// The ICMP or ICMPv6 header. `None` for fragments, and if the header is not complete.
    pub icmp: Option<Icmp>,
    /// The header that the kernel did not copy completely, if there is one.
    pub cut: Option<Cut>,
}

/// A header that the kernel did not copy completely. Without this header the kind of the packet is
/// unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// An extension header of IPv6. So the transport protocol is unknown, and it is unknown whether
    /// the packet is a fragment.
    Extensions,
    /// The header of ICMP or ICMPv6.
    Icmp,
}

/// An ICMP or ICMPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Icmp {
    /// Type. ICMP and ICMPv6 have different numbers.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Code within the type.
    pub code: u8,
    /// Name of the type; null if the type is not a common one.
    pub name: Option<&'static str>,
    /// Identifier of an echo request or reply; null for other types.
    pub id: Option<u16>,
    /// Sequence number of an echo request or reply; null for other types.
    pub seq: Option<u16>,
    /// The number of bytes after the 8-byte header. The option `ping -s` sets this number.
    pub data_length: usize,
}

impl Summary {
    /// Reads the headers of a queued packet; `None` if it is not IP or its headers are broken.
    #[inline]
    #[must_use]
    pub fn parse(packet: &Packet<'_>) -> Option<Self> {
        let ethertype = i32::from(packet.ethertype);
        if ethertype != libc::ETH_P_IP && ethertype != libc::ETH_P_IPV6 {
            return None;
        }
        // The lax parser accepts a packet that is longer than its copy. It still checks the
        // headers.
        let (ip, stopped) = LaxIpSlice::from_slice(packet.payload).ok()?;
        let payload = ip.payload();
        // The number of bytes of the packet that were not copied.
        let missing = packet.length.saturating_sub(packet.payload.len());
        let icmp = if payload.fragmented || stopped.is_some() {
            None
        } else {
            Icmp::parse(payload.ip_number, payload.payload, missing)
        };
        let is_icmp = matches!(payload.ip_number, IpNumber::ICMP | IpNumber::IPV6_ICMP);
        let cut = if missing == 0 {
            None
        } else if stopped.is_some() {
            Some(Cut::Extensions)
        } else if is_icmp && !payload.fragmented && icmp.is_none() {
            Some(Cut::Icmp)
        } else {
            None
        };
        Some(Self {
            source: ip.source_addr(),
            destination: ip.destination_addr(),
            protocol: payload.ip_number.0,
            fragment: payload.fragmented,
            icmp,
            cut,
        })
    }

    /// Lower-case name of the transport protocol, or its number.
    #[must_use]
    pub fn protocol_name(&self) -> Cow<'static, str> {
        let number = IpNumber(self.protocol);
        match number {
            IpNumber::ICMP => "icmp".into(),
            IpNumber::IPV6_ICMP => "icmpv6".into(),
            _ => number
                .keyword_str()
                .map_or_else(
                    || format!("proto{}", self.protocol),
                    str::to_ascii_lowercase,
                )
                .into(),
        }
    }
}

impl Icmp {
    #[inline]
    fn parse(protocol: IpNumber, bytes: &[u8], missing: usize) -> Option<Self> {
        let family = match protocol {
            IpNumber::ICMP => Family::Ipv4,
            IpNumber::IPV6_ICMP => Family::Ipv6,
            _ => return None,
        };
        let (header, data) = bytes.split_first_chunk::<ICMP_HEADER_LEN>()?;
        let &[kind, code, _, _, id0, id1, seq0, seq1] = header;
        let name = family.type_name(kind);
        let echo = family.echo_types().contains(&kind);
        Some(Self {
            kind,
            code,
            name,
            id: echo.then_some(u16::from_be_bytes([id0, id1])),
            seq: echo.then_some(u16::from_be_bytes([seq0, seq1])),
            data_length: data.len() + missing,
        })
    }

    /// Whether the message is an echo request, as `ping` sends it.
    #[must_use]
    pub fn is_echo_request(&self) -> bool {
        self.name == Some(ECHO_REQUEST)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn queued(payload: &[u8]) -> Packet<'_> {
        let ethertype = if payload.first().is_some_and(|byte| byte >> 4 == 6) {
            0x86dd
        } else {
            0x0800
        };
        Packet {
            id: 1,
            family: if ethertype == 0x86dd { 10 } else { 2 },
            ethertype,
            payload,
            length: payload.len(),
            ..Packet::EMPTY
        }
    }

    pub(crate) fn ping(data_length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .icmpv4_echo_request(77, 3)
            .write(&mut bytes, &vec![0xaa; data_length])
            .unwrap();
        bytes
    }

    pub(crate) fn ping6(data_length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv6([1; 16], [2; 16], 64)
            .icmpv6_echo_request(78, 4)
            .write(&mut bytes, &vec![0xaa; data_length])
            .unwrap();
        bytes
    }

    #[test]
    fn ping_is_read() {
        let bytes = ping(56);
        let summary = Summary::parse(&queued(&bytes)).unwrap();
        assert_eq!(summary.source.to_string(), "10.0.0.1");
        assert_eq!(summary.destination.to_string(), "10.0.0.2");
        assert_eq!(summary.protocol_name(), "icmp");
        let icmp = summary.icmp.unwrap();
        assert!(icmp.is_echo_request());
        assert_eq!((icmp.kind, icmp.code), (8, 0));
        assert_eq!(
            (icmp.id, icmp.seq, icmp.data_length),
            (Some(77), Some(3), 56)
        );
    }

    #[test]
    fn ping6_is_read() {
        let bytes = ping6(32);
        let summary = Summary::parse(&queued(&bytes)).unwrap();
        assert_eq!(summary.protocol_name(), "icmpv6");
        let icmp = summary.icmp.unwrap();
        assert!(icmp.is_echo_request());
        assert_eq!(
            (icmp.id, icmp.seq, icmp.data_length),
            (Some(78), Some(4), 32)
        );
    }

    #[test]
    fn ip_options_do_not_count_as_data() {
        let mut bytes = vec![
            0x46, 0, 0, 42, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x94, 4, 0, 0,
        ];
        bytes.extend([8, 0, 0, 0, 0, 1, 0, 2]);
        bytes.extend([0xaa; 10]);
        let icmp = Summary::parse(&queued(&bytes)).unwrap().icmp.unwrap();
        assert_eq!((icmp.kind, icmp.data_length), (8, 10));
    }

    #[test]
    fn bytes_behind_the_ip_length_do_not_count_as_data() {
        let mut bytes = ping(20);
        bytes.extend([0; 6]);
        let icmp = Summary::parse(&queued(&bytes)).unwrap().icmp.unwrap();
        assert_eq!(icmp.data_length, 20);
    }

    #[test]
    fn packet_copied_in_part_keeps_its_data_length() {
        let bytes = ping(56);
        let mut packet = queued(&bytes[..40]);
        packet.length = bytes.len();
        let icmp = Summary::parse(&packet).unwrap().icmp.unwrap();
        assert_eq!(icmp.data_length, 56);
    }

    #[test]
    fn what_was_not_copied_is_told() {
        let mut chain = ping6(8);
        // Hop-by-hop options before ICMPv6.
        chain.splice(40..40, [58, 0, 1, 4, 0, 0, 0, 0]);
        chain[6] = 0;
        chain[5] += 8;
        for (bytes, copied, cut) in [
            (ping(8), 27, Some(Cut::Icmp)),
            (ping(8), 28, None),
            (ping6(8), 47, Some(Cut::Icmp)),
            (ping6(8), 48, None),
            (chain.clone(), 44, Some(Cut::Extensions)),
            (chain.clone(), 50, Some(Cut::Icmp)),
            (chain, 56, None),
        ] {
            let mut packet = queued(&bytes[..copied]);
            packet.length = bytes.len();
            assert_eq!(Summary::parse(&packet).unwrap().cut, cut, "{copied} bytes");
        }
        let bytes = ping(8);
        let mut packet = queued(&bytes[..19]);
        packet.length = bytes.len();
        assert_eq!(Summary::parse(&packet), None);
    }

    #[test]
    fn fragments_have_no_icmp_header() {
        for (offset, flags) in [(0, 0x20), (0, 0x20), (3, 0)] {
            let mut bytes = ping(32);
            bytes[6..8].copy_from_slice(&[flags, offset]);
            let summary = Summary::parse(&queued(&bytes)).unwrap();
            assert!(summary.fragment);
            assert_eq!(summary.icmp, None);
        }
    }

    #[test]
    fn short_icmp_header_is_none() {
        let mut bytes = ping(0);
        bytes.truncate(27);
        bytes[2..4].copy_from_slice(&27_u16.to_be_bytes());
        assert_eq!(Summary::parse(&queued(&bytes)).unwrap().icmp, None);
    }

    #[test]
    fn other_protocols_are_named() {
        let mut bytes = ping(8);
        bytes[9] = 17;
        let summary = Summary::parse(&queued(&bytes)).unwrap();
        assert_eq!((&*summary.protocol_name(), summary.icmp), ("udp", None));
        bytes[9] = 253;
        let summary = Summary::parse(&queued(&bytes)).unwrap();
        assert!(!summary.protocol_name().is_empty());
    }

    #[test]
    fn what_is_not_ip_is_none() {
        for bytes in [&[][..], &[0x45], &[0x95; 40], &[0x41; 40]] {
            assert_eq!(Summary::parse(&queued(bytes)), None);
        }
        let bytes = ping(8);
        let mut arp = queued(&bytes);
        arp.ethertype = 0x0806;
        assert_eq!(Summary::parse(&arp), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            version in prop::sample::select(vec![0x45_u8, 0x46, 0x4f, 0x60, 0x50]),
            length in 0..100_000_usize,
        ) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = version;
            }
            let mut packet = queued(&bytes);
            packet.length = length;
            if let Some(summary) = Summary::parse(&packet) {
                let _ = summary.protocol_name();
            }
        }
    }
}
