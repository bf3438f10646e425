// SPDX-License-Identifier: GPL-2.0

//! Chooses the queue of a packet, if there are several queues.
//!
//! The iptables target NFQUEUE does the same with its option `--queue-balance` (`nfqueue_hash()`
//! and `nfqueue_tg_v3()`). The queue is chosen by flow, so that the packets of a flow stay in
//! order, or by CPU, so that a packet stays on its CPU.
//!
//! A flow is a pair of addresses, in either direction: an echo request and its reply share a queue,
//! and so do the fragments of a datagram. The identifier of an echo is not part of the flow,
//! because error messages and later fragments have no identifier.

use core::num::NonZero;

use kernel::prelude::*;

use crate::net::skbuff::ReadAt;

/// The offset of the source address in the IPv4 header. The destination address follows it.
const IPV4_ADDRESSES: usize = 12;
/// The offset of the source address in the IPv6 header. The destination address follows it.
const IPV6_ADDRESSES: usize = 8;

/// The hash of an IPv4 packet's flow; `None` if the packet is too short for both addresses.
///
/// `seed` is a random number that decides which flows share a queue. Packets of a flow stay in
/// order only as long as the seed stays the same.
#[inline]
pub(crate) fn flow_ipv4(packet: &(impl ReadAt + ?Sized), seed: u64) -> Option<u32> {
    let [a0, a1, a2, a3, b0, b1, b2, b3] = packet.read_at::<8>(IPV4_ADDRESSES)?;
    let a = u32::from_be_bytes([a0, a1, a2, a3]);
    let b = u32::from_be_bytes([b0, b1, b2, b3]);
    let pair = (u64::from(a.min(b)) << 32) | u64::from(a.max(b));
    Some(high_half(mix(pair ^ seed)))
}

/// The hash of an IPv6 packet's flow; `None` if the packet is too short for both addresses. For
/// `seed`, see [`flow_ipv4`].
#[inline]
pub(crate) fn flow_ipv6(packet: &(impl ReadAt + ?Sized), seed: u64) -> Option<u32> {
    let a = u128::from_be_bytes(packet.read_at(IPV6_ADDRESSES)?);
    let b = u128::from_be_bytes(packet.read_at(IPV6_ADDRESSES + size_of::<u128>())?);
    let hash = [a.min(b), a.max(b)]
        .into_iter()
        // CAST: The upper and the lower half of an address.
        .flat_map(|address| [(address >> 64) as u64, address as u64])
        .fold(seed, |hash, half| mix(hash ^ half));
    Some(high_half(hash))
}

/// Maps a hash to one of `queues` queues, by multiplication as in `reciprocal_scale()`.
#[inline]
pub(crate) fn by_hash(hash: u32, queues: NonZero<u16>) -> u16 {
    // CAST: The product is below `queues << 32`.
    ((u64::from(hash) * u64::from(queues.get())) >> 32) as u16
}

/// Maps a CPU to one of `queues` queues.
#[inline]
pub(crate) fn by_cpu(cpu: u32, queues: NonZero<u16>) -> u16 {
    // CAST: The remainder is below `queues`.
    (cpu % u32::from(queues.get())) as u16
}

/// The finalizer of MurmurHash3: a bijection that changes about half of the bits of its result if
/// one bit of its argument changes.
#[inline]
fn mix(mut bits: u64) -> u64 {
    const MULTIPLIERS: [u64; 2] = [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53];
    for multiplier in MULTIPLIERS {
        bits ^= bits >> 33;
        bits = bits.wrapping_mul(multiplier);
    }
    bits ^ (bits >> 33)
}

/// The upper half of a hash. It depends on every bit of the hashed value.
#[inline]
fn high_half(hash: u64) -> u32 {
    // CAST: After the shift only the lower 32 bits can be set.
    (hash >> 32) as u32
}

#[kunit_tests(rust_nldemo_spread)]
mod tests {
    use super::*;

    const SEED: u64 = 0x0123_4567_89ab_cdef;

    /// The hash of an IPv4 packet between two addresses.
    fn ipv4(source: u32, destination: u32, seed: u64) -> Option<u32> {
        let mut packet = [0; 20];
        packet[12..16].copy_from_slice(&source.to_be_bytes());
        packet[16..].copy_from_slice(&destination.to_be_bytes());
        flow_ipv4(&packet[..], seed)
    }

    /// The hash of an IPv6 packet between two addresses.
    fn ipv6(source: u128, destination: u128, seed: u64) -> Option<u32> {
        let mut packet = [0; 40];
        packet[8..24].copy_from_slice(&source.to_be_bytes());
        packet[24..].copy_from_slice(&destination.to_be_bytes());
        flow_ipv6(&packet[..], seed)
    }

