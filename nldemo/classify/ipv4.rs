// SPDX-License-Identifier: GPL-2.0

//! ICMP in IPv4 packets.

use kernel::prelude::*;

use super::class::{
    message,
    Class, //
};

use crate::net::skbuff::ReadAt;

/// The length of a header without options, in bytes (RFC 791).
const IPV4_HEADER_LEN: usize = 20;
/// The offset of the protocol number.
const PROTOCOL: usize = 9;
/// The protocol number of ICMP (RFC 792).
const ICMP: u8 = 1;
/// The bits of the fragment field that hold the offset.
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Whether an IPv4 packet can have another class than [`Class::Other`]. If this returns false, the
/// class is `Other`.
#[inline]
pub(crate) fn may_be_icmp(packet: &(impl ReadAt + ?Sized)) -> bool {
    let Some([protocol]) = packet.read_at(PROTOCOL) else {
        return true;
    };
    protocol == ICMP
}

/// Classifies an IPv4 packet that starts at offset 0.
///
/// An ICMP packet with total length 0 is [`Class::Malformed`]. The kernel writes this length
/// only into TCP segments that it merged.
pub(crate) fn ipv4(packet: &(impl ReadAt + ?Sized)) -> Class {
    let Some([version_ihl, _, len0, len1, _, _, fragment0, fragment1, _, protocol]) =
        packet.read_at::<10>(0)
    else {
        return Class::Malformed;
    };
    if protocol != ICMP {
        return Class::Other;
    }
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([len0, len1]));
    let fragment = u16::from_be_bytes([fragment0, fragment1]);

    if version_ihl >> 4 != 4 || header_len < IPV4_HEADER_LEN || total_len < header_len {
        return Class::Malformed;
    }
    if fragment & FRAGMENT_OFFSET != 0 {
        return Class::LaterFragment;
    }
    message(packet, header_len, total_len)
}

#[kunit_tests(rust_nldemo_classify)]
mod tests {
    use super::*;

    const ECHO_REQUEST: u8 = 8;

    /// An echo request of 8 data bytes behind a header without options.
    const ECHO: [u8; 36] = [
        0x45, 0, 0, 36, 0x12, 0x34, 0x40, 0, 64, ICMP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, //
        8, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8,
    ];

    /// The class of [`ECHO`] with the byte at `offset` replaced.
    fn with(offset: usize, byte: u8) -> Class {
        let mut packet = ECHO;
        packet[offset] = byte;
        ipv4(&packet[..])
    }

    #[test]
    fn icmp_of_every_type_is_icmp() {
        for icmp_type in 0..=255 {
            assert_eq!(with(20, icmp_type), Class::Icmp(icmp_type));
        }
    }

    #[test]
    fn other_protocols_are_other_whatever_else_they_say() {
        for protocol in (0..=255).filter(|&protocol| protocol != ICMP) {
            assert_eq!(with(9, protocol), Class::Other);
        }
        let mut nonsense = [0xff; 20];
        nonsense[9] = 17;
        assert_eq!(ipv4(&nonsense[..]), Class::Other);
    }

    #[test]
    fn header_options_are_skipped() {
        // 4 bytes of options push the ICMP header to byte 24, where 12 bytes of the packet are
        // left, and the first of these bytes is 0.
        assert_eq!(with(0, 0x46), Class::Icmp(0));
        // 12 bytes of options leave 4 bytes for the ICMP header.
        assert_eq!(with(0, 0x48), Class::Malformed);
    }

    #[test]
    fn every_cut_of_a_packet_is_malformed() {
        for len in 0..28 {
            assert_eq!(ipv4(&ECHO[..len]), Class::Malformed);
        }
        assert_eq!(ipv4(&ECHO[..28]), Class::Icmp(ECHO_REQUEST));
    }

    #[test]
    fn lying_headers_are_malformed() {
        // Version 6. Then header lengths of 16 and 0 bytes: the shortest header has 20.
        assert_eq!(with(0, 0x65), Class::Malformed);
        assert_eq!(with(0, 0x44), Class::Malformed);
        assert_eq!(with(0, 0x40), Class::Malformed);
        // A header longer than the packet.
        assert_eq!(with(0, 0x4f), Class::Malformed);
        // By this total length the packet ends before the end of the ICMP header.
        for total in [0, 19, 20, 27] {
            assert_eq!(with(3, total), Class::Malformed);
        }
        assert_eq!(with(3, 28), Class::Icmp(ECHO_REQUEST));
    }

    #[test]
    fn only_the_first_fragment_has_a_header_to_read() {
        // The flag "more fragments", and offset 0.
        assert_eq!(with(6, 0x20), Class::Icmp(ECHO_REQUEST));
        // Offsets in either byte of the field, with and without the flag "more fragments".
        assert_eq!(with(7, 1), Class::LaterFragment);
        assert_eq!(with(6, 0x1f), Class::LaterFragment);
        assert_eq!(with(6, 0x21), Class::LaterFragment);
        // The fragment has less data than an ICMP header. A last fragment can be that short.
        let mut last = ECHO;
        last[3] = 21;
        last[7] = 5;
        assert_eq!(ipv4(&last[..21]), Class::LaterFragment);
    }
}
