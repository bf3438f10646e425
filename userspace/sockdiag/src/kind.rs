// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kinds of sockets that can be listed.

use linux_names::constant::octet;
use serde::Deserialize;
use serde::Serialize;

/// A kind of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Raw sockets of IP.
    Raw,
    /// ICMP echo sockets that need no privilege ("ping sockets").
    Icmp,
    /// Unix sockets. They connect processes of this machine.
    Unix,
    /// Netlink sockets, including the kernel's own sockets.
    Netlink,
    /// Packet sockets. They receive packets of interfaces, with or without link layer headers.
    Packet,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Tcp,
        Self::Udp,
        Self::Raw,
        Self::Icmp,
        Self::Unix,
        Self::Netlink,
        Self::Packet,
    ];

    /// The kinds of sockets that the kernel can destroy (`SOCK_DESTROY`).
    pub const DESTRUCTIBLE: [Self; 3] = [Self::Tcp, Self::Udp, Self::Raw];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Raw => "raw",
            Self::Icmp => "icmp",
            Self::Unix => "unix",
            Self::Netlink => "netlink",
            Self::Packet => "packet",
        }
    }

    /// Whether sockets of this kind have IP addresses.
    #[must_use]
    pub fn is_ip(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Raw | Self::Icmp)
    }

    /// Whether sockets of this kind have ports.
    #[must_use]
    pub fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }

    /// Whether the kernel can destroy sockets of this kind (`SOCK_DESTROY`).
    #[must_use]
    pub fn can_be_destroyed(self) -> bool {
        Self::DESTRUCTIBLE.contains(&self)
    }

    /// The IP protocol in requests for sockets of this kind. 0 for kinds that are not of IP.
    pub(crate) fn ip_protocol(self) -> u8 {
        match self {
            Self::Tcp => octet(libc::IPPROTO_TCP),
            Self::Udp => octet(libc::IPPROTO_UDP),
            Self::Raw => octet(libc::IPPROTO_RAW),
            Self::Icmp => octet(libc::IPPROTO_ICMP),
            Self::Unix | Self::Netlink | Self::Packet => 0,
        }
    }

    /// The kernel module that lists sockets of this kind, and the kernel's configuration option for
    /// this module.
    pub(crate) fn provider(self) -> (&'static str, &'static str) {
        match self {
            Self::Tcp => ("tcp_diag", "CONFIG_INET_TCP_DIAG"),
            Self::Udp => ("udp_diag", "CONFIG_INET_UDP_DIAG"),
            Self::Raw | Self::Icmp => ("raw_diag", "CONFIG_INET_RAW_DIAG"),
            Self::Unix => ("unix_diag", "CONFIG_UNIX_DIAG"),
            Self::Netlink => ("netlink_diag", "CONFIG_NETLINK_DIAG"),
            Self::Packet => ("af_packet_diag", "CONFIG_PACKET_DIAG"),
        }
    }
}
