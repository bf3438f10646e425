// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where the headers of a packet are.

use etherparse::IpNumber;
use etherparse::IpSlice;
use etherparse::Ipv6ExtensionSlice;

use crate::unwritable::Unwritable;

pub(crate) const IPV6_HEADER_LEN: usize = 40;
/// As many extension headers as the kernel compares (`IP6_MAX_EXT_HDRS_CNT`).
const MAX_EXTENSIONS: usize = 12;

/// Where things are in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) ipv4: bool,
    /// Offset of the transport header.
    pub(crate) transport: usize,
    /// Transport protocol.
    pub(crate) protocol: IpNumber,
}

impl Layout {
    /// Reads the headers of a whole packet that is no fragment.
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
                    // Even if it is the only fragment.
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

    /// How long the part of the transport header is that the kernel wants to see, as
    /// `nfqnl_validate_l4` has it; endless if the header lies about it.
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
