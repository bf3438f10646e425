// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is told of a socket.

use std::fmt;
use std::net::IpAddr;

use linux_names::Family;
use linux_names::text::Escaped;
use serde::Deserialize;
use serde::Serialize;
use serde::Serializer;

use crate::kind::Kind;
use crate::state::State;

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Socket {
    /// What kind of socket.
    pub kind: Kind,
    /// What it does.
    pub state: State,
    /// Its inode, by which processes have it open; 0 if none has.
    pub inode: u32,
    /// What tells it from all other sockets since the machine started; `None` where the kernel
    /// does not tell.
    pub cookie: Option<u64>,
    /// The user that it belongs to; `None` where the kernel does not tell.
    pub uid: Option<u32>,
    /// What waits in it, where the kernel tells.
    #[serde(flatten)]
    pub queues: Queues,
    /// What is peculiar to its kind.
    #[serde(flatten)]
    pub details: Details,
}

/// What waits in a socket.
///
/// Of a listening one, these are the connections that wait to be accepted, and how many may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queues {
    /// Bytes to be read.
    pub receive_queue: Option<u32>,
    /// Bytes on their way.
    pub send_queue: Option<u32>,
}

/// What is peculiar to a kind of sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Details {
    /// A socket of IP.
    Ip(Ip),
    /// A unix socket.
    Unix(Unix),
    /// A netlink socket.
    Netlink(Netlink),
    /// A packet socket.
    Packet(Packet),
}

/// What is peculiar to sockets of IP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ip {
    /// Its family, which is IPv6 also where the addresses are IPv4 ones in the form of IPv6.
    pub family: Family,
    /// Its protocol number; what a raw socket was opened for.
    pub protocol: u8,
    /// Its own end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// The interface that it is bound to, 0 for none.
    pub ifindex: u32,
    /// What TCP waits for.
    pub timer: Option<Timer>,
    /// The mark that its packets bear; `None` without `CAP_NET_ADMIN`.
    pub mark: Option<u32>,
    /// Whether it is for IPv6 alone; `None` where the kernel does not tell.
    pub v6only: Option<bool>,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address; all zeroes for none in particular.
    pub address: IpAddr,
    /// Its port, 0 for none; of a ping socket, its identifier.
    pub port: u16,
}

/// What TCP waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Timer {
    /// What for.
    pub kind: TimerKind,
    /// How much longer.
    pub milliseconds: u32,
    /// How often it has waited for it already.
    pub retransmits: u8,
}

/// What TCP can wait for, `IDIAG_TIMER_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimerKind {
    /// To send again.
    Retransmit,
    /// To see whether the other end is still there.
    Keepalive,
    /// For the connection to be forgotten.
    TimeWait,
    /// To ask for a window.
    Probe,
    /// To acknowledge.
    DelayedAck,
    /// For something else.
    Other,
}

/// What is peculiar to unix sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unix {
    /// How it carries data.
    pub r#type: SocketType,
    /// Its name, if it has one.
    pub name: Option<UnixName>,
    /// Whether the name is one without a file.
    pub r#abstract: bool,
    /// The inode of the socket that it is connected to.
    pub peer: Option<u32>,
}

/// How a socket carries data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SocketType {
    /// In any pieces.
    Stream,
    /// One by one.
    Dgram,
    /// One by one, with everything that is around them.
    Raw,
    /// One by one, over a connection.
    Seqpacket,
    /// In another way.
    Other,
}

impl SocketType {
    pub(crate) fn of(number: u8) -> Self {
        match number.into() {
            libc::SOCK_STREAM => Self::Stream,
            libc::SOCK_DGRAM => Self::Dgram,
            libc::SOCK_RAW => Self::Raw,
            libc::SOCK_SEQPACKET => Self::Seqpacket,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::Dgram => "dgram",
            Self::Raw => "raw",
            Self::Seqpacket => "seqpacket",
            Self::Other => "other",
        })
    }
}

/// The name of a unix socket: the bytes of a path, or any bytes at all.
///
/// As text it is [`Escaped`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixName(pub Vec<u8>);

impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0).fmt(f)
    }
}

impl Serialize for UnixName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is peculiar to netlink sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Netlink {
    /// How it was opened, which makes no difference.
    pub r#type: SocketType,
    /// The netlink protocol.
    pub protocol: u8,
    /// Its address, 0 for none yet or the kernel's own.
    pub portid: u32,
    /// Whether it is the kernel's own.
    pub kernel: bool,
    /// The multicast groups that it has joined.
    pub groups: Vec<u32>,
    /// The address that it is connected to.
    pub remote_portid: u32,
}

impl Netlink {
    /// The name of its protocol (`NETLINK_*`), if the kernel has given it one.
    #[must_use]
    pub fn protocol_name(&self) -> Option<&'static str> {
        Some(match self.protocol.into() {
            libc::NETLINK_ROUTE => "route",
            libc::NETLINK_USERSOCK => "usersock",
            libc::NETLINK_FIREWALL => "firewall",
            libc::NETLINK_SOCK_DIAG => "sock_diag",
            libc::NETLINK_NFLOG => "nflog",
            libc::NETLINK_XFRM => "xfrm",
            libc::NETLINK_SELINUX => "selinux",
            libc::NETLINK_ISCSI => "iscsi",
            libc::NETLINK_AUDIT => "audit",
            libc::NETLINK_FIB_LOOKUP => "fib_lookup",
            libc::NETLINK_CONNECTOR => "connector",
            libc::NETLINK_NETFILTER => "netfilter",
            libc::NETLINK_KOBJECT_UEVENT => "kobject_uevent",
            libc::NETLINK_GENERIC => "generic",
            libc::NETLINK_SCSITRANSPORT => "scsitransport",
            libc::NETLINK_ECRYPTFS => "ecryptfs",
            libc::NETLINK_RDMA => "rdma",
            libc::NETLINK_CRYPTO => "crypto",
            // NETLINK_SMC, which libc does not have.
            22 => "smc",
            _ => return None,
        })
    }
}

/// What is peculiar to packet sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packet {
    /// Whether headers of the link layer come along (`raw`).
    pub r#type: SocketType,
    /// The `EtherType` of the packets that it gets, 3 for all.
    pub protocol: u16,
    /// The interface that it is bound to, 0 for all.
    pub ifindex: u32,
}

impl Socket {
    /// Its ends, if it is a socket of IP.
    #[must_use]
    pub fn ip(&self) -> Option<&Ip> {
        match &self.details {
            Details::Ip(ip) => Some(ip),
            _ => None,
        }
    }
}
