// SPDX-License-Identifier: GPL-2.0

//! ICMPv6 in IPv6 packets, behind any extension headers.

use kernel::prelude::*;

use super::class::{
    message,
    Class, //
};

use crate::net::skbuff::ReadAt;

/// The length of the fixed header, in bytes (RFC 8200).
const IPV6_HEADER_LEN: usize = 40;
/// The offset of the fixed header's "next header".
const NEXT_HEADER: usize = 6;

/// The protocol number of ICMPv6 (RFC 4443).
const ICMPV6: u8 = 58;

// The headers behind which another header can follow, from the IANA registry of extension header
// types. Two numbers of that registry are missing here, because nothing that the module can read
// follows these headers: the encapsulating security payload (50) encrypts the rest, and "no next
// header" (59) has nothing after it.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

const EXTENSION_HEADERS: [u8; 8] = [
    HOP_BY_HOP,
    ROUTING,
    FRAGMENT,
    AUTHENTICATION,
    DESTINATION,
    MOBILITY,
    HOST_IDENTITY,
    SHIM6,
];

/// The length of the shortest extension header, in bytes.
const EXTENSION_HEADER_LEN: usize = 8;
/// The number of extension headers that a packet may have.
///
/// This is the kernel's own limit (`IP6_MAX_EXT_HDRS_CNT`): the kernel drops a packet for this host
/// if the packet has more extension headers. The limit bounds the work, which is one read for each
/// header. It also bounds the offsets of these reads, because no header has more than 2048 bytes.
const MAX_EXTENSION_HEADERS: usize = 12;

/// The bits of the fragment header's third and fourth byte that hold the offset.
const FRAGMENT_OFFSET: u16 = 0xfff8;

/// Whether an IPv6 packet can have another class than [`Class::Other`]. If this returns false, the
/// class is `Other`.
#[inline]
pub(crate) fn may_be_icmp(packet: &(impl ReadAt + ?Sized)) -> bool {
    let Some([next]) = packet.read_at(NEXT_HEADER) else {
        return true;
    };
    may_lead_to_icmpv6(next)
}

/// Whether the next header can be ICMPv6, or an extension header. If this returns false, the next
/// header is neither.
///
/// This runs for every packet, so it only tests one bit of a 64-bit mask. Numbers that differ by a
/// multiple of 64 share a bit, so the result can be true for other headers, too.
#[inline]
fn may_lead_to_icmpv6(next: u8) -> bool {
    const BITS: u64 = {
        let mut bits = 1u64.rotate_left(ICMPV6 as u32);
        let mut i = 0;
        while i < EXTENSION_HEADERS.len() {
            bits |= 1u64.rotate_left(EXTENSION_HEADERS[i] as u32);
            i += 1;
        }
        bits
    };
    BITS.rotate_right(next.into()) & 1 != 0
}

/// Whether the next header is ICMPv6, or an extension header.
fn leads_to_icmpv6(next: u8) -> bool {
    next == ICMPV6 || EXTENSION_HEADERS.contains(&next)
}

