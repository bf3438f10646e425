// SPDX-License-Identifier: MIT OR Apache-2.0

//! The places of a packet's headers.

use etherparse::IpNumber;
use etherparse::IpSlice;
use etherparse::Ipv6ExtensionSlice;

use crate::unwritable::Unwritable;

pub(crate) const IPV6_HEADER_LEN: usize = 40;
/// The kernel compares the extension headers of the new content with those of the packet. This is
/// the largest number of extension headers that it compares (`IP6_MAX_EXT_HDRS_CNT`).
const MAX_EXTENSIONS: usize = 12;

/// The places of the headers in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) ipv4: bool,
    /// Offset of the transport header.
    pub(crate) transport: usize,
    /// Transport protocol.
    pub(crate) protocol: IpNumber,
}

impl Layout {
    /// Reads the headers of a whole packet that is not a fragment.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Unwritable> {
        let ip = IpSlice::from_slice(bytes).map_err(|_| Unwritable::Unparsable)?;
        let payload = ip.payload();
        let mut fragment = payload.fragmented;
        let (ipv4, length) = match &ip {
            IpSlice::Ipv4(ip) => (true, usize::from(ip.header().total_len())),
            IpSlice::Ipv6(ip) => {
                let extensions = ip.extensions().clone().into_iter();
                let mut count = 0;
                for extension in extensions {
                    count += 1;
                    // A packet with a fragment header is treated as a fragment, even if it is the
                    // only fragment.
                    fragment |= matches!(extension, Ipv6ExtensionSlice::Fragment(_));
                }
                if count > MAX_EXTENSIONS {
                    return Err(Unwritable::Extensions);
                }
                let payload_length = usize::from(ip.header().payload_length());
                (false, IPV6_HEADER_LEN + payload_length)
            }
        };
        if fragment {
            return Err(Unwritable::Fragment);
        }
        if length != bytes.len() {
            return Err(Unwritable::Unparsable);
        }
        Ok(Self {
            ipv4,
            transport: bytes.len() - payload.payload.len(),
            protocol: payload.ip_number,
        })
    }

    /// The least length of the transport header that the kernel accepts (`nfqnl_validate_l4()`).
    /// `usize::MAX` if the length field of the header is invalid.
    pub(crate) fn transport_min(&self, transport: &[u8]) -> usize {
        match self.protocol {
            IpNumber::TCP => match transport.get(12).map(|octet| usize::from(octet >> 4)) {
                Some(words) if words >= 5 => words * 4,
                _ => usize::MAX,
            },
            IpNumber::UDP
            | IpNumber::ICMP
            | IpNumber::IPV6_ICMP
            | IpNumber::ENCAPSULATING_SECURITY_PAYLOAD => 8,
            IpNumber::SCTP => 12,
            IpNumber::GRE => 4,
            _ => 0,
        }
    }
}
