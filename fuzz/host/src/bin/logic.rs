// SPDX-License-Identifier: GPL-2.0

//! Compares the module's parsers with independent parsers, on any bytes.

#![no_main]

use std::num::NonZero;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

// The sources under test, and the parsers that they are compared with.
#[path = "../../../../net/netlink/attribute.rs"]
#[allow(dead_code)] // The rest of the module uses these items.
mod attribute;
#[path = "../../../../nldemo/classify/mod.rs"]
mod classify;
#[path = "../../../../tests/host/src/etherparse_says.rs"]
#[allow(dead_code)] // The host tests use these items.
mod etherparse_says;
#[path = "../../../../net/netlink/message.rs"]
#[allow(dead_code, unused_imports)] // As above; its suite is not built.
mod message;
#[path = "../../../../tests/host/src/netlink_packet_core_says.rs"]
mod netlink_packet_core_says;
#[path = "../../../../net/read_at.rs"]
mod read_at;
#[path = "../../../../net/netlink/refusal.rs"]
#[allow(dead_code)] // As above.
mod refusal;
#[path = "../../../../nldemo/spread.rs"]
#[allow(dead_code)] // As above.
mod spread;
#[path = "../../../../net/stack.rs"]
mod stack;
#[path = "../../../../tests/host/src/walk.rs"]
mod walk;

/// The paths by which the sources under test know each other.
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
        // A packet with two whole addresses has a hash.
        assert_eq!(
            hashes.map(|hash| hash.is_some()),
            [packet.len() >= 20, packet.len() >= 40]
        );
        for hash in hashes.into_iter().flatten() {
            assert!(spread::by_hash(hash, queues) < queues.get());
        }
    }
});
