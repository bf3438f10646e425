// SPDX-License-Identifier: GPL-2.0

//! What class a packet has by etherparse, an independent parser.
//!
//! Where the classifier differs on purpose, that is a [`Difference`]: what etherparse says must
//! hold exactly, and the class is derived from it.

use etherparse::{
    err::{
        ip_auth,
        ipv4,
        ipv6,
        ipv6_exts, //
    },
    ip_number,
    Icmpv4Slice,
    Icmpv6Slice,
    IpNumber,
    Ipv4HeaderSlice,
    Ipv4Slice,
    Ipv6ExtensionSlice,
    Ipv6ExtensionsSlice,
    Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice,
    Ipv6Slice,
    LaxIpv4Slice, //
};

use crate::classify::Class;

/// Where the classifier differs from etherparse, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// Etherparse wants a sound IP header. A packet of another protocol leaves the classifier
    /// before anything else is looked at, which is what makes it cheap.
    BrokenPacketOfAnotherProtocol,
    /// Etherparse wants all options of an IPv4 header. A later fragment is none of our business,
    /// whatever becomes of them.
    LaterFragmentWithoutItsOptions,
    /// Etherparse takes an IPv4 total length below the header's for one not set yet.
    TotalLengthBelowTheHeader,
    /// Strictly, etherparse wants all data of an IPv4 packet. Its header is all that we read.
    TotalLengthBeyondThePacket,
    /// Etherparse wants a timestamp message to have 20 bytes. Messages of a wrong length are for
    /// their receiver.
    TimestampOfAnotherLength,
    /// Etherparse reads on behind the header of a later IPv6 fragment, where data is.
    LaterFragmentReadOn,
    /// Etherparse accepts fragments of jumbograms, which RFC 2675 forbids and the kernel drops.
    FragmentOfAJumbogram,
    /// Etherparse wants hop-by-hop options to come first. The kernel's `ipv6_skip_exthdr()` and
    /// `ipv6_find_hdr()` do not, nor do we.
    HopByHopNotFirst,
    /// Etherparse ends at mobility, host identity and Shim6 headers.
    HeaderThatEtherparseDoesNotWalk,
    /// Etherparse wants an authentication header to have 12 bytes. The kernel goes by the length
    /// that it says, of which 8 is the least.
    ShortAuthenticationHeader,
    /// Etherparse wants all of an extension header. Where that says that another protocol follows,
    /// the packet is nothing to us.
    CutHeaderSaysAnotherProtocol,
    /// Etherparse has no limit on the number of extension headers.
    TooManyHeaders,
    /// Etherparse takes a payload length of 0 for one not set yet, or that of a jumbogram. If there
    /// are no hop-by-hop options, the kernel takes it for what it says.
    MessageInAnEmptyPayload,
    /// Etherparse, if lax, uses what there is of a payload. That an IPv6 packet has less than it
    /// says has it refused by the kernel and by us.
    PayloadLengthBeyondThePacket,
}

impl Difference {
    /// The differences in IPv4.
    pub(crate) const IPV4: &[Self] = &[
        Self::BrokenPacketOfAnotherProtocol,
        Self::LaterFragmentWithoutItsOptions,
        Self::TotalLengthBelowTheHeader,
        Self::TotalLengthBeyondThePacket,
        Self::TimestampOfAnotherLength,
    ];
    /// The differences in IPv6.
    pub(crate) const IPV6: &[Self] = &[
        Self::BrokenPacketOfAnotherProtocol,
        Self::LaterFragmentReadOn,
        Self::FragmentOfAJumbogram,
        Self::HopByHopNotFirst,
        Self::HeaderThatEtherparseDoesNotWalk,
        Self::ShortAuthenticationHeader,
        Self::CutHeaderSaysAnotherProtocol,
        Self::TooManyHeaders,
        Self::MessageInAnEmptyPayload,
        Self::PayloadLengthBeyondThePacket,
    ];
}

/// How many extension headers an IPv6 packet may have.
const MAX_EXTENSION_HEADERS: usize = 12;

