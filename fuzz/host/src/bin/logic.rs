// SPDX-License-Identifier: GPL-2.0

//! Gives any bytes to the module's parsers and to independent parsers, and compares their results.

#![no_main]

use std::num::NonZero;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

// The module's sources that are tested, and the independent parsers.
#[path = "../../../../net/netlink/attribute.rs"]
#[allow(dead_code)] // The module uses the items that this program does not use.
mod attribute;
#[path = "../../../../nldemo/classify/mod.rs"]
mod classify;
#[path = "../../../../tests/host/src/etherparse_says.rs"]
#[allow(dead_code)] // The host tests use the items that this program does not use.
mod etherparse_says;
// The module uses the items that this program does not use. Only KUnit tests use some imports.
#[path = "../../../../net/netlink/message.rs"]
#[allow(dead_code, unused_imports)]
mod message;
#[path = "../../../../tests/host/src/netlink_packet_core_says.rs"]
mod netlink_packet_core_says;
#[path = "../../../../net/read_at.rs"]
mod read_at;
#[path = "../../../../net/netlink/refusal.rs"]
#[allow(dead_code)] // The module uses the items that this program does not use.
mod refusal;
#[path = "../../../../nldemo/spread.rs"]
#[allow(dead_code)] // The module uses the items that this program does not use.
mod spread;
#[path = "../../../../net/stack.rs"]
mod stack;
#[path = "../../../../tests/host/src/walk.rs"]
mod walk;

/// The module's sources import each other by these paths.
mod net {
    pub(crate) mod netfilter {
        #[derive(Clone, Copy)]
        pub(crate) enum Family {
            Ipv4,
            Ipv6,
        }
    }
    pub(crate) mod skbuff {
        pub(crate) use crate::read_at::ReadAt;
    }
    pub(crate) use crate::stack;
}

use attribute::Attributes;
use classify::{
    classify,
    may_be_icmp,
    Class, //
};
use net::netfilter::Family;
use netlink_packet_core_says::POLICY;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Messages(&'a [u8]),
    Attributes(&'a [u8]),
    Ipv4(&'a [u8]),
    Ipv6(&'a [u8]),
    Spread {
        seed: u64,
        queues: NonZero<u16>,
        packet: &'a [u8],
    },
}

fn class(family: Family, packet: &[u8]) -> Class {
    if may_be_icmp(family, packet) {
        classify(family, packet)
    } else {
        Class::Other
    }
}

fuzz_target!(|input: Input<'_>| match input {
    Input::Messages(buffer) => walk::check(buffer),
    Input::Attributes(payload) => {
        let judged = Attributes::parse(payload, &POLICY)
            .map(|_| ())
            .map_err(|refusal| (refusal.error(), refusal.offset()));
        assert_eq!(judged, netlink_packet_core_says::message(payload));
    }
    Input::Ipv4(packet) => {
        let theirs = etherparse_says::ipv4(packet, &mut |_| ());
        assert_eq!(class(Family::Ipv4, packet), theirs);
    }
    Input::Ipv6(packet) => {
        let theirs = etherparse_says::ipv6(packet, &mut |_| ());
        assert_eq!(class(Family::Ipv6, packet), theirs);
    }
    Input::Spread {
        seed,
        queues,
        packet,
    } => {
        let hashes = [
            spread::flow_ipv4(packet, seed),
            spread::flow_ipv6(packet, seed),
        ];
        // A packet has a hash if it contains both IP addresses completely.
        assert_eq!(
            hashes.map(|hash| hash.is_some()),
            [packet.len() >= 20, packet.len() >= 40]
        );
        for hash in hashes.into_iter().flatten() {
            assert!(spread::by_hash(hash, queues) < queues.get());
        }
    }
});
