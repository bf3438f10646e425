// SPDX-License-Identifier: GPL-2.0

//! The class of a packet, derived from the results of etherparse, an independent parser.
//!
//! The classifier differs from etherparse on purpose in some cases. Each case is a [`Difference`].
//! For a packet of such a case, the code here first checks that etherparse returns exactly the
//! result that the case describes, and then derives the class that the classifier must return.

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
    /// Etherparse requires a valid IP header. If a packet is not ICMP, the classifier reads only
    /// the protocol number, to be fast.
    BrokenPacketOfAnotherProtocol,
    /// Etherparse refuses an IPv4 packet that ends before the end of its options. If the packet is
    /// a fragment but not the first one, the classifier accepts it, and does not read the options.
    LaterFragmentWithoutItsOptions,
    /// If the IPv4 total length is less than the header's length, etherparse assumes that the total
    /// length is not set yet. The classifier refuses the packet.
    TotalLengthBelowTheHeader,
    /// In strict mode, etherparse refuses an IPv4 packet that is shorter than its total length. The
    /// classifier accepts the packet, because the classifier reads only headers.
    TotalLengthBeyondThePacket,
    /// Etherparse refuses a timestamp message whose length is not 20 bytes. The classifier accepts
    /// any length of at least 8 bytes, because the receiver checks the length.
    TimestampOfAnotherLength,
    /// If an IPv6 packet is a fragment but not the first one, etherparse reads the data after the
    /// fragment header as further headers. The classifier stops at the fragment header.
    LaterFragmentReadOn,
    /// Etherparse accepts a fragment of a jumbogram. RFC 2675 forbids such fragments, and the
    /// kernel drops them.
    FragmentOfAJumbogram,
    /// Etherparse requires hop-by-hop options to be the first extension header. The classifier
    /// accepts them at every place, as the kernel's `ipv6_skip_exthdr()` and `ipv6_find_hdr()` do.
    HopByHopNotFirst,
    /// Etherparse stops at mobility, host identity and Shim6 headers. The classifier continues with
    /// the header that follows.
    HeaderThatEtherparseDoesNotWalk,
    /// Etherparse refuses an authentication header of less than 12 bytes. The kernel and the
    /// classifier use the length that the header says, which is at least 8 bytes.
    ShortAuthenticationHeader,
    /// Etherparse refuses an extension header whose end is missing. If the part that is there says
    /// that another protocol than ICMPv6 follows, the classifier returns [`Class::Other`].
    CutHeaderSaysAnotherProtocol,
    /// Etherparse reads any number of extension headers. The classifier has a limit.
    TooManyHeaders,
    /// If the payload length is 0, etherparse assumes that it is not set yet, or that the packet is
    /// a jumbogram. If there are no hop-by-hop options, the kernel and the classifier assume that
    /// the payload is empty.
    MessageInAnEmptyPayload,
    /// In lax mode, etherparse accepts a payload whose end is missing. The kernel and the
    /// classifier refuse an IPv6 packet that is shorter than its header says.
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

/// The classifier refuses an IPv6 packet that has more extension headers than this.
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

/// Whether `next` is the number of ICMPv6 or of an extension header. ICMPv6 can follow an extension
/// header.
fn leads_to_icmpv6(next: IpNumber) -> bool {
    use ip_number::*;
    next == IPV6_ICMP || next.is_ipv6_ext_header_value() && ![ENCAP_SEC, EXP0, EXP1].contains(&next)
}

/// The extension headers in a slice.
///
/// Etherparse's own iterator continues as long as a header says that another header follows. If the
/// slice ends before that other header, the iterator reads beyond the slice. So this function stops
/// at the end of the slice.
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
            // Etherparse stopped at hop-by-hop options. The loop calls it again, with these options
            // as the first extension header.
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
