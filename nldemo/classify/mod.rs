// SPDX-License-Identifier: GPL-2.0

//! Finds ICMP messages in packets.
//!
//! For nearly all packets a look at one byte is enough ([`may_be_icmp`]).

mod class;
mod ipv4;
mod ipv6;

pub(crate) use self::class::Class;

use crate::net::{
    netfilter::Family,
    skbuff::ReadAt, //
};

/// Whether a packet of `family` can have another class than [`Class::Other`]. If this returns
/// false, the class is `Other`. For nearly every packet the hook needs no more than this check.
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
