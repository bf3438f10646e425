// SPDX-License-Identifier: MIT OR Apache-2.0

//! Replaces the content of a packet by content that the kernel accepts.
//!
//! When `nfqnl_mangle()` in `net/netfilter/nfnetlink_queue.c` rejects the new content, it drops the
//! packet and reports nothing. So this file checks all conditions of `nfqnl_mangle()` before a
//! verdict is sent.

use etherparse::IpNumber;

use crate::checksum;
use crate::layout::IPV6_HEADER_LEN;
use crate::layout::Layout;
use crate::packet::Packet;
use crate::unwritable::Unwritable;
use crate::wire::MAX_PAYLOAD;

const IPV4_HEADER_LEN: usize = 20;
/// The flag "don't fragment" in byte 6 of an IPv4 header. New content can change this flag, but not
/// the other flags and not the fragment offset.
const DONT_FRAGMENT: u8 = 0x40;

/// New content for a packet. [`Edit::finish`] has checked that the kernel accepts this content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    pub(crate) id: u32,
    /// The content. It fits the payload of an attribute.
    pub(crate) content: Vec<u8>,
}

impl Rewritten {
    /// The new packet from its network header on.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }
}

/// A copy of a packet's content, to make changes in.
///
/// ```
/// # use nfnetlink_queue::{Edit, Packet, Unwritable};
/// # fn example(packet: &Packet<'_>) -> Result<(), Unwritable> {
/// let mut edit = Edit::new(packet)?;
/// edit.set_ttl(9)?;
/// // Any other change; lengths and checksums need no care.
/// if let Some(octet) = edit.content_mut().get_mut(1) {
///     *octet = 0x10;
/// }
/// let rewritten = edit.finish()?;
/// # drop(rewritten);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Edit<'a> {
    packet: &'a Packet<'a>,
    layout: Layout,
    content: Vec<u8>,
}

impl<'a> Edit<'a> {
    /// Starts with the present content of the packet. Fails if this content cannot be replaced.
    pub fn new(packet: &'a Packet<'a>) -> Result<Self, Unwritable> {
        let family = i32::from(packet.family);
        if family != libc::AF_INET && family != libc::AF_INET6 {
            return Err(Unwritable::Family);
        }
        if packet.payload.is_empty() {
            return Err(Unwritable::NotCopied);
        }
        if packet.is_truncated() {
            return Err(Unwritable::Truncated {
                copied: packet.payload.len(),
                length: packet.length,
            });
        }
        if packet.offload.gso() {
            return Err(Unwritable::Gso);
        }
        let layout = Layout::read(packet.payload)?;
        if layout.ipv4 != (family == libc::AF_INET) {
            return Err(Unwritable::Unparsable);
        }
        let transport = packet.payload.get(layout.transport..).unwrap_or_default();
        if transport.len() < layout.transport_min(transport) {
            return Err(Unwritable::Unparsable);
        }
        Ok(Self {
            packet,
            layout,
            content: packet.payload.to_vec(),
        })
    }

    /// The content from the network header on, which the caller can change.
    ///
    /// The structure of the headers must not change: the protocol, IPv4 options and fragmentation,
    /// IPv6 extension headers. [`finish`](Self::finish) updates lengths and checksums.
    pub fn content_mut(&mut self) -> &mut Vec<u8> {
        &mut self.content
    }

    /// Sets the time to live, or the hop limit.
    ///
    /// Fails for messages between neighbours, such as messages of neighbour discovery. Standards
    /// require one value for these messages. The value shows that no router forwarded the message,
    /// and receivers discard a message with another value.
    pub fn set_ttl(&mut self, ttl: u8) -> Result<(), Unwritable> {
        if self.is_between_neighbours() {
            return Err(Unwritable::Neighbours);
        }
        let place = if self.layout.ipv4 { 8 } else { 7 };
        *self.content.get_mut(place).ok_or(Unwritable::TooShort)? = ttl;
        Ok(())
    }

    /// Whether the packet is a message between neighbours. For such a message a standard requires
    /// the hop limit 255, or 1.
    fn is_between_neighbours(&self) -> bool {
        let kind = self.packet.payload.get(self.layout.transport).copied();
        match (self.layout.protocol, kind) {
            // Messages of multicast listeners (RFC 2710, 3810), of neighbour discovery (RFC 4861,
            // 3122, 3971) and of multicast routers (RFC 4286).
            (IpNumber::IPV6_ICMP, Some(130..=137 | 141..=143 | 148 | 149 | 151..=153))
            // Messages about multicast groups in IPv4 (RFC 3376), and messages of virtual routers
            // (RFC 5798).
            | (IpNumber::IGMP | IpNumber::VRRP, _) => true,
            _ => false,
        }
    }

