// SPDX-License-Identifier: GPL-2.0

//! Tests how packets are spread over queues: any packets, and sets of flows whose addresses are
//! like those of real networks.

use std::num::NonZero;

use proptest::{
    array::uniform32,
    prelude::*, //
};

use crate::{
    property,
    spread::{
        by_hash,
        flow_ipv4,
        flow_ipv6, //
    },
};

/// The number of flows in a set.
const FLOWS: u32 = 4096;
/// The number of seeds for each set.
const SEEDS: u64 = 32;

fn ipv4(a: u32, b: u32, seed: u64) -> u32 {
    let mut packet = [0; 20];
    packet[12..16].copy_from_slice(&a.to_be_bytes());
    packet[16..].copy_from_slice(&b.to_be_bytes());
    flow_ipv4(&packet[..], seed).unwrap()
}

fn ipv6(a: u128, b: u128, seed: u64) -> u32 {
    let mut packet = [0; 40];
    packet[8..24].copy_from_slice(&a.to_be_bytes());
    packet[24..].copy_from_slice(&b.to_be_bytes());
    flow_ipv6(&packet[..], seed).unwrap()
}

#[test]
fn packets_of_a_flow_share_a_hash() {
    let strategy = (uniform32(any::<u8>()), uniform32(any::<u8>()), any::<u64>());
    property::check(100_000, &strategy, |(one, other, seed)| {
        // The packets `there` and `back` have only their two addresses in common, in opposite
        // order.
        let (mut there, mut back) = (one, other);
        back[12..16].copy_from_slice(&there[16..20]);
        back[16..20].copy_from_slice(&there[12..16]);
        prop_assert_eq!(flow_ipv4(&there[..], seed), flow_ipv4(&back[..], seed));
        prop_assert!(flow_ipv4(&there[..], seed).is_some());

        there = other;
        let source: [u8; 16] = *there.first_chunk().unwrap();
        let destination: [u8; 16] = *there.last_chunk().unwrap();
        let there = [&one[..8], &source, &destination].concat();
        let back = [&[0xff; 8], &destination[..], &source].concat();
        prop_assert_eq!(flow_ipv6(&there[..], seed), flow_ipv6(&back[..], seed));
        prop_assert!(flow_ipv6(&there[..], seed).is_some());
        Ok(())
    });
}

#[test]
fn queue_is_one_of_the_range() {
    let strategy = (any::<u32>(), 1..=u16::MAX);
    property::check(100_000, &strategy, |(hash, queues)| {
        let queues = NonZero::new(queues).unwrap();
        prop_assert!(by_hash(hash, queues) < queues.get());
        Ok(())
    });
}

/// A function of a flow's number in its set, and of a seed. It returns the hash of the flow.
type Hash = fn(u32, u64) -> u32;

/// Sets of flows.
const SETS: [(&str, Hash); 10] = [
    ("clients in a row and a server", |n, seed| {
        ipv4(0x0a00_0001, 0x0a00_0100 + n, seed)
    }),
    ("clients of many networks and a server", |n, seed| {
        ipv4(0x0a00_0001, 0x0b00_0001 + (n << 8), seed)
    }),
    ("networks in a row, the same host in each", |n, seed| {
        ipv4(0x0a00_0001 + (n << 12), 0xc0a8_0001 + (n << 12), seed)
    }),
    ("pairs of neighbours", |n, seed| {
        ipv4(0x0a00_0000 + 2 * n, 0x0a00_0001 + 2 * n, seed)
    }),
    ("a mesh of 64 and 64 hosts", |n, seed| {
        ipv4(0x0a00_0000 + n / 64, 0x0a00_0100 + n % 64, seed)
    }),
    ("IPv6 clients in a row and a server", |n, seed| {
        let net = 0x2001_0db8 << 96;
        ipv6(net | 1, net | u128::from(n + 2), seed)
    }),
    (
        "IPv6 networks in a row, the same host in each",
        |n, seed| {
            let net = 0x2001_0db8 << 96;
            ipv6(net | 1, (net | 1) + (u128::from(n + 1) << 64), seed)
        },
    ),
    ("link-local addresses made of MAC addresses", |n, seed| {
        let address = |n: u32| ((0xfe80 << 112) | 0x0200_5eff_fe00_0000) + u128::from(n);
        ipv6(address(0), address(n + 1), seed)
    }),
    ("an IPv6 mesh of 64 and 64 hosts", |n, seed| {
        let net = 0xfd00 << 112;
        ipv6(
            net + u128::from(n / 64),
            net + 0x100 + u128::from(n % 64),
            seed,
        )
    }),
    ("a host and multicast groups", |n, seed| {
        let solicited = (0xff02_u128 << 112) | 0x1_ff00_0000;
        ipv6((0xfe80 << 112) | 1, solicited + u128::from(n), seed)
    }),
];

#[test]
fn flows_spread_evenly() {
    for (name, hash) in SETS {
        for seed in (0..SEEDS).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            for queues in (2..=16).filter_map(NonZero::new) {
                let mut counts = vec![0; queues.get().into()];
                for n in 0..FLOWS {
                    counts[usize::from(by_hash(hash(n, seed), queues))] += 1;
                }
                // If each flow chose its queue at random, the number of flows in a queue would
                // exceed this limit once in three million times.
                let share = f64::from(FLOWS) / f64::from(queues.get());
                let deviation = (share * (1.0 - 1.0 / f64::from(queues.get()))).sqrt();
                for &count in &counts {
                    assert!(
                        (f64::from(count) - share).abs() < 5.1 * deviation,
                        "{name}, seed {seed:#x}, {queues} queues: {counts:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn another_seed_is_another_choice() {
    let queues = NonZero::new(4).unwrap();
    for (name, hash) in SETS {
        for seed in 0..SEEDS {
            let stay = (0..FLOWS)
                .filter(|&n| by_hash(hash(n, seed), queues) == by_hash(hash(n, seed + 1), queues))
                .count();
            // If a new seed gave each flow one of the four queues at random, about a quarter of the
            // flows would stay in their old queue.
            assert!(
                (924..1124).contains(&stay),
                "{name}, seed {seed}: {stay} stay"
            );
        }
    }
}
