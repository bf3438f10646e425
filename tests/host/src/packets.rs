// SPDX-License-Identifier: GPL-2.0

//! Generates packets: some are well-formed, some have wrong lengths, and some have changed bytes.

use proptest::{
    collection::vec,
    prelude::*,
    sample::select, //
};

/// Numbers with a meaning in some field of a header: protocols, lengths and types.
const TELLING: [u8; 24] = [
    0, 1, 2, 3, 4, 5, 6, 8, 17, 41, 43, 44, 50, 51, 58, 59, 60, 0x45, 0x60, 128, 135, 139, 140, 255,
];

/// Types of ICMP: echo, echo reply, unreachable, redirect, timestamp and its reply. Types of
/// `ICMPv6`: packet too big, echo, echo reply, listener query and report, neighbour advertisement.
const TYPES: [u8; 12] = [8, 0, 3, 5, 13, 14, 2, 128, 129, 130, 143, 136];

/// The number of the protocol after the last extension header. It is mostly that of `ICMPv6`.
fn next_header() -> impl Strategy<Value = u8> {
    prop_oneof![
        6 => Just(58),
        2 => select(&[6u8, 17, 50, 59][..]),
        1 => any::<u8>(),
    ]
}

/// The fragment field of an IPv6 packet: the offset, and the flag "more fragments". [`ipv4`] moves
/// the bits to their places in an IPv4 header.
fn fragment_field() -> impl Strategy<Value = u16> {
    prop_oneof![4 => Just(0), 2 => Just(1), 1 => 0..16u16, 1 => any::<u16>()]
}

/// The difference between the length in a header and the true length. `None` means that the length
/// in the header is 0.
fn lie() -> impl Strategy<Value = Option<i16>> {
    prop_oneof![
        12 => Just(Some(0)),
        1 => Just(None),
        2 => (-24..24i16).prop_map(Some),
        1 => any::<i16>().prop_map(Some),
    ]
}

/// The length field of a header: the true length `truth`, changed by `lie`.
fn told(truth: usize, lie: Option<i16>) -> [u8; 2] {
    let told = lie.map_or(0, |lie| truth as i64 + i64::from(lie));
    (told.clamp(0, u16::MAX.into()) as u16).to_be_bytes()
}

/// An ICMP message, or its first bytes. Most messages have one of the [`TYPES`].
fn message() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![3 => select(&TYPES[..]), 1 => any::<u8>()];
    let bytes = prop_oneof![1 => vec(any::<u8>(), 0..9), 4 => vec(any::<u8>(), 8..40)];
    (start, bytes).prop_map(|(icmp_type, mut bytes)| {
        if let Some([first, code]) = bytes.first_chunk_mut() {
            (*first, *code) = (icmp_type, 0);
        }
        bytes
    })
}

/// An IPv4 packet. Most are ICMP.
fn ipv4() -> impl Strategy<Value = Vec<u8>> {
    (
        prop_oneof![8 => Just(4u8), 1 => 0..16u8],
        prop_oneof![4 => Just(5u8), 2 => 6..16u8, 1 => 0..16u8],
        prop_oneof![8 => Just(1u8), 1 => any::<u8>()],
        fragment_field(),
        message(),
        lie(),
    )
        .prop_map(|(version, ihl, protocol, fragment, message, lie)| {
            let header_len = usize::from(ihl.max(5)) * 4;
            let mut packet = vec![0; header_len];
            packet[0] = (version << 4) | ihl;
            packet[2..4].copy_from_slice(&told(header_len + message.len(), lie));
            // The flag "more fragments" is the lowest bit in IPv6, and the third highest bit in
            // IPv4.
            packet[6..8].copy_from_slice(&fragment.rotate_right(3).to_be_bytes());
            packet[9] = protocol;
            packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
            packet.extend(message);
            packet
        })
}

