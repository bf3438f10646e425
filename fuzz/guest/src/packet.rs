// SPDX-License-Identifier: GPL-2.0

//! Generates packets. Most are ICMP and `ICMPv6` packets. Some packets are valid, others have wrong
//! lengths or values.

use arbitrary::Arbitrary;
use arbitrary::Result;
use arbitrary::Unstructured;
use etherparse::checksum::Sum16BitWords;

use crate::pattern;
use crate::rarely;

/// The destination of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Destination {
    /// An arriving packet is for this host. A leaving packet goes to the network of the TUN device.
    Near,
    /// An arriving packet is for another host, to which this host forwards it. A leaving packet
    /// goes to another network.
    Far,
    /// The loopback address. A leaving packet comes back to this host over the loopback device.
    Loopback,
    /// All hosts of a network, by multicast or broadcast.
    Multicast,
}

/// A packet.
#[derive(Clone, Debug, Arbitrary)]
pub enum Packet {
    /// An IPv4 packet.
    V4(V4),
    /// An IPv6 packet.
    V6(V6),
}

/// An IPv4 packet.
#[derive(Clone, Debug)]
pub struct V4 {
    destination: Destination,
    version_ihl: u8,
    options: usize,
    protocol: u8,
    fragment: u16,
    content: Content,
    lie: i16,
    damage: Vec<Damage>,
}

/// An IPv6 packet.
#[derive(Clone, Debug)]
pub struct V6 {
    destination: Destination,
    version: u8,
    extensions: Vec<Extension>,
    next: u8,
    content: Content,
    lie: i16,
    damage: Vec<Damage>,
}

/// The part of a packet after the IP headers.
#[derive(Clone, Debug)]
struct Content {
    kind: u8,
    len: usize,
    /// The packet that an ICMP error message quotes. Without it, the content is a pattern.
    quoted: Option<Box<Packet>>,
}

#[derive(Clone, Debug)]
struct Extension {
    kind: u8,
    len: u8,
    fragment: u16,
}

/// A change of one byte of a packet: the bits in `mask` of the byte at `place` are flipped.
#[derive(Clone, Copy, Debug, Arbitrary)]
struct Damage {
    place: u8,
    mask: u8,
}

/// The value in which the packets of a series differ. The packets of a series are copies of one
/// packet, each with a value of its own.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum Series {
    /// The place of the byte in which the bits of this mask are flipped.
    Damage(u8),
    /// The length of what follows the IP headers.
    Lengths,
    /// The difference between the lengths in the IP headers and the real lengths.
    Lies,
    /// The type of ICMP.
    Types,
    /// The number of the protocol after the IP header or the last extension header.
    Protocols,
    /// The number of bytes that arrive in the linear part.
    Seams,
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
/// The numbers of the IPv6 extension headers: hop-by-hop, routing, fragment, authentication,
/// destination, mobility, host identity and Shim6.
const EXTENSIONS: [u8; 8] = [0, 43, FRAGMENT, AUTHENTICATION, 60, 135, 139, 140];

fn lie(bytes: &mut Unstructured<'_>) -> Result<i16> {
    Ok(match bytes.arbitrary::<u8>()? {
        0..=223 => 0,
        224..=250 => bytes.arbitrary::<i8>()?.into(),
        _ => bytes.arbitrary()?,
    })
}

fn damage(bytes: &mut Unstructured<'_>) -> Result<Vec<Damage>> {
    if rarely(bytes, 32)? {
        Ok(vec![bytes.arbitrary()?, bytes.arbitrary()?])
    } else {
        Ok(Vec::new())
    }
}

/// The offset of a fragment, in units of 8 bytes. Most offsets are 0, as in the first fragment and
/// in a packet without fragments.
fn fragment_offset(bytes: &mut Unstructured<'_>) -> Result<u16> {
    Ok(match bytes.arbitrary::<u8>()? {
        0..=200 => 0,
        201..=220 => 1,
        221..=240 => 185,
        _ => bytes.int_in_range(0..=0x1fff)?,
    })
}

