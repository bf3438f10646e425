// SPDX-License-Identifier: MIT OR Apache-2.0

//! The description of a socket.

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
    /// The kind of the socket.
    pub kind: Kind,
    /// The state of the socket.
    pub state: State,
    /// The inode of the socket; 0 if no process has the socket open.
    pub inode: u32,
    /// A number that no other socket has had since the machine started. `None` if the kernel does
    /// not report the number.
    pub cookie: Option<u64>,
    /// The user that the socket belongs to. `None` if the kernel does not report the user.
    pub uid: Option<u32>,
    /// The data that waits in the socket, if the kernel reports it.
    #[serde(flatten)]
    pub queues: Queues,
    /// The details that depend on the kind.
    #[serde(flatten)]
    pub details: Details,
}

/// The data that waits in a socket.
///
/// For a listening socket, `receive_queue` is the number of connections that wait to be accepted,
/// and `send_queue` is the highest number of connections that may wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queues {
    /// Bytes that the program has not read yet.
    pub receive_queue: Option<u32>,
    /// Bytes that are not sent yet, or not acknowledged yet.
    pub send_queue: Option<u32>,
}

/// The details of a kind of sockets.
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

/// The details of a socket of IP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ip {
    /// The family of the socket. For an IPv6 socket this is IPv6, even if the addresses are IPv4
    /// addresses in IPv6 form.
    pub family: Family,
    /// The protocol number. For a raw socket, the protocol that the socket was opened for.
    pub protocol: u8,
    /// The endpoint of the connection on this machine.
    pub local: Endpoint,
    /// The other endpoint of the connection.
    pub remote: Endpoint,
    /// The interface that the socket is bound to, 0 for none.
    pub ifindex: u32,
    /// The TCP timer that is running, if there is one.
    pub timer: Option<Timer>,
    /// The mark of the packets that the socket sends. `None` without `CAP_NET_ADMIN`.
    pub mark: Option<u32>,
    /// Whether the socket is only for IPv6. `None` if the kernel does not report it.
    pub v6only: Option<bool>,
}

/// An endpoint of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The address. All bytes are 0 if the address is unspecified.
    pub address: IpAddr,
    /// The port. 0 if there is none. For a ping socket, this is the identifier of its echo
    /// requests.
    pub port: u16,
}

/// A timer of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Timer {
    /// The purpose of the timer.
    pub kind: TimerKind,
    /// The time until the timer expires.
    pub milliseconds: u32,
    /// The number of times that the timer has expired already.
    pub retransmits: u8,
}

/// The timers of TCP, `IDIAG_TIMER_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimerKind {
    /// Retransmission.
    Retransmit,
    /// Keepalive.
    Keepalive,
    /// The end of `TIME_WAIT`.
    TimeWait,
    /// Probe of a zero window.
    Probe,
    /// Delayed acknowledgement.
    DelayedAck,
    /// Another timer.
    Other,
}

/// The details of a unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unix {
    /// The type of the socket.
    pub r#type: SocketType,
    /// The name of the socket, if it has one.
    pub name: Option<UnixName>,
    /// Whether the name is abstract. An abstract name is not the path of a file.
    pub r#abstract: bool,
    /// The inode of the socket that this socket is connected to.
    pub peer: Option<u32>,
}

/// The type of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SocketType {
    /// A stream of bytes (`SOCK_STREAM`).
    Stream,
    /// Datagrams (`SOCK_DGRAM`).
    Dgram,
    /// Datagrams with their headers (`SOCK_RAW`).
    Raw,
    /// Datagrams over a connection (`SOCK_SEQPACKET`).
    Seqpacket,
    /// Another type.
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

/// The name of a unix socket: the bytes of a path, or any bytes.
///
/// As text, a name has the form of [`Escaped`].
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

/// The details of a netlink socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Netlink {
    /// The type of the socket. The type makes no difference for netlink sockets.
    pub r#type: SocketType,
    /// The netlink protocol.
    pub protocol: u8,
    /// The portid of the socket. 0 if the socket has no portid yet, or is the kernel's own socket.
    pub portid: u32,
    /// Whether the socket is the kernel's own socket.
    pub kernel: bool,
    /// The multicast groups that the socket has joined.
    pub groups: Vec<u32>,
    /// The portid that the socket is connected to.
    pub remote_portid: u32,
}

impl Netlink {
    /// The name of the netlink protocol (`NETLINK_*`), if the kernel has a name for it.
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
            // NETLINK_SMC. The crate `libc` lacks this constant.
            22 => "smc",
            _ => return None,
        })
    }
}

/// The details of a packet socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packet {
    /// The type of the socket. The packets of a `raw` socket have link layer headers.
    pub r#type: SocketType,
    /// The `EtherType` of the packets that the socket receives. 3 means all packets.
    pub protocol: u16,
    /// The interface that the socket is bound to, 0 for all interfaces.
    pub ifindex: u32,
}

impl Socket {
    /// The details of the socket, if it is a socket of IP.
    #[must_use]
    pub fn ip(&self) -> Option<&Ip> {
        match &self.details {
            Details::Ip(ip) => Some(ip),
            _ => None,
        }
    }
}