    /// Replaces the data of an echo request or reply, or of a UDP packet.
    pub fn set_data(&mut self, data: &[u8]) -> Result<(), Unwritable> {
        const HEADER_LEN: usize = 8;
        let start = self.layout.transport;
        let kind = self.content.get(start).copied();
        let has_data = match self.layout.protocol {
            IpNumber::UDP => true,
            IpNumber::ICMP => matches!(kind, Some(0 | 8)),
            IpNumber::IPV6_ICMP => matches!(kind, Some(128 | 129)),
            _ => false,
        };
        if !has_data {
            return Err(Unwritable::NoData);
        }
        if self.content.len() < start + HEADER_LEN {
            return Err(Unwritable::TooShort);
        }
        self.content.truncate(start + HEADER_LEN);
        self.content.extend_from_slice(data);
        Ok(())
    }

    /// Updates lengths and checksums, and checks that the kernel will accept the content.
    pub fn finish(mut self) -> Result<Rewritten, Unwritable> {
        let (layout, old) = (self.layout, self.packet.payload);
        let length = self.content.len();
        if length > MAX_PAYLOAD {
            return Err(Unwritable::TooLong(length));
        }
        if length < layout.transport {
            return Err(Unwritable::TooShort);
        }
        self.set_lengths(length);
        // After this check, the new content is at least as long as the headers of the old content.
        if layout.ipv4 {
            check_ipv4(old, &self.content, layout.transport)?;
            checksum::fill_ipv4_header(&mut self.content)?;
        } else {
            check_ipv6(old, &self.content, layout.transport)?;
        }
        let transport = self.content.get(layout.transport..).unwrap_or_default();
        if transport.len() < layout.transport_min(transport) {
            return Err(Unwritable::TooShort);
        }
        let not_ready = self.packet.offload.checksum_not_ready();
        if not_ready || checksum::inputs(&layout, old) != checksum::inputs(&layout, &self.content) {
            if !not_ready && !checksum::is_right(&layout, old)? {
                return Err(Unwritable::Checksum);
            }
            checksum::fill(&layout, &mut self.content)?;
        }
        Ok(Rewritten {
            id: self.packet.id,
            content: self.content,
        })
    }

    /// Sets the length field of the IP header and, for UDP, of the UDP header. If the content is
    /// too short for a field, the field is skipped.
    fn set_lengths(&mut self, length: usize) {
        let (place, value) = if self.layout.ipv4 {
            (2, length)
        } else {
            (4, length.saturating_sub(IPV6_HEADER_LEN))
        };
        put16(&mut self.content, place, value);
        if self.layout.protocol == IpNumber::UDP {
            let start = self.layout.transport;
            put16(&mut self.content, start + 4, length.saturating_sub(start));
        }
    }
}

