// SPDX-License-Identifier: GPL-2.0

//! The decision about a packet.

use kernel::cpu::CpuId;

use super::{
    classify::{
        classify,
        may_be_icmp,
        Class, //
    },
    config::{
        Config,
        Spread, //
    },
    netns::NetNs,
    spread,
    stats::Packets, //
};

use crate::net::{
    netfilter::{
        Family,
        Hooknum,
        Point,
        State,
        Verdict, //
    },
    skbuff::Packet, //
};

/// Decides about a packet. Nearly every packet is not ICMP, and is accepted after a look at one
/// byte.
///
/// Context: RCU read side.
#[inline]
pub(crate) fn hook(netns: &NetNs, packet: &Packet, state: &State, point: &Point) -> Verdict {
    if !may_be_icmp(point.family, &packet.linear()) {
        return Verdict::ACCEPT;
    }
    match point.family {
        Family::Ipv4 => decide_ipv4(netns, packet, state, *point),
        Family::Ipv6 => decide_ipv6(netns, packet, state, *point),
    }
}

// These functions are not inlined, so that the hook saves no registers for a packet that is not
// ICMP. There is one for each family, so that the code for ICMP has no branches for ICMPv6.
#[inline(never)]
fn decide_ipv4(netns: &NetNs, packet: &Packet, state: &State, point: Point) -> Verdict {
    decide(Family::Ipv4, netns, packet, state, &point)
}
#[inline(never)]
fn decide_ipv6(netns: &NetNs, packet: &Packet, state: &State, point: Point) -> Verdict {
    decide(Family::Ipv6, netns, packet, state, &point)
}

/// Decides about a packet that may be ICMP.
///
/// Context: RCU read side.
#[inline(always)]
fn decide(family: Family, netns: &NetNs, packet: &Packet, state: &State, point: &Point) -> Verdict {
    let config = netns.control.read(state.read_side());
    // While hook points change, the kernel can call the hook at a point that the configuration does
    // not name yet, or no longer names.
    if !config.covers(point) {
        return Verdict::ACCEPT;
    }
    let count = |what| netns.statistics.count_packet(family, what);
    let class = match classify(family, &packet.linear()) {
        // The linear part can end within the headers. Then the rest of the headers is in the
        // fragments of the `sk_buff`.
        Class::Malformed => classify_fragments(family, packet),
        class => class,
    };
    let icmp_type = match class {
        Class::Icmp(icmp_type) => icmp_type,
        Class::Malformed => {
            count(Packets::Seen);
            count(Packets::Unparsable);
            return Verdict::ACCEPT;
        }
        Class::LaterFragment | Class::Other => return Verdict::ACCEPT,
    };
    count(Packets::Seen);
    if !config.types(family).contains(icmp_type) {
        return Verdict::ACCEPT;
    }
    count(Packets::Matched);
    if config.skip_mark != 0 && config.skip_mark == packet.mark() {
        count(Packets::Skipped);
        return Verdict::ACCEPT;
    }
    if is_met_again(packet, state, point) {
        count(Packets::Skipped);
        return Verdict::ACCEPT;
    }
    count(Packets::Queued);
    Verdict::queue(queue(netns, config, packet, family), config.bypass)
}

/// Classifies a packet by all its bytes, also those in the fragments of the `sk_buff`. `decide`
/// calls this if the linear part alone looks malformed.
#[cold]
#[inline(never)]
fn classify_fragments(family: Family, packet: &Packet) -> Class {
    classify(family, packet)
}

/// Whether a packet arrived through a device of a VRF, and now meets the hook a second time, with
/// the VRF as its device. If the packet were queued this second time, the kernel would lose it
/// after the verdict.
///
/// A packet that this host sends to itself through a VRF meets the hook only once, with the VRF as
/// its device.
#[inline]
fn is_met_again(packet: &Packet, state: &State, point: &Point) -> bool {
    point.hooknum == Hooknum::PreRouting
        && state
            .in_device()
            .is_some_and(|device| device.is_l3_master())
        && !packet.is_looped_back()
}

/// The queue that a packet goes to.
#[inline(always)]
fn queue(netns: &NetNs, config: &Config, packet: &Packet, family: Family) -> u16 {
    if config.queues.get() == 1 {
        return config.queue;
    }
    queue_of_many(netns, config, packet, family)
}

#[inline(never)]
fn queue_of_many(netns: &NetNs, config: &Config, packet: &Packet, family: Family) -> u16 {
    let offset = match config.spread {
        Spread::Cpu => spread::by_cpu(CpuId::current().as_u32(), config.queues),
        Spread::Flow => {
            let hash = match family {
                Family::Ipv4 => spread::flow_ipv4(packet, netns.seed),
                Family::Ipv6 => spread::flow_ipv6(packet, netns.seed),
            };
            hash.map_or(0, |hash| spread::by_hash(hash, config.queues))
        }
    };
    // The sum does not wrap, because the last queue has a valid number (`Config::queues_exist()`).
    config.queue.wrapping_add(offset)
}
