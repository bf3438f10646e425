// SPDX-License-Identifier: MIT OR Apache-2.0

//! The Internet checksums of a packet (RFC 1071).

use etherparse::IpNumber;
use etherparse::checksum::Sum16BitWords;

use crate::layout::Layout;
use crate::unwritable::Unwritable;

/// The input of a transport checksum: addresses, and the packet from the transport header on.
pub(crate) type Inputs<'a> = (&'a [u8], &'a [u8]);

pub(crate) fn inputs<'a>(layout: &Layout, bytes: &'a [u8]) -> Inputs<'a> {
    let addresses = if layout.ipv4 { 12..20 } else { 8..40 };
    let part = |range| bytes.get(range).unwrap_or_default();
    (
        part(addresses),
        bytes.get(layout.transport..).unwrap_or_default(),
    )
}

/// Computes the checksum of an IPv4 header.
pub(crate) fn fill_ipv4_header(bytes: &mut [u8]) -> Result<(), Unwritable> {
    let words = bytes.first().map_or(0, |octet| octet & 0xf);
    let header = bytes
        .get_mut(..usize::from(words) * 4)
        .ok_or(Unwritable::TooShort)?;
    put(header, 10, [0, 0])?;
    let sum = Sum16BitWords::new().add_slice(header).ones_complement();
    put(header, 10, sum.to_ne_bytes())
}

/// Whether the transport checksum of a packet is right, or the packet has none.
pub(crate) fn is_right(layout: &Layout, bytes: &[u8]) -> Result<bool, Unwritable> {
    place(layout)?;
    Ok(is_absent(layout, bytes) || sum(layout, bytes) == 0)
}

/// Computes the transport checksum of a packet, unless the packet has none.
pub(crate) fn fill(layout: &Layout, bytes: &mut [u8]) -> Result<(), Unwritable> {
    let place = place(layout)?;
    if is_absent(layout, bytes) {
        return Ok(());
    }
    put(bytes, layout.transport + place, [0, 0])?;
    let mut sum = sum(layout, bytes);
    if sum == 0 && layout.protocol == IpNumber::UDP {
        // In a UDP header, 0 means that there is no checksum. So if the checksum is 0, this code
        // writes all ones, which is also 0 in ones' complement arithmetic.
        sum = u16::MAX;
    }
    put(bytes, layout.transport + place, sum.to_ne_bytes())
}

/// The offset of the checksum in the transport header.
fn place(layout: &Layout) -> Result<usize, Unwritable> {
    match (layout.protocol, layout.ipv4) {
        (IpNumber::ICMP, true) | (IpNumber::IPV6_ICMP, false) => Ok(2),
        (IpNumber::TCP, _) => Ok(16),
        (IpNumber::UDP, _) => Ok(6),
        (protocol, _) => Err(Unwritable::Protocol(protocol.0)),
    }
}

/// Whether the packet has no transport checksum. Only UDP over IPv4 can be without a checksum.
fn is_absent(layout: &Layout, bytes: &[u8]) -> bool {
    let start = layout.transport;
    layout.ipv4
        && layout.protocol == IpNumber::UDP
        && bytes.get(start + 6..start + 8) == Some(&[0, 0])
}

/// The ones' complement of the sum over all parts that the transport checksum covers. Its bytes are
/// in memory order.
fn sum(layout: &Layout, bytes: &[u8]) -> u16 {
    let (addresses, transport) = inputs(layout, bytes);
    let mut sum = Sum16BitWords::new();
    if layout.protocol != IpNumber::ICMP {
        // The checksum covers the length: in 16 bits for IPv4, in 32 bits for IPv6. Here the length
        // never needs more than 16 bits, so the same code is right for IPv4 and IPv6.
        let length = u16::try_from(transport.len()).unwrap_or(u16::MAX);
        sum = sum
            .add_slice(addresses)
            .add_2bytes(length.to_be_bytes())
            .add_2bytes([0, layout.protocol.0]);
    }
    sum.add_slice(transport).ones_complement()
}

fn put(bytes: &mut [u8], place: usize, value: [u8; 2]) -> Result<(), Unwritable> {
    let field = bytes
        .get_mut(place..place + 2)
        .ok_or(Unwritable::TooShort)?;
    field.copy_from_slice(&value);
    Ok(())
}
