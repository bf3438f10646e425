// SPDX-License-Identifier: GPL-2.0

//! The class of a packet, derived from the results of etherparse, an independent parser.
//!
//! The classifier differs from etherparse on purpose in some cases. Each case is a [`Difference`]. The
//! code here first checks that etherparse's result is exactly that of the case, and then derives the
//! class.

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

/// A case in which the classifier differs from etherparse, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// Etherparse requires a valid IP header. For a packet of another protocol, the classifier reads
    /// only the protocol, to be fast.
    BrokenPacketOfAnotherProtocol,
    /// Etherparse requires all options of an IPv4 header. The classifier ignores the options of a later
    /// fragment.
    LaterFragmentWithoutItsOptions,
    /// If the IPv4 total length is less than the header's length, etherparse treats it as not set yet.
    TotalLengthBelowTheHeader,
    /// In strict mode, etherparse requires all data of an IPv4 packet. The classifier reads only headers.
    TotalLengthBeyondThePacket,
    /// Etherparse requires 20 bytes of a timestamp message. The classifier leaves wrong lengths to the
    /// receiver.
    TimestampOfAnotherLength,
    /// In a later IPv6 fragment, etherparse reads the data after the fragment header as headers.
    LaterFragmentReadOn,
    /// Etherparse accepts fragments of jumbograms, which RFC 2675 forbids and the kernel drops.
    FragmentOfAJumbogram,
    /// Etherparse requires hop-by-hop options to come first. The kernel's `ipv6_skip_exthdr()` and
    /// `ipv6_find_hdr()`, and the classifier, do not.
    HopByHopNotFirst,
    /// Etherparse stops at mobility, host identity and Shim6 headers.
    HeaderThatEtherparseDoesNotWalk,
    /// Etherparse requires 12 bytes of an authentication header. The kernel uses the length in the
    /// header, which is at least 8.
    ShortAuthenticationHeader,
    /// Etherparse requires the whole extension header. If the present part says that another protocol
    /// follows, the classifier ignores the packet.
    CutHeaderSaysAnotherProtocol,
    /// Etherparse has no limit on the number of extension headers.
    TooManyHeaders,
    /// Etherparse treats a payload length of 0 as not set yet, or as that of a jumbogram. Without
    /// hop-by-hop options, the kernel treats it as a length of 0.
    MessageInAnEmptyPayload,
    /// In lax mode, etherparse uses the present part of a payload. The kernel and the classifier refuse
    /// an IPv6 packet that is shorter than its header says.
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

/// The most extension headers that an IPv6 packet may have.
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
        // The header, completed with zeros.
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

/// Whether a header with this number is ICMPv6, or can be followed by ICMPv6.
fn leads_to_icmpv6(next: IpNumber) -> bool {
    use ip_number::*;
    next == IPV6_ICMP || next.is_ipv6_ext_header_value() && ![ENCAP_SEC, EXP0, EXP1].contains(&next)
}

/// The extension headers in a slice.
///
/// Etherparse's own iterator continues as long as a header says that another one follows. If the slice
/// ends earlier, the iterator reads beyond it. So this function stops at the end of the slice.
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
            // Etherparse treats this header as the first one.
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
