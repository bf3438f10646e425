// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where an end of a connection can be: addresses, ports, a network device.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use linux_names::interface;
use linux_names::interface::NoInterface;
use linux_names::network::Network;
use linux_names::text::decimal;

use crate::socket::Endpoint;

/// `ADDRESS[/LENGTH][:PORTS]` or `[ADDRESS%DEVICE][/LENGTH][:PORTS]`, `*` being any address or port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) network: Option<Network>,
    pub(super) device: Option<Device>,
    pub(super) ports: Option<Ports>,
}

/// Ports, all that are from one to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ports(pub(super) RangeInclusive<u16>);

/// A network device by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    name: String,
    /// Once it has been looked up.
    index: Option<u32>,
}

impl Place {
    /// Whether an end, of a socket that is bound to a device or to none (0), is there.
    pub(super) fn contains(&self, end: &Endpoint, ifindex: u32) -> bool {
        self.network
            .is_none_or(|network| within(network, end.address))
            && self
                .ports
                .as_ref()
                .is_none_or(|ports| ports.0.contains(&end.port))
            && self
                .device
                .as_ref()
                .is_none_or(|device| device.index == Some(ifindex))
    }

    /// Whether every end is there, at least of those of a family.
    pub(super) fn is_anywhere(&self) -> bool {
        self.network.is_none_or(|network| network.length() == 0)
            && self.ports.as_ref().is_none_or(Ports::are_all)
            && self.device.is_none()
    }

    pub(super) fn look_up(&mut self) -> Result<(), NoInterface> {
        if let Some(device) = &mut self.device {
            let index = interface::index(&device.name);
            device.index = Some(index.or_else(|error| decimal(&device.name).ok_or(error))?);
        }
        Ok(())
    }
}

/// Whether an address is in a network. IPv4 addresses in the form of IPv6 are in those of both.
fn within(network: Network, address: IpAddr) -> bool {
    let mapped = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    };
    network.contains(address) || mapped.is_some_and(|mapped| network.contains(mapped.into()))
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        // Where an IPv6 address ends is plain only in brackets.
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
        let (address, device) = match address.split_once('%') {
            Some((_, "")) => return Err(()),
            Some((address, name)) => (address, Some(name)),
            None => (address, None),
        };
        let network = match (address, length) {
            ("*", "") => None,
            ("*", _) => return Err(()),
            // Or what is behind brackets would be the address's own.
            (_, length) if !length.is_empty() && !length.starts_with('/') => return Err(()),
            _ => {
                let network: Network = format!("{address}{length}").parse().map_err(|_| ())?;
                Some(network)
            }
        };
        Ok(Self {
            network,
            device: device.map(|name| Device {
                name: name.to_owned(),
                index: None,
            }),
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
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (decimal(first).ok_or(())?, decimal(last).ok_or(())?);
        if first > last {
            return Err(());
        }
        Ok(Self(first..=last))
    }
}
