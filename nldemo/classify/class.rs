// SPDX-License-Identifier: GPL-2.0

//! What a packet is, and the message that every kind of packet has.

use crate::net::skbuff::ReadAt;

/// The least that a message has, in bytes: type, code, checksum, and four bytes that belong to the
/// type. The kernel takes no shorter one: `icmp_rcv()` and `icmpv6_rcv()` pull a header of this
/// length before they look at the type. All messages that RFCs 792 and 4443 define have it.
const ICMP_HEADER_LEN: usize = 8;

/// What a packet is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// An ICMP or ICMPv6 message of that type, whose header is all there. One that reports an error
    /// is no different: the packet that it quotes is data.
    Icmp(u8),
    /// Another protocol, however broken the packet is otherwise.
    Other,
    /// A fragment behind the first one: it has none of the headers behind the IP header to read.
    ///
    /// In IPv4 it says ICMP nevertheless. What an IPv6 one says does not count (RFC 8200 section
    /// 4.5), so it is this for all protocols.
    LaterFragment,
    /// It says ICMP or does not get as far as to say what it is: its headers contradict themselves,
    /// end early or are too many.
    Malformed,
}

/// The class of the message at `offset` of a packet that says it ends at `end`.
pub(super) fn message(packet: &(impl ReadAt + ?Sized), offset: usize, end: usize) -> Class {
    match packet.read_at::<ICMP_HEADER_LEN>(offset) {
        Some([icmp_type, ..]) if offset + ICMP_HEADER_LEN <= end => Class::Icmp(icmp_type),
        _ => Class::Malformed,
    }
}
