// SPDX-License-Identifier: GPL-2.0

//! Which packets are ICMP.

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
pub(crate) fn ipv4(packet: &impl ReadAt) -> Class {
    match packet.read_at::<1>(9) {
        Some([ICMP]) => ipv4_icmp(packet),
        Some(_) => Class::Other,
        None => Class::Malformed,
    }
}

/// Classifies an IPv4 packet that says it is ICMP.
fn ipv4_icmp(packet: &impl ReadAt) -> Class {
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
