// SPDX-License-Identifier: MIT OR Apache-2.0

//! The place of an end of a connection: an address, ports and an interface.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use linux_names::interface::Interface;
use linux_names::interface::NoInterface;
use linux_names::network::Network;
use linux_names::network::network;
use linux_names::number::range;

use crate::socket::Endpoint;

/// `ADDRESS[/LENGTH][:PORTS]` or `[ADDRESS%INTERFACE][/LENGTH][:PORTS]`. `*` means any address or
/// any port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) network: Option<Network>,
    pub(super) interface: Option<Interface>,
    pub(super) ports: Option<Ports>,
}

/// A range of ports. Both ends of the range belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ports(pub(super) RangeInclusive<u16>);

impl Place {
    /// Whether an end of a socket is at this place. `ifindex` is the interface that the socket is
    /// bound to, or 0.
    pub(super) fn contains(&self, end: &Endpoint, ifindex: u32) -> bool {
        self.network
            .is_none_or(|network| within(network, end.address))
            && self
                .ports
                .as_ref()
                .is_none_or(|ports| ports.0.contains(&end.port))
            && self
                .interface
                .as_ref()
                .is_none_or(|interface| interface.is(ifindex))
    }

    /// Whether every end of every connection of this place's family is at this place.
    pub(super) fn is_anywhere(&self) -> bool {
        self.network
            .is_none_or(|network| network.network_length() == 0)
            && self.ports.as_ref().is_none_or(Ports::are_all)
            && self.interface.is_none()
    }

    pub(super) fn look_up(&mut self) -> Result<(), NoInterface> {
        match &mut self.interface {
            Some(interface) => interface.look_up(),
            None => Ok(()),
        }
    }
}

/// Whether an address is in a network. An IPv4 address in IPv6 form can be in a network of either
/// family.
fn within(network: Network, address: IpAddr) -> bool {
    let mapped = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    };
    network.contains(&address) || mapped.is_some_and(|mapped| network.contains(&mapped.into()))
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        // An IPv6 address contains colons. So it must be in brackets if ports follow.
        let (address, length, ports) = if let Some(text) = text.strip_prefix('[') {
            let (address, rest) = text.split_once(']').ok_or(())?;
            let (length, ports) = match rest.split_once(':') {
                Some((length, ports)) => (length, Some(ports)),
                None => (rest, None),
            };
            (address, length, ports)
        } else {
            let (text, ports) = match text.split_once(':') {
                Some((_, rest)) if rest.contains(':') => (text, None),
                Some((text, ports)) if !text.is_empty() => (text, Some(ports)),
                _ => (text, None),
            };
            let slash = text.find('/').unwrap_or(text.len());
            (&text[..slash], &text[slash..], ports)
        };
        let (address, interface) = match address.split_once('%') {
            Some((address, interface)) => (address, Some(interface.parse().map_err(|_| ())?)),
            None => (address, None),
        };
        let network = match (address, length) {
            ("*", "") => None,
            ("*", _) => return Err(()),
            // After the brackets, only a length or ports may follow. Without this check, other text
            // would become a part of the address.
            (_, length) if !length.is_empty() && !length.starts_with('/') => return Err(()),
            _ => Some(network(&format!("{address}{length}")).ok_or(())?),
        };
        Ok(Self {
            network,
            interface,
            ports: match ports {
                None | Some("*") => None,
                Some(ports) => Some(ports.parse()?),
            },
        })
    }
}

impl Ports {
    pub(super) fn are_all(&self) -> bool {
        self.0 == (0..=u16::MAX)
    }
}

impl FromStr for Ports {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        range(text).map(Self).ok_or(())
    }
}
