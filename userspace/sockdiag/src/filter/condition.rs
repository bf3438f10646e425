// SPDX-License-Identifier: MIT OR Apache-2.0

//! The conditions on a socket.

use std::collections::HashSet;

use linux_names::Family;
use linux_names::interface::NoInterface;
use linux_names::number::number;
use linux_names::process::Process;

use super::place::Place;
use super::place::Ports;
use crate::bytecode::Op;
use crate::bytecode::Side;
use crate::kind::Kind;
use crate::socket::Details;
use crate::socket::Ip;
use crate::socket::Socket;
use crate::state::StateSet;

/// The number of bytes of a process's name that the kernel keeps (`TASK_COMM_LEN` without the NUL).
const PROCESS_NAME_LEN: usize = 15;

/// A condition on sockets. It is true if one of its alternatives is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Family(Vec<Family>),
    State(StateSet),
    Place(Which, Vec<Place>),
    Port(Which, Vec<Ports>),
    Inode(Vec<u32>),
    Cookie(Vec<u64>),
    Protocol(Vec<u16>),
    Process {
        /// The numbers or names of processes.
        names: Vec<String>,
        /// The inodes of the sockets of these processes, after a lookup.
        inodes: HashSet<u32>,
    },
}

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Local,
    Remote,
    Either,
}

impl Which {
    fn sides(self) -> &'static [Side] {
        match self {
            Self::Local => &[Side::Local],
            Self::Remote => &[Side::Remote],
            Self::Either => &[Side::Local, Side::Remote],
        }
    }
}

impl Condition {
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Family(_) => "family",
            Self::State(_) => "state",
            Self::Place(Which::Local, _) => "local",
            Self::Place(Which::Remote, _) => "remote",
            Self::Place(Which::Either, _) => "address",
            Self::Port(Which::Local, _) => "local-port",
            Self::Port(Which::Remote, _) => "remote-port",
            Self::Port(Which::Either, _) => "port",
            Self::Inode(_) => "inode",
            Self::Cookie(_) => "cookie",
            Self::Protocol(_) => "protocol",
            Self::Process { .. } => "process",
        }
    }

    /// Whether the condition can be true for sockets of a kind.
    pub(super) fn is_for(&self, kind: Kind) -> bool {
        match self {
            Self::Family(_) => kind.is_ip(),
            Self::Place(_, places) => {
                let mut places = places.iter();
                kind.is_ip() && places.any(|place| place.ports.is_none() || kind.has_ports())
            }
            Self::Port(..) => kind.has_ports(),
            Self::Protocol(_) => kind != Kind::Unix,
            Self::Cookie(_) => kind != Kind::Icmp,
            Self::State(_) | Self::Inode(_) | Self::Process { .. } => true,
        }
    }

    pub(super) fn holds(&self, socket: &Socket) -> bool {
        match self {
            Self::Family(families) => socket.ip().is_some_and(|ip| families.contains(&ip.family)),
            Self::State(states) => states.contains(socket.state),
            Self::Place(which, places) => socket.ip().is_some_and(|ip| {
                places.iter().any(|place| {
                    (place.ports.is_none() || socket.kind.has_ports())
                        && ends(*which, ip).any(|end| place.contains(end, ip.ifindex))
                })
            }),
            Self::Port(which, ranges) => socket.ip().is_some_and(|ip| {
                socket.kind.has_ports()
                    && ends(*which, ip).any(|end| ranges.iter().any(|r| r.0.contains(&end.port)))
            }),
            Self::Inode(inodes) => inodes.contains(&socket.inode),
            Self::Cookie(cookies) => socket
                .cookie
                .is_some_and(|cookie| cookies.contains(&cookie)),
            Self::Protocol(protocols) => match &socket.details {
                Details::Ip(ip) => protocols.contains(&ip.protocol.into()),
                Details::Netlink(netlink) => protocols.contains(&netlink.protocol.into()),
                Details::Packet(packet) => protocols.contains(&packet.protocol),
                Details::Unix(_) => false,
            },
            Self::Process { inodes, .. } => inodes.contains(&socket.inode),
        }
    }

    /// Whether the condition is true for every socket of the kinds that it applies to.
    pub(super) fn always_holds(&self) -> bool {
        match self {
            Self::Family(families) => Family::ALL.iter().all(|family| families.contains(family)),
            Self::State(states) => states.has_all(),
            Self::Place(_, places) => places.iter().any(Place::is_anywhere),
            Self::Port(_, ranges) => ranges.iter().any(Ports::are_all),
            Self::Inode(_) | Self::Cookie(_) | Self::Protocol(_) | Self::Process { .. } => false,
        }
    }

    pub(super) fn look_up(&mut self) -> Result<(), NoInterface> {
        match self {
            Self::Place(_, places) => places.iter_mut().try_for_each(Place::look_up),
            Self::Process { names, inodes } => {
                let wanted = Process::all().filter(|process| is_one_of(process, names));
                let sockets = wanted.flat_map(|process| process.sockets());
                inodes.extend(sockets.filter_map(|inode| u32::try_from(inode).ok()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The alternatives of the condition, each as instructions for the kernel. Only addresses and
    /// ports become instructions. `None` for conditions that have no addresses and no ports.
    pub(super) fn alternatives(&self) -> Option<Vec<Vec<Op>>> {
        match self {
            Self::Place(which, places) => Some(alternatives(*which, places, |side, place| {
                let network = place.network.map(|network| Op::Within(side, network));
                let ports = place.ports.iter().flat_map(|ports| port_ops(side, ports));
                network.into_iter().chain(ports).collect()
            })),
            Self::Port(which, ranges) => Some(alternatives(*which, ranges, port_ops)),
            _ => None,
        }
    }
}

fn ends(which: Which, ip: &Ip) -> impl Iterator<Item = &crate::socket::Endpoint> {
    which.sides().iter().map(|side| match side {
        Side::Local => &ip.local,
        Side::Remote => &ip.remote,
    })
}

fn alternatives<T>(which: Which, all: &[T], ops: impl Fn(Side, &T) -> Vec<Op>) -> Vec<Vec<Op>> {
    let sides = which.sides().iter();
    sides
        .flat_map(|&side| all.iter().map(|one| ops(side, one)).collect::<Vec<_>>())
        .collect()
}

fn port_ops(side: Side, ports: &Ports) -> Vec<Op> {
    vec![
        Op::From(side, *ports.0.start()),
        Op::UpTo(side, *ports.0.end()),
    ]
}

fn is_one_of(process: &Process, names: &[String]) -> bool {
    names.iter().any(|name| {
        let kept = name.as_bytes();
        let kept = kept.get(..PROCESS_NAME_LEN).unwrap_or(kept);
        number(name) == Some(process.pid) || process.name.as_bytes() == kept
    })
}
