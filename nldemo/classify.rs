// SPDX-License-Identifier: GPL-2.0

//! Which packets are ICMP.

use kernel::prelude::*;

use crate::net::skbuff::ReadAt;

/// The IP protocol number of ICMP (RFC 792).
const ICMP: u8 = 1;
/// The length of an IPv4 header without options, in bytes (RFC 791).
const IPV4_HEADER_LEN: usize = 20;
/// The length of the part of the ICMP header that all types have, in bytes.
const ICMP_HEADER_LEN: usize = 8;
/// The bits of the fragment field that hold the offset.
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// What a packet is to us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// An ICMP message whose header is all there.
    Icmp,
    /// Another protocol.
    Other,
    /// A fragment behind the first one: it says ICMP and holds none of its header.
    LaterFragment,
    /// It says ICMP, and its headers contradict themselves or end early.
    Malformed,
}

/// Classifies an IPv4 packet that starts at offset 0.
///
/// Nearly all packets are not ICMP, and leave after one read.
#[inline]
pub(crate) fn ipv4(packet: &(impl ReadAt + ?Sized)) -> Class {
    match packet.read_at::<1>(9) {
        Some([ICMP]) => ipv4_icmp(packet),
        Some(_) => Class::Other,
        None => Class::Malformed,
    }
}

/// Classifies an IPv4 packet that says it is ICMP. Out of line, so that other packets need not
/// save its registers.
#[inline(never)]
fn ipv4_icmp(packet: &(impl ReadAt + ?Sized)) -> Class {
    let Some([version_ihl, _, len0, len1, _, _, fragment0, fragment1]) = packet.read_at::<8>(0)
    else {
        return Class::Malformed;
    };
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([len0, len1]));
    let fragment = u16::from_be_bytes([fragment0, fragment1]);

    if version_ihl >> 4 != 4 || header_len < IPV4_HEADER_LEN || total_len < header_len {
        return Class::Malformed;
    }
    if fragment & FRAGMENT_OFFSET != 0 {
        return Class::LaterFragment;
    }
    if total_len < header_len + ICMP_HEADER_LEN
        || packet.read_at::<ICMP_HEADER_LEN>(header_len).is_none()
    {
        return Class::Malformed;
    }
    Class::Icmp
}

#[kunit_tests(rust_nldemo_classify)]
mod tests {
    use super::*;

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
            assert!(with(20, icmp_type) == Class::Icmp);
        }
    }

    #[test]
    fn other_protocols_are_other_whatever_else_they_say() {
        for protocol in (0..=255).filter(|&protocol| protocol != ICMP) {
            assert!(with(9, protocol) == Class::Other);
        }
        let mut nonsense = [0xff; 20];
        nonsense[9] = 17;
        assert!(ipv4(&nonsense[..]) == Class::Other);
    }

    #[test]
    fn header_options_are_skipped() {
        // 4 bytes of options push the ICMP header to byte 24, where 12 bytes are left for it.
        assert!(with(0, 0x46) == Class::Icmp);
        // 12 bytes of options leave it 4 bytes.
        assert!(with(0, 0x48) == Class::Malformed);
    }

    #[test]
    fn every_cut_of_a_packet_is_malformed() {
        for len in 0..28 {
            assert!(ipv4(&ECHO[..len]) == Class::Malformed);
        }
        assert!(ipv4(&ECHO[..28]) == Class::Icmp);
    }

    #[test]
    fn lying_headers_are_malformed() {
        // Version 6, and a header shorter than the shortest.
        assert!(with(0, 0x65) == Class::Malformed);
        assert!(with(0, 0x44) == Class::Malformed);
        assert!(with(0, 0x40) == Class::Malformed);
        // A header longer than the packet.
        assert!(with(0, 0x4f) == Class::Malformed);
        // A total length that leaves out the header, or part of the ICMP header.
        for total in [0, 19, 20, 27] {
            assert!(with(3, total) == Class::Malformed);
        }
        assert!(with(3, 28) == Class::Icmp);
    }

    #[test]
    fn only_the_first_fragment_has_a_header_to_read() {
        // More fragments, offset 0.
        assert!(with(6, 0x20) == Class::Icmp);
        // Offsets in either byte of the field, with and without more fragments behind.
        assert!(with(7, 1) == Class::LaterFragment);
        assert!(with(6, 0x1f) == Class::LaterFragment);
        assert!(with(6, 0x21) == Class::LaterFragment);
        // Shorter than an ICMP header, as a last fragment may be.
        let mut last = ECHO;
        last[3] = 21;
        last[7] = 5;
        assert!(ipv4(&last[..21]) == Class::LaterFragment);
    }
}
