// SPDX-License-Identifier: GPL-2.0

//! Compares the classifier with etherparse, and runs it on packets that change while it reads.

use std::{
    cell::{
        Cell,
        RefCell, //
    },
    collections::BTreeMap,
};

use proptest::prelude::*;

use crate::{
    classify::{
        classify,
        may_be_icmp,
        Class, //
    },
    etherparse_says::{
        self,
        Difference, //
    },
    net::netfilter::Family,
    packets::{
        tampered_ipv4,
        tampered_ipv6,
        Tampered, //
    },
    property,
    read_at::ReadAt,
};

/// The number of packets for each family, unless `PROPTEST_CASES` is set.
const PACKETS: u32 = 5_000_000;

/// The class of a packet, found in the two steps that the hook takes.
fn class(family: Family, packet: &(impl ReadAt + ?Sized)) -> Class {
    if may_be_icmp(family, packet) {
        classify(family, packet)
    } else {
        Class::Other
    }
}

fn ipv4(packet: &(impl ReadAt + ?Sized)) -> Class {
    class(Family::Ipv4, packet)
}

fn ipv6(packet: &(impl ReadAt + ?Sized)) -> Class {
    class(Family::Ipv6, packet)
}

/// The bytes of a packet in hexadecimal. With them, a failure can be repeated.
fn hex(packet: &[u8]) -> String {
    packet
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Compares the classifier (`ours`) with etherparse (`theirs`) on generated packets. Also checks
/// that no class is rare, and that each of the expected `differences` occurs.
fn compare(
    packets: &impl Strategy<Value = Tampered>,
    ours: impl Fn(&[u8]) -> Class,
    theirs: impl Fn(&[u8], &mut dyn FnMut(Difference)) -> Class,
    differences: &[Difference],
) {
    let seen = RefCell::new(BTreeMap::<Difference, u64>::new());
    let classes = RefCell::new([0u64; 4]);
    property::check(PACKETS / Tampered::PACKETS, packets, |tampered| {
        tampered.each(|packet| {
            let theirs = theirs(packet, &mut |difference| {
                *seen.borrow_mut().entry(difference).or_default() += 1;
            });
            prop_assert_eq!(ours(packet), theirs, "{}", hex(packet));
            let class = match theirs {
                Class::Icmp(_) => 0,
                Class::Other => 1,
                Class::LaterFragment => 2,
                Class::Malformed => 3,
            };
            classes.borrow_mut()[class] += 1;
            Ok(())
        })
    });
    let (seen, classes) = (seen.into_inner(), classes.into_inner());
    let packets: u64 = classes.iter().sum();
    println!("{packets} packets; ICMP, other, later fragments, malformed: {classes:?}; {seen:?}");
    assert!(classes.iter().all(|&count| count > packets / 50));
    assert!(seen.keys().eq(differences));
}

#[test]
fn ipv4_is_what_etherparse_says() {
    compare(
        &tampered_ipv4(),
        ipv4,
        |packet, mut differ| etherparse_says::ipv4(packet, &mut differ),
        Difference::IPV4,
    );
}

#[test]
fn ipv6_is_what_etherparse_says() {
    compare(
        &tampered_ipv6(),
        ipv6,
        |packet, mut differ| etherparse_says::ipv6(packet, &mut differ),
        Difference::IPV6,
    );
}

/// A packet whose reads are counted.
struct Counted<'a> {
    packet: &'a [u8],
    reads: Cell<u32>,
}

impl<'a> Counted<'a> {
    fn new(packet: &'a [u8]) -> Self {
        Self {
            packet,
            reads: Cell::new(0),
        }
    }
}

impl ReadAt for Counted<'_> {
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.reads.set(self.reads.get() + 1);
        self.packet.read_at(offset)
    }

    fn reaches(&self, end: usize) -> bool {
        self.packet.reaches(end)
    }
}

#[test]
fn other_protocols_take_one_read() {
    for protocol in (0..=255u8).filter(|&protocol| protocol != 1) {
        let mut packet = [0; 20];
        packet[9] = protocol;
        let packet = Counted::new(&packet);
        assert_eq!(ipv4(&packet), Class::Other);
        assert_eq!(packet.reads.get(), 1);
    }
    // An IPv6 packet with extension headers needs more reads. One read is enough if the first
    // header after the IPv6 header is of one of the following protocols: IPv4, TCP, UDP, IPv6, GRE,
    // ESP, no next header, EIGRP, OSPF, PIM, SCTP and UDP-Lite.
    for protocol in [4, 6, 17, 41, 47, 50, 59, 88, 89, 103, 132, 136] {
        let mut packet = [0; 40];
        packet[6] = protocol;
        let packet = Counted::new(&packet);
        assert_eq!(ipv6(&packet), Class::Other);
        assert_eq!(packet.reads.get(), 1);
    }
}