/// The class of an IPv4 packet.
pub(crate) fn ipv4(packet: &[u8], differ: &mut impl FnMut(Difference)) -> Class {
    let (slice, _) = match LaxIpv4Slice::from_slice(packet) {
        Ok(parsed) => parsed,
        Err(error) => return ipv4_without_header(packet, &error, differ),
    };
    let header = slice.header();
    if header.protocol() != ip_number::ICMP {
        return Class::Other;
    }
    if usize::from(header.total_len()) < header.slice().len() {
        assert!(Ipv4Slice::from_slice(packet).is_err());
        differ(Difference::TotalLengthBelowTheHeader);
        return Class::Malformed;
    }
    if header.fragments_offset().value() != 0 {
        return Class::LaterFragment;
    }
    let payload = slice.payload().payload;
    let class = match Icmpv4Slice::from_slice(payload) {
        Ok(message) => Class::Icmp(message.type_u8()),
        Err(error) if error.required_len == 20 => {
            assert!(payload.len() >= 8 && payload.len() != 20);
            differ(Difference::TimestampOfAnotherLength);
            Class::Icmp(payload[0])
        }
        Err(_) => Class::Malformed,
    };
    if class != Class::Malformed && packet.len() < header.total_len().into() {
        assert!(Ipv4Slice::from_slice(packet).is_err());
        differ(Difference::TotalLengthBeyondThePacket);
    }
    class
}

/// The class of an IPv4 packet that etherparse refuses.
fn ipv4_without_header(
    packet: &[u8],
    error: &ipv4::HeaderSliceError,
    differ: &mut impl FnMut(Difference),
) -> Class {
    match packet.get(9) {
        None => return Class::Malformed,
        Some(&protocol) if IpNumber(protocol) != ip_number::ICMP => {
            differ(Difference::BrokenPacketOfAnotherProtocol);
            return Class::Other;
        }
        Some(_) => {}
    }
    if matches!(error, ipv4::HeaderSliceError::Len(_)) {
        // What would the header be, were it all there?
        let mut whole = packet.to_vec();
        whole.resize(60, 0);
        if let Ok(header) = Ipv4HeaderSlice::from_slice(&whole) {
            if header.fragments_offset().value() != 0
                && usize::from(header.total_len()) >= header.slice().len()
            {
                differ(Difference::LaterFragmentWithoutItsOptions);
                return Class::LaterFragment;
            }
        }
    }
    Class::Malformed
}

/// Whether ICMPv6 may be behind what has that number.
fn leads_to_icmpv6(next: IpNumber) -> bool {
    use ip_number::*;
    next == IPV6_ICMP || next.is_ipv6_ext_header_value() && ![ENCAP_SEC, EXP0, EXP1].contains(&next)
}

/// The extension headers in a slice of them.
///
/// Etherparse's own iterator goes on for as long as a header says that another follows, and reads
/// beyond the slice if it was cut short of that. So it is asked for no more than there is.
fn walked_over<'a>(
    extensions: &Ipv6ExtensionsSlice<'a>,
) -> impl Iterator<Item = Ipv6ExtensionSlice<'a>> {
    let mut left = extensions.slice().len();
    let mut headers = extensions.clone().into_iter();
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let header = headers.next()?;
        left -= match &header {
            Ipv6ExtensionSlice::HopByHop(header)
            | Ipv6ExtensionSlice::Routing(header)
            | Ipv6ExtensionSlice::DestinationOptions(header) => header.slice().len(),
            Ipv6ExtensionSlice::Fragment(header) => header.slice().len(),
            Ipv6ExtensionSlice::Authentication(header) => header.slice().len(),
        };
        Some(header)
    })
}