    #[test]
    fn both_directions_are_one_flow() {
        for n in 0..100 {
            let (a, b) = (0x0a00_0001, 0x0a00_0002 + (n << (n % 24)));
            assert!(ipv4(a, b, SEED).is_some());
            assert_eq!(ipv4(a, b, SEED), ipv4(b, a, SEED));
            let (a, b) = (
                (0xfe80 << 112) | 1,
                (0x2001_0db8 << 96) + (u128::from(n) << n),
            );
            assert!(ipv6(a, b, SEED).is_some());
            assert_eq!(ipv6(a, b, SEED), ipv6(b, a, SEED));
        }
    }

    #[test]
    fn addresses_are_all_that_counts() {
        // Headers of two fragments of one datagram.
        let mut fragments = [[0; 40], [0xff; 40]];
        for fragment in &mut fragments {
            fragment[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        }
        let [first, later] = &fragments;
        assert_eq!(flow_ipv4(&first[..], SEED), flow_ipv4(&later[..], SEED));
        for fragment in &mut fragments {
            fragment[8..].copy_from_slice(&[0x20; 32]);
        }
        let [first, later] = &fragments;
        assert_eq!(flow_ipv6(&first[..], SEED), flow_ipv6(&later[..], SEED));
    }

    #[test]
    fn packet_that_ends_within_its_addresses_has_no_flow() {
        let packet = [0; 40];
        for len in 0..40 {
            assert_eq!(flow_ipv4(&packet[..len], SEED).is_some(), len >= 20);
            assert!(flow_ipv6(&packet[..len], SEED).is_none());
        }
        assert!(flow_ipv6(&packet[..], SEED).is_some());
    }

    #[test]
    fn every_bit_of_an_address_and_of_the_seed_counts() {
        for bit in 0..32 {
            assert!(ipv4(0, 0, SEED) != ipv4(1 << bit, 0, SEED));
        }
        for bit in 0..128 {
            assert!(ipv6(0, 0, SEED) != ipv6(1 << bit, 0, SEED));
        }
        for bit in 0..64 {
            assert!(ipv4(1, 2, SEED) != ipv4(1, 2, SEED ^ (1 << bit)));
            assert!(ipv6(1, 2, SEED) != ipv6(1, 2, SEED ^ (1 << bit)));
        }
    }

    /// Maps 1024 hashes to `queues` queues. Returns whether the queues get about the same number of
    /// hashes: the number for each queue differs from an equal share by at most half of the share.
    fn even(queues: NonZero<u16>, hash: impl Fn(u32) -> Option<u32>) -> bool {
        const FLOWS: u16 = 1024;
        let mut counts = [0; 16];
        for n in 0..u32::from(FLOWS) {
            match hash(n) {
                Some(hash) => counts[usize::from(by_hash(hash, queues))] += 1,
                None => return false,
            }
        }
        let share = FLOWS / queues.get();
        counts[..usize::from(queues.get())]
            .iter()
            .all(|count| (share / 2..=share * 3 / 2).contains(count))
    }

    #[test]
    fn neighbours_are_spread_evenly() {
        for queues in (2..=16).filter_map(NonZero::new) {
            // First many clients of one server, then pairs of hosts in two networks: both
            // hosts of a pair have the same host number.
            assert!(even(queues, |n| ipv4(0x0a00_0001, 0x0a00_0100 + n, SEED)));
            assert!(even(queues, |n| ipv4(
                0x0a00_0000 + n,
                0x0a01_0000 + n,
                SEED
            )));
            let net = 0x2001_0db8 << 96;
            assert!(even(queues, |n| ipv6(net, net + u128::from(n), SEED)));
            // One host, and hosts with the same host number in other networks.
            assert!(even(queues, |n| ipv6(
                net,
                net + (u128::from(n) << 64),
                SEED
            )));
        }
    }

    #[test]
    fn queues_are_those_of_the_range() {
        for queues in [1, 2, 3, 7, 16, u16::MAX]
            .into_iter()
            .filter_map(NonZero::new)
        {
            let last = queues.get() - 1;
            assert_eq!(by_hash(0, queues), 0);
            assert_eq!(by_hash(u32::MAX, queues), last);
            assert_eq!(by_cpu(0, queues), 0);
            assert_eq!(by_cpu(u32::from(last), queues), last);
            assert_eq!(by_cpu(u32::from(last) + 1, queues), 0);
        }
    }

    #[test]
    fn hashes_fall_to_queues_in_equal_parts() {
        let queues = NonZero::<u16>::MIN.saturating_add(3);
        assert_eq!(by_hash((1 << 30) - 1, queues), 0);
        assert_eq!(by_hash(1 << 30, queues), 1);
        assert_eq!(by_hash((1 << 31) - 1, queues), 1);
        assert_eq!(by_hash(1 << 31, queues), 2);
        assert_eq!(by_hash(3 << 30, queues), 3);
    }
}