/// Classifies an IPv6 packet that starts at offset 0.
///
/// The rules are those by which the kernel finds ICMPv6 in a received IPv6 packet, with one
/// exception. This function does not find ICMPv6 inside of UDP (FOU, GUE), because the kernel
/// unwraps such a message only after the hook points. Extension headers may have any order, as in
/// `ipv6_skip_exthdr()`. Options in extension headers are ignored, also the router alert, which
/// multicast listener discovery uses.
pub(crate) fn ipv6(packet: &(impl ReadAt + ?Sized)) -> Class {
    let (Some([version]), Some([len0, len1, first])) = (packet.read_at(0), packet.read_at(4))
    else {
        return Class::Malformed;
    };
    // A payload length of 0 stands for a length that does not fit the field. Two kinds of
    // packets have a payload length of 0: a jumbogram (RFC 2675), whose length is in its
    // hop-by-hop options, and TCP segments that the kernel merged. Such a packet ends where its
    // bytes end.
    let end = match u16::from_be_bytes([len0, len1]) {
        0 => None,
        len => Some(IPV6_HEADER_LEN + usize::from(len)),
    };

    if !leads_to_icmpv6(first) {
        return Class::Other;
    }
    if version >> 4 != 6 {
        return Class::Malformed;
    }
    let mut next = first;
    let mut offset = IPV6_HEADER_LEN;
    let mut headers_left = MAX_EXTENSION_HEADERS;
    while next != ICMPV6 {
        if headers_left == 0 {
            return Class::Malformed;
        }
        headers_left -= 1;
        let Some([following, len, fragment0, fragment1, ..]) =
            packet.read_at::<EXTENSION_HEADER_LEN>(offset)
        else {
            return Class::Malformed;
        };
        if end.is_some_and(|end| offset + EXTENSION_HEADER_LEN > end) {
            return Class::Malformed;
        }
        offset += match next {
            FRAGMENT => {
                // A jumbogram cannot be fragmented, not even into a single fragment.
                if end.is_none() {
                    return Class::Malformed;
                }
                if u16::from_be_bytes([fragment0, fragment1]) & FRAGMENT_OFFSET != 0 {
                    return Class::LaterFragment;
                }
                EXTENSION_HEADER_LEN
            }
            AUTHENTICATION => (usize::from(len) + 2) * 4,
            _ => (usize::from(len) + 1) * 8,
        };
        next = following;
        if !leads_to_icmpv6(next) {
            return Class::Other;
        }
    }
    match end {
        Some(end) if packet.reaches(end) => message(packet, offset, end),
        // If the payload length of an ICMPv6 packet is 0, its first extension header must be a
        // hop-by-hop header. As in `ip6_rcv_core()`, this header need not have a jumbogram
        // option.
        None if first == HOP_BY_HOP => message(packet, offset, usize::MAX),
        _ => Class::Malformed,
    }
}

#[kunit_tests(rust_nldemo_classify_ipv6)]
mod tests {
    use super::*;

    const TCP: u8 = 6;
    const ESP: u8 = 50;
    const NO_NEXT_HEADER: u8 = 59;

    const ECHO_REQUEST: u8 = 128;
    const NEIGHBOUR_SOLICITATION: u8 = 135;
    const MULTICAST_LISTENER_REPORT: u8 = 143;
    const MESSAGE: [u8; 8] = [ECHO_REQUEST, 0, 0, 0, 0, 1, 0, 1];

    /// A packet put together piece by piece, with the correct payload length.
    #[derive(Clone, Copy)]
    struct Builder {
        bytes: [u8; 160],
        len: usize,
    }

    impl Builder {
        /// The fixed header. Its "next header" is `next`.
        fn new(next: u8) -> Self {
            let mut bytes = [0; 160];
            bytes[0] = 0x60;
            bytes[NEXT_HEADER] = next;
            bytes[7] = 64;
            // From fe80::1 to fe80::2.
            [bytes[8], bytes[9], bytes[23]] = [0xfe, 0x80, 1];
            [bytes[24], bytes[25], bytes[39]] = [0xfe, 0x80, 2];
            Self {
                bytes,
                len: IPV6_HEADER_LEN,
            }
        }

        fn push(mut self, piece: &[u8]) -> Self {
            self.bytes[self.len..][..piece.len()].copy_from_slice(piece);
            self.len += piece.len();
            self.bytes[5] = (self.len - IPV6_HEADER_LEN) as u8;
            self
        }

        /// An extension header of 8 bytes. Its length field of 0 stands for 8 bytes in every type
        /// of extension header.
        fn extension(self, next: u8) -> Self {
            self.push(&[next, 0, 0, 0, 0, 0, 0, 0])
        }