impl V4 {
    fn arbitrary(bytes: &mut Unstructured<'_>, depth: u8) -> Result<Self> {
        let options = bytes.int_in_range(0..=40_usize)?.saturating_sub(30);
        let header = 5 + u8::try_from(options).expect("at most 10");
        Ok(Self {
            destination: bytes.arbitrary()?,
            version_ihl: if rarely(bytes, 16)? {
                bytes.arbitrary()?
            } else {
                0x40 | header
            },
            options,
            protocol: if rarely(bytes, 24)? {
                bytes.arbitrary()?
            } else {
                ICMP
            },
            fragment: fragment_offset(bytes)? | ((bytes.int_in_range(0..=7)? & 3) << 13),
            content: Content::arbitrary(bytes, depth)?,
            lie: lie(bytes)?,
            damage: damage(bytes)?,
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let header_len = 20 + 4 * self.options;
        // The value 1 fills the place of the options with the option "no operation".
        let mut packet = vec![1; header_len];
        packet[0] = self.version_ihl;
        packet[1] = 0;
        packet[4..6].copy_from_slice(&[0, 7]);
        packet[6..8].copy_from_slice(&self.fragment.to_be_bytes());
        packet[8] = 64;
        packet[9] = self.protocol;
        packet[12..16].copy_from_slice(&[10, 0, 0, 1]);
        packet[16..20].copy_from_slice(&match self.destination {
            Destination::Near => [10, 0, 0, 2],
            Destination::Far => [10, 1, 0, 9],
            Destination::Loopback => [127, 0, 0, 1],
            Destination::Multicast => [224, 0, 0, 1],
        });
        packet.extend(self.content.to_bytes(&[]));
        finish(&mut packet, 2, 0, self.lie, &self.damage);
        packet[10..12].fill(0);
        let end = packet.len().min(usize::from(packet[0] & 0xf) * 4);
        let sum = checksum(&[&packet[..end]]);
        packet[10..12].copy_from_slice(&sum);
        packet
    }
}

impl V6 {
    fn arbitrary(bytes: &mut Unstructured<'_>, depth: u8) -> Result<Self> {
        let count = match bytes.int_in_range(0..=15_u8)? {
            count @ 0..=3 => count,
            4..=13 => 0,
            _ => bytes.int_in_range(0..=14)?,
        };
        Ok(Self {
            destination: bytes.arbitrary()?,
            version: if rarely(bytes, 16)? {
                bytes.arbitrary()?
            } else {
                6
            },
            extensions: (0..count)
                .map(|_| Extension::arbitrary(bytes))
                .collect::<Result<_>>()?,
            next: if rarely(bytes, 24)? {
                bytes.arbitrary()?
            } else {
                ICMPV6
            },
            content: Content::arbitrary(bytes, depth)?,
            lie: lie(bytes)?,
            damage: damage(bytes)?,
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = self.version << 4;
        packet[7] = 64;
        let address = |prefix: [u8; 2], host| [&prefix[..], &[0; 13], &[host]].concat();
        packet[8..24].copy_from_slice(&address([0xfd, 0], 1));
        packet[24..40].copy_from_slice(&match self.destination {
            Destination::Near => address([0xfd, 0], 2),
            Destination::Far => address([0xfd, 1], 9),
            Destination::Loopback => address([0, 0], 1),
            Destination::Multicast => address([0xff, 2], 1),
        });
        // The offset of the last "next header" field so far.
        let mut next = 6;
        for extension in &self.extensions {
            packet[next] = extension.kind;
            next = packet.len();
            packet.extend(extension.to_bytes());
        }
        packet[next] = self.next;
        let addresses: [u8; 32] = packet[8..40].try_into().expect("two addresses");
        packet.extend(self.content.to_bytes(&addresses));
        finish(&mut packet, 4, 40, self.lie, &self.damage);
        packet
    }
}

impl<'a> Arbitrary<'a> for V4 {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        Self::arbitrary(bytes, 0)
    }
}

impl<'a> Arbitrary<'a> for V6 {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        Self::arbitrary(bytes, 0)
    }
}

impl Extension {
    fn arbitrary(bytes: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            kind: *bytes.choose(&EXTENSIONS)?,
            len: if rarely(bytes, 16)? {
                bytes.arbitrary()?
            } else {
                bytes.int_in_range(0..=2)?
            },
            fragment: (fragment_offset(bytes)? << 3) | u16::from(rarely(bytes, 64)?),
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut header = match self.kind {
            FRAGMENT => vec![0; 8],
            AUTHENTICATION => vec![0; (usize::from(self.len & 7) + 2) * 4],
            _ => vec![0; (usize::from(self.len & 7) + 1) * 8],
        };
        header[1] = self.len;
        if self.kind == FRAGMENT {
            header[2..4].copy_from_slice(&self.fragment.to_be_bytes());
        }
        header
    }
}

impl Content {
    /// Types of ICMP and `ICMPv6` messages: echo requests and replies, errors, redirects,
    /// timestamps, neighbour discovery and multicast listener reports.
    const KINDS: [u8; 14] = [8, 0, 3, 5, 11, 13, 128, 129, 1, 2, 130, 135, 136, 143];

    fn arbitrary(bytes: &mut Unstructured<'_>, depth: u8) -> Result<Self> {
        let quoted = if depth == 0 && rarely(bytes, 32)? {
            Some(Box::new(if bytes.arbitrary()? {
                Packet::V4(V4::arbitrary(bytes, 1)?)
            } else {
                Packet::V6(V6::arbitrary(bytes, 1)?)
            }))
        } else {
            None
        };
        Ok(Self {
            kind: if rarely(bytes, 32)? {
                bytes.arbitrary()?
            } else {
                *bytes.choose(&Self::KINDS)?
            },
            len: match bytes.arbitrary::<u8>()? {
                len @ 0..=63 => len.into(),
                64..=247 => 16,
                248..=254 => bytes.int_in_range(0..=1400)?,
                // If a packet with such a long content arrives, a part of the content is in
                // fragments of the `sk_buff`.
                255 => bytes.int_in_range(4000..=9000)?,
            },
            quoted,
        })
    }

    /// The bytes of the content. The checksum covers these bytes and `pseudo`, the addresses of the
    /// IPv6 pseudo-header. For IPv4, `pseudo` is empty.
    fn to_bytes(&self, pseudo: &[u8]) -> Vec<u8> {
        let mut bytes = pattern(self.len, 0);
        if let Some([kind, code, sum0, sum1]) = bytes.first_chunk_mut() {
            [*kind, *code, *sum0, *sum1] = [self.kind, 0, 0, 0];
        }
        if let Some(packet) = &self.quoted {
            bytes.truncate(8);
            bytes.extend(packet.to_bytes());
        }
        if bytes.len() >= 4 {
            let len = u16::try_from(bytes.len()).expect("short").to_be_bytes();
            let end: &[u8] = if pseudo.is_empty() {
                &[]
            } else {
                &[len[0], len[1], 0, ICMPV6]
            };
            let sum = checksum(&[&bytes, pseudo, end]);
            bytes[2..4].copy_from_slice(&sum);
        }
        bytes
    }
}

/// The checksum over all parts. A part with an odd length is padded with a zero byte.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    parts
        .iter()
        .fold(Sum16BitWords::new(), |sum, part| sum.add_slice(part))
        .ones_complement()
        .to_ne_bytes()
}

/// Counts the bytes after `header_len`, adds `lie` to their number, and writes the result to the
/// length field at `place`. Then changes the bytes that `damage` names.
fn finish(packet: &mut [u8], place: usize, header_len: usize, lie: i16, damage: &[Damage]) {
    let len = u16::try_from(packet.len() - header_len).expect("short");
    packet[place..place + 2].copy_from_slice(&len.wrapping_add_signed(lie).to_be_bytes());
    for damage in damage {
        if let Some(byte) = packet.get_mut(usize::from(damage.place)) {
            *byte ^= damage.mask;
        }
    }
}

impl Packet {
    /// Changes the value that `series` names. `place` gives the new value.
    pub fn vary(&mut self, series: Series, place: u8) {
        let (protocol, content, lie, damage) = match self {
            Self::V4(packet) => (
                &mut packet.protocol,
                &mut packet.content,
                &mut packet.lie,
                &mut packet.damage,
            ),
            Self::V6(packet) => (
                &mut packet.next,
                &mut packet.content,
                &mut packet.lie,
                &mut packet.damage,
            ),
        };
        match series {
            Series::Damage(mask) => damage.push(Damage { place, mask }),
            Series::Lengths => content.len = place.into(),
            Series::Lies => *lie = i8::from_ne_bytes([place]).into(),
            Series::Types => content.kind = place,
            Series::Protocols => *protocol = place,
            // A `Packet` does not contain the number of bytes in the linear part. The code that
            // sends the packet changes that number.
            Series::Seams => {}
        }
    }

    /// The bytes of the packet, as they are sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::V4(packet) => packet.to_bytes(),
            Self::V6(packet) => packet.to_bytes(),
        }
    }

    /// The packet's destination.
    #[must_use]
    pub fn destination(&self) -> Destination {
        match self {
            Self::V4(packet) => packet.destination,
            Self::V6(packet) => packet.destination,
        }
    }
}