/// The class of an IPv6 packet.
pub(crate) fn ipv6(packet: &[u8], differ: &mut impl FnMut(Difference)) -> Class {
    let header = match Ipv6HeaderSlice::from_slice(packet) {
        Ok(header) => header,
        Err(ipv6::HeaderSliceError::Len(_) | ipv6::HeaderSliceError::Content(_)) => {
            return match packet.get(6) {
                Some(&next) if !leads_to_icmpv6(IpNumber(next)) => {
                    differ(Difference::BrokenPacketOfAnotherProtocol);
                    Class::Other
                }
                _ => Class::Malformed,
            };
        }
    };
    let payload_len = usize::from(header.payload_length());
    let payload = match &packet[40..] {
        all if payload_len == 0 => all,
        all => &all[..payload_len.min(all.len())],
    };

    let mut headers = 0;
    let mut next = header.next_header();
    let mut rest = payload;
    loop {
        let (extensions, last, behind, error) = Ipv6ExtensionsSlice::from_slice_lax(next, rest);
        for extension in walked_over(&extensions) {
            headers += 1;
            if headers > MAX_EXTENSION_HEADERS {
                differ(Difference::TooManyHeaders);
                return Class::Malformed;
            }
            if let Ipv6ExtensionSlice::Fragment(fragment) = extension {
                if payload_len == 0 {
                    differ(Difference::FragmentOfAJumbogram);
                    return Class::Malformed;
                }
                if fragment.fragment_offset().value() != 0 {
                    assert!(extensions.is_fragmenting_payload());
                    differ(Difference::LaterFragmentReadOn);
                    return Class::LaterFragment;
                }
            }
        }
        let error = error.map(|(error, _)| error);
        let walked = match (last, &error) {
            (ip_number::IPV6_ICMP, None) => break message(packet, &header, behind, differ),
            // Etherparse takes it as the first one.
            (
                ip_number::IPV6_HOP_BY_HOP,
                Some(ipv6_exts::HeaderSliceError::Content(
                    ipv6_exts::HeaderError::HopByHopNotAtStart,
                )),
            ) => {
                differ(Difference::HopByHopNotFirst);
                (next, rest) = (last, behind);
                continue;
            }
            (ip_number::AUTH, Some(error)) if matches!(behind, [_, 0, _, _, _, _, _, _, ..]) => {
                assert!(
                    behind.len() < 12
                        || *error
                            == ipv6_exts::HeaderSliceError::Content(
                                ipv6_exts::HeaderError::IpAuth(
                                    ip_auth::HeaderError::ZeroPayloadLen
                                )
                            )
                );
                differ(Difference::ShortAuthenticationHeader);
                Some((behind[0], &behind[8..]))
            }
            (ip_number::MOBILITY | ip_number::HIP | ip_number::SHIM6, None) => {
                differ(Difference::HeaderThatEtherparseDoesNotWalk);
                Ipv6RawExtHeaderSlice::from_slice(behind)
                    .ok()
                    .map(|header| (header.next_header().0, &behind[header.slice().len()..]))
            }
            (_, None) => {
                assert!(!leads_to_icmpv6(last));
                break Class::Other;
            }
            (_, Some(ipv6_exts::HeaderSliceError::Len(_))) => None,
            (_, Some(error)) => panic!("{error} was not expected"),
        };
        headers += 1;
        if headers > MAX_EXTENSION_HEADERS {
            differ(Difference::TooManyHeaders);
            break Class::Malformed;
        }
        match walked {
            Some((following, after)) => (next, rest) = (IpNumber(following), after),
            None => {
                break match behind {
                    [following, _, _, _, _, _, _, _, ..]
                        if !leads_to_icmpv6(IpNumber(*following)) =>
                    {
                        differ(Difference::CutHeaderSaysAnotherProtocol);
                        Class::Other
                    }
                    _ => Class::Malformed,
                };
            }
        }
    }
}

/// The class of an IPv6 packet that has `message` behind its headers.
fn message(
    packet: &[u8],
    header: &Ipv6HeaderSlice<'_>,
    message: &[u8],
    differ: &mut impl FnMut(Difference),
) -> Class {
    let payload_len = usize::from(header.payload_length());
    if payload_len == 0 && header.next_header() != ip_number::IPV6_HOP_BY_HOP {
        differ(Difference::MessageInAnEmptyPayload);
        return Class::Malformed;
    }
    if packet.len() < 40 + payload_len {
        assert!(Ipv6Slice::from_slice(packet).is_err());
        differ(Difference::PayloadLengthBeyondThePacket);
        return Class::Malformed;
    }
    match Icmpv6Slice::from_slice(message) {
        Ok(message) => Class::Icmp(message.type_u8()),
        Err(_) => Class::Malformed,
    }
}
