// SPDX-License-Identifier: GPL-2.0

//! Counting an interface's traffic.

use std::os::fd::OwnedFd;

use aya::maps::Array;
use aya::maps::MapData;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockProtocol;
use nix::sys::socket::SockType;
use nix::sys::socket::socket;

use super::counts::Counts;
use super::loaded::SocketFilter;
use super::traffic;
use super::traffic::Entry;
use crate::error::Error;
use crate::error::Result;

/// A count of what an interface of the calling thread's network namespace receives and sends.
pub struct Counter {
    interface: String,
    ifindex: u32,
    map: Array<MapData, Entry>,
    // Detached before the socket is closed.
    _filter: SocketFilter,
    _socket: OwnedFd,
}

impl Counter {
    /// Counts from now on; needs `CAP_NET_RAW` and `CAP_BPF`.
    pub fn open(interface: &str) -> Result<Self> {
        let ifindex = if_nametoindex(interface).map_err(|errno| no_interface(interface, errno))?;
        // An int in the kernel, and in what a program compares with.
        let number = i32::try_from(ifindex).map_err(|_| no_interface(interface, Errno::ENODEV))?;
        let socket = packet_socket()?;
        let mut filter = SocketFilter::load(&traffic::program(number))?;
        let map = filter.take_array(traffic::MAP)?;
        filter.attach(&socket)?;
        Ok(Self {
            interface: interface.to_owned(),
            ifindex,
            map,
            _filter: filter,
            _socket: socket,
        })
    }

    /// Reads what was counted until now; an error if the interface is gone.
    pub fn read(&self) -> Result<Counts> {
        let failed = |error: aya::maps::MapError| Error::Bpf {
            operation: format!("read BPF map '{}'", traffic::MAP),
            reason: error.to_string(),
        };
        let counts = Counts::from_entries(|index| self.map.get(&index, 0).map_err(failed))?;
        match if_nametoindex(&*self.interface) {
            Ok(ifindex) if ifindex == self.ifindex => Ok(counts),
            _ => Err(no_interface(&self.interface, Errno::ENODEV)),
        }
    }
}

/// A socket that could see the packets of all interfaces, from the network layer on.
///
/// The program picks those of one interface: to bind a packet socket to it takes an address that
/// no safe interface makes.
fn packet_socket() -> Result<OwnedFd> {
    let (family, kind) = (AddressFamily::Packet, SockType::Datagram);
    let opened = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll);
    opened.map_err(|errno| {
        let error = Error::system("open packet socket", errno);
        match errno {
            Errno::EPERM => error.with_fix(
                "it needs CAP_NET_RAW in the user namespace that owns this network namespace: run \
                 as root",
            ),
            Errno::EAFNOSUPPORT => {
                error.with_fix("this kernel has no packet sockets: `modprobe af_packet`")
            }
            _ => error,
        }
    })
}

fn no_interface(name: &str, errno: Errno) -> Error {
    let operation = format!("interface '{}'", name.escape_default());
    Error::system(operation, errno).with_fix("`ip link` shows those of this network namespace")
}