        fn fragment(self, next: u8, offset_and_more: u16) -> Self {
            let [high, low] = offset_and_more.to_be_bytes();
            self.push(&[next, 0, high, low, 0, 0, 0, 7])
        }

        /// Writes another payload length into the header.
        fn claim(mut self, payload_len: u16) -> Self {
            [self.bytes[4], self.bytes[5]] = payload_len.to_be_bytes();
            self
        }

        fn bytes(&self) -> &[u8] {
            &self.bytes[..self.len]
        }

        fn class(&self) -> Class {
            ipv6(self.bytes())
        }
    }

    #[test]
    fn icmpv6_of_every_type_is_icmp() {
        for icmp_type in 0..=255 {
            let packet = Builder::new(ICMPV6).push(&[icmp_type, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(packet.class(), Class::Icmp(icmp_type));
        }
    }

    #[test]
    fn other_protocols_are_other_whatever_else_they_say() {
        let other = |protocol: &u8| *protocol != ICMPV6 && !EXTENSION_HEADERS.contains(protocol);
        for protocol in (0..=255).filter(other) {
            assert_eq!(Builder::new(protocol).class(), Class::Other);
            assert_eq!(
                Builder::new(DESTINATION).extension(protocol).class(),
                Class::Other
            );
            let mut nonsense = [0xff; 40];
            nonsense[NEXT_HEADER] = protocol;
            assert_eq!(ipv6(&nonsense[..]), Class::Other);
        }
    }

    #[test]
    fn every_extension_header_is_walked_over() {
        for header in EXTENSION_HEADERS {
            let packet = Builder::new(header).extension(ICMPV6).push(&MESSAGE);
            assert_eq!(packet.class(), Class::Icmp(ECHO_REQUEST));
            // Headers may come in any order, and more than once.
            for other in EXTENSION_HEADERS {
                let packet = Builder::new(header)
                    .extension(other)
                    .extension(ICMPV6)
                    .push(&MESSAGE);
                assert_eq!(packet.class(), Class::Icmp(ECHO_REQUEST));
            }
        }
    }

    #[test]
    fn lengths_of_extension_headers_are_in_their_units() {
        // A length field of 1 stands for 16 bytes: 8, and 1 times 8.
        let generic = [ICMPV6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let packet = Builder::new(DESTINATION).push(&generic).push(&MESSAGE);
        assert_eq!(packet.class(), Class::Icmp(ECHO_REQUEST));
        // In an authentication header, a length field of 1 stands for 12 bytes: 8, and 1 times 4.
        let authentication = [ICMPV6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let packet = Builder::new(AUTHENTICATION)
            .push(&authentication)
            .push(&MESSAGE);
        assert_eq!(packet.class(), Class::Icmp(ECHO_REQUEST));
        // A fragment header always has 8 bytes. Its second byte is reserved, and is no length.
        let fragment = [ICMPV6, 0xff, 0, 0, 0, 0, 0, 7];
        let packet = Builder::new(FRAGMENT).push(&fragment).push(&MESSAGE);
        assert_eq!(packet.class(), Class::Icmp(ECHO_REQUEST));
    }

    #[test]
    fn multicast_listener_discovery_is_found_behind_its_router_alert() {
        let packet = Builder::new(HOP_BY_HOP)
            .push(&[ICMPV6, 0, 5, 2, 0, 0, 1, 0])
            .push(&[MULTICAST_LISTENER_REPORT, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(packet.class(), Class::Icmp(MULTICAST_LISTENER_REPORT));
    }

    #[test]
    fn encryption_and_no_next_header_end_a_packet() {
        for end in [ESP, NO_NEXT_HEADER] {
            let packet = Builder::new(end).push(&MESSAGE);
            assert_eq!(packet.class(), Class::Other);
            let packet = Builder::new(HOP_BY_HOP).extension(end).push(&MESSAGE);
            assert_eq!(packet.class(), Class::Other);
        }
    }

    #[test]
    fn quoted_packet_of_an_error_message_is_data() {
        const PACKET_TOO_BIG: u8 = 2;
        let quoted = Builder::new(TCP);
        let packet = Builder::new(ICMPV6)
            .push(&[PACKET_TOO_BIG, 0, 0, 0, 0, 0, 5, 0])
            .push(quoted.bytes());
        assert_eq!(packet.class(), Class::Icmp(PACKET_TOO_BIG));
    }

    #[test]
    fn every_cut_of_a_packet_is_malformed() {
        let packet = Builder::new(HOP_BY_HOP)
            .extension(ROUTING)
            .extension(ICMPV6)
            .push(&MESSAGE);
        for len in 0..packet.len {
            assert_eq!(ipv6(&packet.bytes()[..len]), Class::Malformed);
        }
    }

    #[test]
    fn other_versions_are_malformed() {
        for version in (0..16).filter(|&version| version != 6) {
            let mut packet = Builder::new(ICMPV6).push(&MESSAGE);
            packet.bytes[0] = version << 4;
            assert_eq!(packet.class(), Class::Malformed);
        }
    }

    #[test]
    fn lying_payload_lengths_are_malformed() {
        let claim = |len| {
            Builder::new(DESTINATION)
                .extension(ICMPV6)
                .push(&MESSAGE)
                .push(&[0xee; 8])
                .claim(len)
                .class()
        };
        // By this payload length the packet ends before the end of the message.
        for len in 1..16 {
            assert_eq!(claim(len), Class::Malformed);
        }
        // By this payload length the packet has 0 to 8 bytes of data. Other bytes are
        // padding.
        for len in 16..=24 {
            assert_eq!(claim(len), Class::Icmp(ECHO_REQUEST));
        }
        // This payload length counts more bytes than the packet has.
        for len in [25, 1280, u16::MAX] {
            assert_eq!(claim(len), Class::Malformed);
        }
    }

    #[test]
    fn padding_behind_the_payload_is_never_read() {
        // The padding can look like a header of a later fragment, or of another protocol, but it is
        // not a header.
        for offset in [0, 0b1000] {
            let packet = Builder::new(DESTINATION)
                .extension(FRAGMENT)
                .fragment(TCP, offset);
            for len in 8..16 {
                assert_eq!(packet.claim(len).class(), Class::Malformed);
            }
        }
    }

    #[test]
    fn extension_headers_that_end_beyond_the_packet_are_malformed() {
        for header in EXTENSION_HEADERS {
            if header != FRAGMENT {
                let packet = Builder::new(header)
                    .push(&[ICMPV6, 0xff, 0, 0, 0, 0, 0, 0])
                    .push(&MESSAGE);
                assert_eq!(packet.class(), Class::Malformed);
            }
        }
    }

    #[test]
    fn packet_that_ends_before_it_says_what_it_is_is_malformed() {
        for header in EXTENSION_HEADERS {
            assert_eq!(Builder::new(header).class(), Class::Malformed);
            let packet = Builder::new(DESTINATION).extension(header);
            assert_eq!(packet.class(), Class::Malformed);
        }
    }

    #[test]
    fn chain_of_extension_headers_has_a_limit() {
        let chain = |headers, last| {
            let mut packet = Builder::new(DESTINATION);
            for _ in 1..headers {
                packet = packet.extension(DESTINATION);
            }
            packet.extension(last).push(&MESSAGE).class()
        };
        assert_eq!(chain(12, ICMPV6), Class::Icmp(ECHO_REQUEST));
        assert_eq!(chain(12, TCP), Class::Other);
        assert_eq!(chain(13, ICMPV6), Class::Malformed);
        assert_eq!(chain(13, TCP), Class::Malformed);
    }

    #[test]
    fn first_fragment_has_a_header_to_read() {
        let fragment = |field| {
            Builder::new(FRAGMENT)
                .fragment(ICMPV6, field)
                .push(&MESSAGE)
                .class()
        };
        // A single fragment, a first fragment with more fragments behind it, and both of them with
        // the reserved bits set.
        for field in [0, 1, 0b110, 0b111] {
            assert_eq!(fragment(field), Class::Icmp(ECHO_REQUEST));
        }
        // The first fragment is too short for the message's header, or for the extension headers
        // before it.
        let packet = Builder::new(FRAGMENT)
            .fragment(ICMPV6, 1)
            .push(&MESSAGE[..7]);
        assert_eq!(packet.class(), Class::Malformed);
        let packet = Builder::new(FRAGMENT).fragment(DESTINATION, 1);
        assert_eq!(packet.class(), Class::Malformed);
    }

    #[test]
    fn later_fragment_is_never_read() {
        for field in [0b1000, 0b1001, 0x100, 0xfff8, 0xffff] {
            // The bytes after this fragment header look like an extension header or a
            // message, but they are data.
            for next in [ICMPV6, DESTINATION, FRAGMENT, TCP] {
                let packet = Builder::new(FRAGMENT).fragment(next, field);
                assert_eq!(packet.class(), Class::LaterFragment);
                let packet = packet.push(&MESSAGE);
                assert_eq!(packet.class(), Class::LaterFragment);
            }
            let packet = Builder::new(HOP_BY_HOP)
                .extension(FRAGMENT)
                .fragment(ICMPV6, field);
            assert_eq!(packet.class(), Class::LaterFragment);
        }
    }

    #[test]
    fn jumbogram_ends_where_the_packet_does() {
        const JUMBO: [u8; 8] = [ICMPV6, 0, 0xc2, 4, 0, 1, 0, 0];
        let jumbogram = Builder::new(HOP_BY_HOP).push(&JUMBO).push(&MESSAGE);
        // The kernel, not the module, checks the length in the jumbogram option. In this packet,
        // that length is beyond the packet's end.
        assert_eq!(jumbogram.claim(0).class(), Class::Icmp(ECHO_REQUEST));
        let cut = Builder::new(HOP_BY_HOP).push(&JUMBO).push(&MESSAGE[..7]);
        assert_eq!(cut.claim(0).class(), Class::Malformed);
        // If the payload length is not 0, the packet is no jumbogram, even with a jumbogram
        // option.
        let both = Builder::new(HOP_BY_HOP).push(&JUMBO).push(&MESSAGE);
        assert_eq!(both.class(), Class::Icmp(ECHO_REQUEST));
    }

    #[test]
    fn jumbogram_has_no_fragments() {
        for field in [0, 1, 0b1000] {
            let packet = Builder::new(HOP_BY_HOP)
                .extension(FRAGMENT)
                .fragment(ICMPV6, field)
                .push(&MESSAGE);
            assert_eq!(packet.claim(0).class(), Class::Malformed);
        }
    }

    #[test]
    fn payload_length_of_zero_is_not_held_against_other_protocols() {
        let packet = Builder::new(DESTINATION).extension(TCP).push(&[0; 20]);
        assert_eq!(packet.claim(0).class(), Class::Other);
    }

    #[test]
    fn message_in_a_payload_of_zero_bytes_is_malformed() {
        let packet = Builder::new(ICMPV6).push(&MESSAGE);
        assert_eq!(packet.claim(0).class(), Class::Malformed);
        let packet = Builder::new(DESTINATION).extension(ICMPV6).push(&MESSAGE);
        assert_eq!(packet.claim(0).class(), Class::Malformed);
    }

    #[test]
    fn types_and_protocol_numbers_are_not_confused() {
        // As a message type, 135 is a neighbour solicitation. As a protocol number, 135 is the
        // mobility header.
        let packet = Builder::new(ICMPV6).push(&[NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(packet.class(), Class::Icmp(NEIGHBOUR_SOLICITATION));
    }
}
