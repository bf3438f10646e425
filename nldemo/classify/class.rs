// SPDX-License-Identifier: GPL-2.0

//! The classes of packets, and the check of an ICMP message, which is the same for IPv4 and IPv6.

use crate::net::skbuff::ReadAt;

/// The length of the shortest ICMP message, in bytes: type, code, checksum, and four bytes that
/// depend on the type. The kernel accepts no shorter message: `icmp_rcv()` and `icmpv6_rcv()` pull
/// a header of this length before they look at the type. All messages of RFCs 792 and 4443 have at
/// least this length.
const ICMP_HEADER_LEN: usize = 8;

/// The class of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// An ICMP or ICMPv6 message of this type, with a complete header. This includes messages that
    /// report an error: the packet that such a message quotes is data.
    Icmp(u8),
    /// Another protocol. Whether the rest of the packet is valid does not matter.
    Other,
    /// A fragment that is not the first one of its datagram. Behind its IP header there is no other
    /// header.
    ///
    /// A later IPv4 fragment has this class only if its protocol is ICMP. A later IPv6 fragment
    /// always has this class, because only the first fragment's protocol is valid for the datagram
    /// (RFC 8200 section 4.5).
    LaterFragment,
    /// Headers that contradict themselves, end early or are too many, in a packet whose protocol is
    /// ICMP or cannot be found out.
    Malformed,
}

/// The class of the message at `offset`. The packet's headers say that the packet ends at `end`.
pub(super) fn message(packet: &(impl ReadAt + ?Sized), offset: usize, end: usize) -> Class {
    match packet.read_at::<ICMP_HEADER_LEN>(offset) {
        Some([icmp_type, ..]) if offset + ICMP_HEADER_LEN <= end => Class::Icmp(icmp_type),
        _ => Class::Malformed,
    }
}
