// SPDX-License-Identifier: GPL-2.0

//! Which packets are ICMP.
//!
//! Nearly all packets are not, and leave after a peek at one byte ([`may_be_icmp`]).

mod ipv4;
mod ipv6;

use crate::net::{
    netfilter::Family,
    skbuff::ReadAt, //
};

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

/// Whether a packet of `family` may be anything but [`Class::Other`]. Never wrong when it says no:
/// what nearly every packet pays, and all that it pays.
#[inline]
pub(crate) fn may_be_icmp(family: Family, packet: &(impl ReadAt + ?Sized)) -> bool {
    match family {
        Family::Ipv4 => ipv4::may_be_icmp(packet),
        Family::Ipv6 => ipv6::may_be_icmp(packet),
    }
}

/// Classifies a packet of `family` that starts at offset 0.
pub(crate) fn classify(family: Family, packet: &(impl ReadAt + ?Sized)) -> Class {
    match family {
        Family::Ipv4 => ipv4::ipv4(packet),
        Family::Ipv6 => ipv6::ipv6(packet),
    }
}

/// The class of the message at `offset` of a packet that says it ends at `end`.
fn message(packet: &(impl ReadAt + ?Sized), offset: usize, end: usize) -> Class {
    match packet.read_at::<ICMP_HEADER_LEN>(offset) {
        Some([icmp_type, ..]) if end.saturating_sub(offset) >= ICMP_HEADER_LEN => {
            Class::Icmp(icmp_type)
        }
        _ => Class::Malformed,
    }
}