/// An extension header: its type, and its bytes without the number of the next header.
fn extension_header() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let generic =
        (select(&[0u8, 43, 60, 60, 135, 139, 140][..]), 0..3u8).prop_map(|(kind, len)| {
            let mut bytes = vec![0; (usize::from(len) + 1) * 8];
            bytes[1] = len;
            (kind, bytes)
        });
    let fragment = fragment_field().prop_map(|field| {
        let [high, low] = field.to_be_bytes();
        (44, vec![0, 0, high, low, 0, 0, 0, 7])
    });
    let authentication = (0..4u8).prop_map(|len| {
        let mut bytes = vec![0; (usize::from(len) + 2) * 4];
        bytes[1] = len;
        (51, bytes)
    });
    prop_oneof![6 => generic, 2 => fragment, 1 => authentication]
}

/// An IPv6 packet. Most are `ICMPv6`.
fn ipv6() -> impl Strategy<Value = Vec<u8>> {
    (
        prop_oneof![8 => Just(6u8), 1 => 0..16u8],
        prop_oneof![
            4 => vec(extension_header(), 0..3),
            2 => vec(extension_header(), 3..11),
            1 => vec(extension_header(), 11..15),
        ],
        next_header(),
        message(),
        lie(),
    )
        .prop_map(|(version, headers, last, message, lie)| {
            let mut packet = vec![0; 40];
            packet[0] = version << 4;
            packet[8..40].copy_from_slice(&[0xfd; 32]);
            // The offset of the field "next header" in the header that was added last.
            let mut next = 6;
            for (kind, bytes) in headers {
                packet[next] = kind;
                next = packet.len();
                packet.extend(bytes);
            }
            packet[next] = last;
            packet.extend(message);
            let payload_len = told(packet.len() - 40, lie);
            packet[4..6].copy_from_slice(&payload_len);
            packet
        })
}

/// Changes a packet. The bits of `how` choose the change.
fn tamper(packet: &mut Vec<u8>, how: u64) {
    let [kind, place0, place1, value, ..] = how.to_le_bytes();
    if packet.is_empty() {
        return;
    }
    // The classifier reads mostly the beginning of a packet, so half of the changes are there.
    let reach = if kind & 1 == 0 {
        packet.len().min(64)
    } else {
        packet.len()
    };
    let place = usize::from(u16::from_le_bytes([place0, place1])) % reach;
    match (kind >> 1) & 7 {
        0 => packet[place] = value,
        1 | 2 => packet[place] ^= 1 << (value & 7),
        3..=5 => packet[place] = TELLING[usize::from(value) % TELLING.len()],
        6 => packet.truncate(place),
        _ => packet.extend_from_slice(&[value; 8]),
    }
}

/// A packet, and the changes that [`each()`](Self::each) makes to it.
#[derive(Clone, Debug)]
pub(crate) struct Tampered {
    packet: Vec<u8>,
    tampering: Vec<u64>,
}

impl Tampered {
    /// The number of packets that `each()` makes from one `Tampered`.
    pub(crate) const PACKETS: u32 = 65;
    /// The largest number of changes that one packet has.
    const DEPTH: usize = 4;

    /// Calls `test` with the unchanged packet, and again after each change. After four changes
    /// (`DEPTH`), the next change is made to the unchanged packet.
    pub(crate) fn each<E>(&self, mut test: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        test(&self.packet)?;
        for tampering in self.tampering.chunks(Self::DEPTH) {
            let mut packet = self.packet.clone();
            for &how in tampering {
                tamper(&mut packet, how);
                test(&packet)?;
            }
        }
        Ok(())
    }
}

fn tampered(packet: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Tampered> {
    (packet, vec(any::<u64>(), Tampered::PACKETS as usize - 1))
        .prop_map(|(packet, tampering)| Tampered { packet, tampering })
}

/// IPv4 packets with changes.
pub(crate) fn tampered_ipv4() -> impl Strategy<Value = Tampered> {
    tampered(ipv4())
}

/// IPv6 packets with changes.
pub(crate) fn tampered_ipv6() -> impl Strategy<Value = Tampered> {
    tampered(ipv6())
}
