// SPDX-License-Identifier: GPL-2.0

//! The conditions of rules.

use std::fmt;

use etherparse::IpNumber;
use linux_names::icmp::ECHO_REPLY;
use linux_names::icmp::ECHO_REQUEST;
use linux_names::network::Network;
use nfnetlink_queue::Cut;
use nfnetlink_queue::Hook;
use nfnetlink_queue::Packet;
use nfnetlink_queue::Summary;

use super::link::Link;
use super::rate::Rate;

/// The shortest lengths of the headers of IPv4, IPv6 and ICMP.
const IPV4_HEADER_LEN: usize = 20;
const IPV6_HEADER_LEN: usize = 40;
const ICMP_HEADER_LEN: usize = 8;

/// A condition on packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Not(Box<Condition>),
    Icmp,
    Icmp6,
    Ipv4,
    Ipv6,
    Fragment,
    Unparsable,
    /// An ICMP or ICMPv6 type by number.
    Type(u8),
    /// A type by its name. ICMP and ICMPv6 may have different numbers for this name.
    TypeName(&'static str),
    From(Network),
    To(Network),
    Size(Comparison, u16),
    In(Link),
    Out(Link),
    Hook(Hook),
    Mark {
        value: u32,
        mask: u32,
    },
    Rate(Rate),
}

/// A comparison of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) const ALL: [(Self, &'static str); 6] = [
        (Self::Equal, "="),
        (Self::NotEqual, "!="),
        (Self::Less, "<"),
        (Self::LessOrEqual, "<="),
        (Self::Greater, ">"),
        (Self::GreaterOrEqual, ">="),
    ];

    fn holds(self, left: usize, right: usize) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Self::ALL.iter();
        f.write_str(
            all.find(|(one, _)| one == self)
                .map_or("", |&(_, symbol)| symbol),
        )
    }
}

impl Condition {
    /// Whether the condition is true for a packet. `None` if this is unknown, because too little of
    /// the packet was copied.
    #[inline]
    pub(super) fn holds(&self, packet: &Packet<'_>, ip: Option<&Summary>) -> Option<bool> {
        let icmp = ip.and_then(|ip| ip.icmp.as_ref());
        // If the headers of a packet were not copied, its fields are unknown.
        let known = ip.is_some() || !packet.is_truncated() || !is_ip(packet);
        let cut = ip.and_then(|ip| ip.cut);
        let chain_known = known && cut != Some(Cut::Extensions);
        let icmp_known = known && cut.is_none();
        let protocol = ip.map(|ip| IpNumber(ip.protocol));
        Some(match self {
            Self::Not(condition) => !condition.holds(packet, ip)?,
            Self::Icmp => chain_known.then_some(protocol == Some(IpNumber::ICMP))?,
            Self::Icmp6 => chain_known.then_some(protocol == Some(IpNumber::IPV6_ICMP))?,
            Self::Ipv4 => i32::from(packet.ethertype) == libc::ETH_P_IP,
            Self::Ipv6 => i32::from(packet.ethertype) == libc::ETH_P_IPV6,
            Self::Fragment => chain_known.then_some(ip.is_some_and(|ip| ip.fragment))?,
            Self::Unparsable => known.then_some(ip.is_none())?,
            Self::Type(kind) => {
                icmp_known.then_some(icmp.is_some_and(|icmp| icmp.kind == *kind))?
            }
            Self::TypeName(name) => {
                icmp_known.then_some(icmp.is_some_and(|icmp| icmp.name == Some(name)))?
            }
            Self::From(network) => {
                known.then_some(ip.is_some_and(|ip| network.contains(&ip.source)))?
            }
            Self::To(network) => {
                known.then_some(ip.is_some_and(|ip| network.contains(&ip.destination)))?
            }
            Self::Size(comparison, size) => icmp_known.then_some(
                icmp.is_some_and(|icmp| comparison.holds(icmp.data_length, usize::from(*size))),
            )?,
            Self::In(link) => packet.indev.is_some_and(|index| link.is(index)),
            Self::Out(link) => packet.outdev.is_some_and(|index| link.is(index)),
            Self::Hook(hook) => packet.hook == *hook,
            Self::Mark { value, mask } => packet.mark & mask == *value,
            Self::Rate(rate) => rate.take(),
        })
    }

    /// The number of bytes of a packet that the condition needs. If `ipv6` is set, the packet can
    /// only be IPv6.
    pub(super) fn needs(&self, ipv6: bool) -> usize {
        let header = if ipv6 {
            IPV6_HEADER_LEN
        } else {
            IPV4_HEADER_LEN
        };
        match self {
            Self::Not(condition) => condition.needs(ipv6),
            Self::Icmp
            | Self::Icmp6
            | Self::Fragment
            | Self::Unparsable
            | Self::From(_)
            | Self::To(_) => header,
            Self::Type(_) | Self::TypeName(_) | Self::Size(..) => header + ICMP_HEADER_LEN,
            Self::Ipv4
            | Self::Ipv6
            | Self::In(_)
            | Self::Out(_)
            | Self::Hook(_)
            | Self::Mark { .. }
            | Self::Rate(_) => 0,
        }
    }

    /// Whether the condition can be true only for IPv6 packets.
    pub(super) fn is_of_ipv6(&self) -> bool {
        match self {
            Self::Icmp6 | Self::Ipv6 => true,
            Self::From(network) | Self::To(network) => network.is_ipv6(),
            _ => false,
        }
    }

    /// Whether a check of the condition has a side effect: a check of a rate takes a token. Such a
    /// condition must be checked only if all other conditions of the rule are true.
    pub(super) fn takes(&self) -> bool {
        match self {
            Self::Not(condition) => condition.takes(),
            Self::Rate(_) => true,
            _ => false,
        }
    }

    /// The interface that the condition names.
    pub(super) fn link(&self) -> Option<&Link> {
        match self {
            Self::Not(condition) => condition.link(),
            Self::In(link) | Self::Out(link) => Some(link),
            _ => None,
        }
    }
}

fn is_ip(packet: &Packet<'_>) -> bool {
    matches!(
        i32::from(packet.ethertype),
        libc::ETH_P_IP | libc::ETH_P_IPV6
    )
}

/// Shows the text form of the condition.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Not(condition) => write!(f, "not {condition}"),
            Self::Icmp => f.write_str("icmp"),
            Self::Icmp6 => f.write_str("icmp6"),
            Self::Ipv4 => f.write_str("ipv4"),
            Self::Ipv6 => f.write_str("ipv6"),
            Self::Fragment => f.write_str("fragment"),
            Self::Unparsable => f.write_str("unparsable"),
            Self::Type(kind) => write!(f, "type {kind}"),
            Self::TypeName(name @ (ECHO_REQUEST | ECHO_REPLY)) => f.write_str(name),
            Self::TypeName(name) => write!(f, "type {name}"),
            Self::From(network) => write!(f, "from {network}"),
            Self::To(network) => write!(f, "to {network}"),
            Self::Size(comparison, size) => write!(f, "size{comparison}{size}"),
            Self::In(link) => write!(f, "in {}", link.name()),
            Self::Out(link) => write!(f, "out {}", link.name()),
            Self::Hook(hook) => write!(f, "hook {hook}"),
            Self::Mark { value, mask } => {
                write!(f, "mark {value:#x}")?;
                match *mask {
                    u32::MAX => Ok(()),
                    mask => write!(f, "/{mask:#x}"),
                }
            }
            Self::Rate(rate) => write!(f, "rate {}/s", rate.per_second()),
        }
    }
}