/// Writes a 16-bit number, if there is room for it.
fn put16(bytes: &mut [u8], place: usize, value: usize) {
    let value = u16::try_from(value).unwrap_or(u16::MAX);
    if let Some(field) = bytes.get_mut(place..place + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

fn same(old: &[u8], new: &[u8], range: std::ops::Range<usize>) -> bool {
    old.get(range.clone()) == new.get(range)
}

/// Makes the comparisons of `nfqnl_validate_ip4()`. The kernel compares the protocol only if
/// connection tracking is used. This function always compares it.
fn check_ipv4(old: &[u8], new: &[u8], transport: usize) -> Result<(), Unwritable> {
    let fragmentation = |bytes: &[u8]| match bytes.get(6..8) {
        Some(&[flags, offset]) => Some([flags & !DONT_FRAGMENT, offset]),
        _ => None,
    };
    if !same(old, new, 0..1) {
        return Err(Unwritable::Header("version or header length"));
    }
    if fragmentation(old) != fragmentation(new) {
        return Err(Unwritable::Header("fragmentation"));
    }
    if !same(old, new, 9..10) {
        return Err(Unwritable::Header("protocol"));
    }
    if !same(old, new, IPV4_HEADER_LEN..transport) {
        return Err(Unwritable::Header("IPv4 option or extension header"));
    }
    Ok(())
}

/// Makes the comparisons of `nfqnl_validate_ip6()`.
fn check_ipv6(old: &[u8], new: &[u8], transport: usize) -> Result<(), Unwritable> {
    if old.first().map(|octet| octet >> 4) != new.first().map(|octet| octet >> 4) {
        return Err(Unwritable::Header("version"));
    }
    if !same(old, new, 6..7) {
        return Err(Unwritable::Header("protocol"));
    }
    if !same(old, new, IPV6_HEADER_LEN..transport) {
        return Err(Unwritable::Header("extension header"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use etherparse::Icmpv4Slice;
    use etherparse::Icmpv6Slice;
    use etherparse::IpSlice;
    use etherparse::Ipv4HeaderSlice;
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;
    use crate::packet::Offload;
    use crate::summary::tests::ping;
    use crate::summary::tests::ping6;
    use crate::summary::tests::queued;

    fn udp(ipv4: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let builder = if ipv4 {
            PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        } else {
            PacketBuilder::ipv6([1; 16], [2; 16], 64)
        };
        builder.udp(1000, 2000).write(&mut bytes, b"data").unwrap();
        bytes
    }

    fn tcp() -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(1000, 2000, 7, 100)
            .write(&mut bytes, b"data")
            .unwrap();
        bytes
    }

    /// Asserts that all lengths and checksums are right, by another implementation (etherparse).
    fn assert_sound(bytes: &[u8]) {
        match IpSlice::from_slice(bytes).unwrap() {
            IpSlice::Ipv4(ip) => {
                let header = Ipv4HeaderSlice::from_slice(bytes).unwrap().to_header();
                assert_eq!(usize::from(header.total_len), bytes.len());
                assert_eq!(header.header_checksum, header.calc_header_checksum());
                let payload = ip.payload().payload;
                match ip.payload().ip_number {
                    IpNumber::ICMP => {
                        let icmp = Icmpv4Slice::from_slice(payload).unwrap();
                        let computed = icmp.icmp_type().calc_checksum(icmp.payload());
                        assert_eq!(computed, icmp.checksum());
                    }
                    IpNumber::UDP => {
                        let udp = etherparse::UdpSlice::from_slice(payload).unwrap();
                        let computed = udp.to_header().calc_checksum_ipv4(&header, udp.payload());
                        assert_eq!(usize::from(udp.length()), payload.len());
                        assert_eq!(computed.unwrap(), udp.checksum());
                    }
                    IpNumber::TCP => {
                        let tcp = etherparse::TcpSlice::from_slice(payload).unwrap();
                        let (source, destination) = (header.source, header.destination);
                        let computed = tcp.calc_checksum_ipv4(source, destination).unwrap();
                        assert_eq!(computed, tcp.checksum());
                    }
                    other => panic!("{other:?}"),
                }
            }
            IpSlice::Ipv6(ip) => {
                let header = ip.header().to_header();
                assert_eq!(usize::from(header.payload_length) + 40, bytes.len());
                let payload = ip.payload().payload;
                match ip.payload().ip_number {
                    IpNumber::IPV6_ICMP => {
                        let icmp = Icmpv6Slice::from_slice(payload).unwrap();
                        assert!(icmp.is_checksum_valid(header.source, header.destination));
                    }
                    IpNumber::UDP => {
                        let udp = etherparse::UdpSlice::from_slice(payload).unwrap();
                        let computed = udp.to_header().calc_checksum_ipv6(&header, udp.payload());
                        assert_eq!(computed.unwrap(), udp.checksum());
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn edited(bytes: &[u8], change: impl FnOnce(&mut Edit<'_>)) -> Result<Vec<u8>, Unwritable> {
        let packet = queued(bytes);
        let mut edit = Edit::new(&packet)?;
        change(&mut edit);
        Ok(edit.finish()?.content)
    }

    #[test]
    fn ttl_is_set_and_checksums_are_right() {
        for bytes in [ping(9), ping6(9), udp(true), udp(false), tcp()] {
            let new = edited(&bytes, |edit| edit.set_ttl(3).unwrap()).unwrap();
            assert_sound(&new);
            assert_eq!(
                new.iter()
                    .zip(&bytes)
                    .filter(|(new, old)| new != old)
                    .count(),
                if bytes[0] >> 4 == 4 { 2 } else { 1 },
                "ttl and its checksum"
            );
        }
    }

    #[test]
    fn messages_between_neighbours_keep_their_hop_limit() {
        for (kind, kept) in [
            (128, false),
            (1, false),
            (135, true),
            (136, true),
            (143, true),
        ] {
            let mut bytes = ping6(20);
            bytes[40] = kind;
            let packet = queued(&bytes);
            let set = Edit::new(&packet).unwrap().set_ttl(9);
            assert_eq!(set == Err(Unwritable::Neighbours), kept, "{kind}: {set:?}");
        }
        // ICMPv6 type 135 is a neighbour solicitation. ICMP has no messages between neighbours, so
        // here the TTL is set.
        let mut bytes = ping(20);
        bytes[20] = 135;
        let packet = queued(&bytes);
        Edit::new(&packet).unwrap().set_ttl(9).unwrap();
        // All IGMP (2) and VRRP (112) messages are between neighbours. UDP (17) packets are not.
        for (protocol, kept) in [(2, true), (112, true), (17, false)] {
            bytes[9] = protocol;
            let packet = queued(&bytes);
            let set = Edit::new(&packet).unwrap().set_ttl(9);
            assert_eq!(
                set == Err(Unwritable::Neighbours),
                kept,
                "{protocol}: {set:?}"
            );
        }
    }

    #[test]
    fn data_of_any_length_is_replaced() {
        for bytes in [ping(9), ping6(9), udp(true), udp(false)] {
            for data in [&b""[..], b"odd", b"twelve bytes", &[0xff; 9000]] {
                let new = edited(&bytes, |edit| edit.set_data(data).unwrap()).unwrap();
                assert_sound(&new);
                assert!(new.ends_with(data));
                assert_eq!(
                    new.len(),
                    bytes.len()
                        - if bytes[9] == 17 || bytes[6] == 17 {
                            4
                        } else {
                            9
                        }
                        + data.len()
                );
            }
        }
    }

    #[test]
    fn addresses_are_in_the_checksums() {
        for (bytes, place) in [
            (ping(9), 19),
            (ping6(9), 39),
            (udp(true), 19),
            (udp(false), 39),
            (tcp(), 15),
        ] {
            assert_sound(&edited(&bytes, |edit| edit.content_mut()[place] = 77).unwrap());
        }
    }

    #[test]
    fn udp_without_checksum_stays_so() {
        let mut bytes = udp(true);
        bytes[26..28].fill(0);
        let new = edited(&bytes, |edit| edit.set_data(b"other").unwrap()).unwrap();
        assert_eq!(new[26..28], [0, 0]);
    }

    #[test]
    fn checksum_that_was_left_to_the_device_is_made() {
        let mut bytes = udp(true);
        bytes[26] ^= 0xff;
        let mut packet = queued(&bytes);
        packet.offload = Offload(1);
        let mut edit = Edit::new(&packet).unwrap();
        edit.set_ttl(5).unwrap();
        assert_sound(&edit.finish().unwrap().content);
    }

    #[test]
    fn wrong_checksum_is_not_hidden() {
        for (mut bytes, place) in [(ping(9), 23), (ping6(9), 43), (udp(true), 27)] {
            bytes[place] ^= 1;
            let data = edited(&bytes, |edit| edit.set_data(b"new").unwrap());
            assert_eq!(data, Err(Unwritable::Checksum));
            let ttl = edited(&bytes, |edit| edit.set_ttl(1).unwrap()).unwrap();
            assert_eq!(ttl[place], bytes[place]);
        }
    }

    #[test]
    fn what_the_kernel_would_drop_is_refused_before() {
        let whole = ping(56);
        let with = |change: fn(&mut Packet<'_>)| {
            let mut packet = queued(&whole);
            change(&mut packet);
            Edit::new(&packet).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(|packet| packet.family = 7), Unwritable::Family);
        assert_eq!(with(|packet| packet.family = 10), Unwritable::Unparsable);
        assert_eq!(with(|packet| packet.payload = &[]), Unwritable::NotCopied);
        assert_eq!(with(|packet| packet.offload = Offload(2)), Unwritable::Gso);
        let (copied, length) = (84, 85);
        assert_eq!(
            with(|packet| packet.length = 85),
            Unwritable::Truncated { copied, length }
        );
        for (place, value, expected) in [
            (6, 0x20, Unwritable::Fragment),
            (7, 1, Unwritable::Fragment),
            (3, 83, Unwritable::Unparsable),
            (0, 0x46, Unwritable::Unparsable),
            (0, 0x95, Unwritable::Unparsable),
        ] {
            let mut bytes = whole.clone();
            bytes[place] = value;
            let mut packet = queued(&bytes);
            packet.family = 2;
            let refused = Edit::new(&packet).map(Edit::finish).err();
            // If byte 0 is 0x46, the IP header has an option, which takes the place of the ICMP
            // header. Then the bytes after the option are read as an ICMP message, so any result is
            // right.
            if bytes[0] != 0x46 {
                assert_eq!(refused, Some(expected), "byte {place}");
            }
        }
    }

    #[test]
    fn atomic_fragment_is_a_fragment() {
        let mut bytes = ping6(9);
        bytes.splice(40..40, [58, 0, 0, 0, 1, 2, 3, 4]);
        bytes[6] = 44;
        bytes[5] += 8;
        assert_eq!(edited(&bytes, |_| ()), Err(Unwritable::Fragment));
    }

    #[test]
    fn structure_of_headers_cannot_change() {
        let mut with_option = vec![
            0x46, 0, 0, 32, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x94, 4, 0, 0,
        ];
        with_option.extend([8, 0, 0xf7, 0xfc, 0, 1, 0, 2]);
        let mut with_extension = ping6(9);
        with_extension.splice(40..40, [58, 0, 5, 2, 0, 0, 1, 0]);
        with_extension[6] = 0;
        with_extension[5] += 8;
        for (bytes, place, expected) in [
            (ping(9), 0, "version or header length"),
            (ping(9), 7, "fragmentation"),
            (ping(9), 9, "protocol"),
            (with_option, 23, "IPv4 option or extension header"),
            (ping6(9), 0, "version"),
            (ping6(9), 6, "protocol"),
            (with_extension.clone(), 46, "extension header"),
        ] {
            let refused = edited(&bytes, |edit| edit.content_mut()[place] ^= 0x10);
            assert_eq!(refused, Err(Unwritable::Header(expected)), "byte {place}");
        }
        // The bytes after the extension header can change.
        let new = edited(&with_extension, |edit| edit.set_data(b"other").unwrap()).unwrap();
        assert_sound(&new);
        // The flag "don't fragment" can change, too.
        let new = edited(&ping(9), |edit| edit.content_mut()[6] ^= DONT_FRAGMENT).unwrap();
        assert_sound(&new);
    }

    #[test]
    fn lengths_are_bounded() {
        for bytes in [ping(9), ping6(9)] {
            let header = bytes.len() - 9;
            for (length, expected) in [
                (0, Some(Unwritable::TooShort)),
                (header - 1, Some(Unwritable::TooShort)),
                (header, None),
                (MAX_PAYLOAD, None),
                (MAX_PAYLOAD + 1, Some(Unwritable::TooLong(MAX_PAYLOAD + 1))),
            ] {
                let new = edited(&bytes, |edit| edit.content_mut().resize(length, 0x55));
                assert_eq!(new.as_ref().err(), expected.as_ref(), "length {length}");
                new.iter().for_each(|bytes| assert_sound(bytes));
            }
        }
        for offset in [0, 4, 15] {
            let headless = edited(&tcp(), |edit| edit.content_mut()[32] = offset << 4);
            assert_eq!(headless, Err(Unwritable::TooShort), "data offset {offset}");
        }
    }

    #[test]
    fn data_is_what_echo_messages_have() {
        let mut unreachable = ping(9);
        unreachable[20] = 3;
        for bytes in [unreachable, tcp()] {
            let packet = queued(&bytes);
            let mut edit = Edit::new(&packet).unwrap();
            assert_eq!(edit.set_data(b"new"), Err(Unwritable::NoData));
        }
    }

    #[test]
    fn unknown_protocols_can_have_another_ttl_only() {
        let mut bytes = ping(30);
        bytes[9] = 132;
        assert!(edited(&bytes, |edit| edit.set_ttl(1).unwrap()).is_ok());
        let refused = edited(&bytes, |edit| edit.content_mut()[40] ^= 1);
        assert_eq!(refused, Err(Unwritable::Protocol(132)));
    }

    proptest! {
        #[test]
        fn any_change_of_any_packet_is_sound_or_refused(
            base in 0..5_usize,
            before in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            after in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            length in prop::option::of(0..3000_usize),
        ) {
            let mut bytes = [ping(20), ping6(20), udp(true), udp(false), tcp()][base].clone();
            let sound = before.is_empty();
            for (place, value) in before {
                *place.get_mut(&mut bytes) = value;
            }
            let new = edited(&bytes, |edit| {
                if let Some(length) = length {
                    edit.content_mut().resize(length, 1);
                }
                if !edit.content_mut().is_empty() {
                    for (place, value) in after {
                        *place.get_mut(edit.content_mut()) = value;
                    }
                }
            });
            if let (Ok(new), true) = (new, sound) {
                // If the change sets the checksum of the UDP packet over IPv4 to 0, the packet has
                // no checksum.
                if !(base == 2 && new[26..28] == [0, 0]) {
                    assert_sound(&new);
                }
            }
        }
    }
}
