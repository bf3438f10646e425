// SPDX-License-Identifier: GPL-2.0

//! What rules can ask of a packet.

use std::fmt;

use etherparse::IpNumber;
use linux_names::icmp::ECHO_REPLY;
use linux_names::icmp::ECHO_REQUEST;
use linux_names::interface::Interface;
use linux_names::interface::NoInterface;
use linux_names::network::Network;
use nfnetlink_queue::Hook;
use nfnetlink_queue::Packet;
use nfnetlink_queue::Summary;

use super::rate::Rate;

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
    /// A type by its name, whose number may differ between ICMP and ICMPv6.
    TypeName(&'static str),
    From(Network),
    To(Network),
    Size(Comparison, u16),
    In(Interface),
    Out(Interface),
    Hook(Hook),
    Mark {
        value: u32,
        mask: u32,
    },
    Rate(Rate),
}

/// How a number is compared with another.
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
    #[inline]
    pub(super) fn holds(&self, packet: &Packet<'_>, ip: Option<&Summary>) -> bool {
        let icmp = ip.and_then(|ip| ip.icmp.as_ref());
        let protocol = ip.map(|ip| IpNumber(ip.protocol));
        match self {
            Self::Not(condition) => !condition.holds(packet, ip),
            Self::Icmp => protocol == Some(IpNumber::ICMP),
            Self::Icmp6 => protocol == Some(IpNumber::IPV6_ICMP),
            Self::Ipv4 => i32::from(packet.ethertype) == libc::ETH_P_IP,
            Self::Ipv6 => i32::from(packet.ethertype) == libc::ETH_P_IPV6,
            Self::Fragment => ip.is_some_and(|ip| ip.fragment),
            Self::Unparsable => ip.is_none(),
            Self::Type(kind) => icmp.is_some_and(|icmp| icmp.kind == *kind),
            Self::TypeName(name) => icmp.is_some_and(|icmp| icmp.name == Some(name)),
            Self::From(network) => ip.is_some_and(|ip| network.contains(&ip.source)),
            Self::To(network) => ip.is_some_and(|ip| network.contains(&ip.destination)),
            Self::Size(comparison, size) => {
                icmp.is_some_and(|icmp| comparison.holds(icmp.data_length, usize::from(*size)))
            }
            Self::In(interface) => packet.indev.is_some_and(|index| interface.is(index)),
            Self::Out(interface) => packet.outdev.is_some_and(|index| interface.is(index)),
            Self::Hook(hook) => packet.hook == *hook,
            Self::Mark { value, mask } => packet.mark & mask == *value,
            Self::Rate(rate) => rate.take(),
        }
    }

    pub(super) fn find_interface(&mut self) -> Result<(), NoInterface> {
        match self {
            Self::Not(condition) => condition.find_interface(),
            Self::In(interface) | Self::Out(interface) => interface.look_up(),
            _ => Ok(()),
        }
    }
}

/// The text form.
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
            Self::In(interface) => write!(f, "in {}", interface.name()),
            Self::Out(interface) => write!(f, "out {}", interface.name()),
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