/// A packet of which only the first `linear` bytes can be read.
struct Cut<'a> {
    packet: &'a [u8],
    linear: usize,
}

impl ReadAt for Cut<'_> {
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.packet[..self.linear].read_at(offset)
    }

    fn reaches(&self, end: usize) -> bool {
        self.packet.reaches(end)
    }
}

#[test]
fn bytes_that_are_not_read_make_a_packet_malformed_and_nothing_else() {
    // How often a cut packet had the class of the whole packet, and how often it was malformed
    // instead.
    let counts = [Cell::new(0u64), Cell::new(0)];
    let each = |family, whole: &dyn Fn(&[u8]) -> Class, tampered: &Tampered| {
        tampered.each(|packet| {
            for linear in 0..packet.len().min(64) {
                let class = class(family, &Cut { packet, linear });
                let whole = whole(packet);
                prop_assert!(
                    class == Class::Malformed || class == whole,
                    "{linear} of {}",
                    hex(packet)
                );
                let count = &counts[usize::from(class != whole)];
                count.set(count.get() + 1);
            }
            Ok(())
        })
    };
    property::check(
        PACKETS / 64 / Tampered::PACKETS,
        &tampered_ipv4(),
        |tampered| each(Family::Ipv4, &|packet| ipv4(packet), &tampered),
    );
    property::check(
        PACKETS / 64 / Tampered::PACKETS,
        &tampered_ipv6(),
        |tampered| each(Family::Ipv6, &|packet| ipv6(packet), &tampered),
    );
    assert!(counts.iter().all(|count| count.get() > 10_000));
}

/// A packet in memory that another program changes during the classification: every read returns
/// other bytes.
struct Changing {
    len: usize,
    state: Cell<u64>,
    reads: Cell<u32>,
}

impl ReadAt for Changing {
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.reads.set(self.reads.get() + 1);
        if offset.checked_add(N)? > self.len {
            return None;
        }
        Some(std::array::from_fn(|i| {
            // A generator of pseudo-random numbers (xorshift64).
            let mut state = self.state.get();
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            self.state.set(state);
            let [choice, value, ..] = state.to_le_bytes();
            // With most values, the classifier reads many headers: the first byte is valid,
            // extension headers are short, fragments are first ones, and the next header is an
            // extension header.
            match (offset + i, i, choice) {
                (0, _, 0..128) => 0x60,
                (0, _, 128..240) => 0x45,
                (8.., 1..4, 0..250) => 0,
                (_, _, 0..240) => {
                    [0, 1, 43, 44, 51, 58, 60, 135, 139, 140][usize::from(value % 10)]
                }
                (_, _, _) => value,
            }
        }))
    }

    fn reaches(&self, end: usize) -> bool {
        end <= self.len
    }
}

#[test]
fn packet_that_changes_meanwhile_is_read_a_few_times_within_its_bounds() {
    // `may_be_icmp()` reads once. Then `classify()` reads the header twice, each of at most twelve
    // extension headers once, and the message once.
    const MOST_READS: u32 = 16;

    let strategy = (0..1500usize, 1..=u64::MAX);
    let deepest = Cell::new(0);
    property::check(PACKETS, &strategy, |(len, seed)| {
        let packet = Changing {
            len,
            state: Cell::new(seed),
            reads: Cell::new(0),
        };
        let class = ipv6(&packet);
        prop_assert!(packet.reads.get() <= MOST_READS);
        prop_assert!(len >= 48 || !matches!(class, Class::Icmp(_)));
        deepest.set(deepest.get().max(packet.reads.get()));

        packet.reads.set(0);
        let class = ipv4(&packet);
        prop_assert!(packet.reads.get() <= 3);
        prop_assert!(len >= 28 || !matches!(class, Class::Icmp(_)));
        Ok(())
    });
    assert!(deepest.get() >= MOST_READS - 2);
}
