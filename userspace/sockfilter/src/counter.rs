// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts the packets of an interface.

use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

use aya::maps::Array;
use aya::maps::MapData;
use linux_names::interface;
use linux_names::interface::Interface;
use linux_names::interface::NoInterface;
use linux_names::module;
use nix::errno::Errno;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockProtocol;
use nix::sys::socket::SockType;
use nix::sys::socket::recv;
use nix::sys::socket::socket;

use crate::counts::Counts;
use crate::error::Error;
use crate::error::Result;
use crate::loaded::SocketFilter;
use crate::traffic;
use crate::traffic::Entry;

/// Counts the packets that an interface receives and sends. The interface is in the network
/// namespace of the thread that opened the counter.
pub struct Counter {
    interface: String,
    ifindex: u32,
    map: Array<MapData, Entry>,
    // Rust drops fields in this order, so the program is detached before the socket is closed.
    _filter: SocketFilter,
    _socket: OwnedFd,
}

impl Counter {
    /// Starts to count. Needs `CAP_NET_RAW` and `CAP_BPF`.
    pub fn open(mut interface: Interface) -> Result<Self> {
        interface.look_up()?;
        let none = || NoInterface::new(interface.name());
        let ifindex = interface.index().filter(|&index| interface::exists(index));
        let ifindex = ifindex.ok_or_else(none)?;
        let socket = packet_socket()?;
        let mut filter = SocketFilter::load(&traffic::program(ifindex))?;
        let map = filter.take_array(traffic::MAP)?;
        filter.attach(&socket)?;
        drain(&socket)?;
        Ok(Self {
            interface: interface::name(ifindex),
            ifindex,
            map,
            _filter: filter,
            _socket: socket,
        })
    }

    /// The name that the interface had when the counter was opened.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Reads the counts.
    pub fn read(&self) -> Result<Counts> {
        let failed = |error: aya::maps::MapError| Error::Bpf {
            operation: format!("read BPF map '{}'", traffic::MAP),
            reason: error.to_string(),
        };
        Counts::from_entries(|index| self.map.get(&index, 0).map_err(failed))
    }

    /// Returns an error if the interface was removed. An interface that is down, or was renamed, is
    /// no error.
    pub fn check(&self) -> Result<()> {
        if interface::exists(self.ifindex) {
            Ok(())
        } else {
            Err(NoInterface::new(&self.interface).into())
        }
    }
}

/// A socket that receives the packets of all interfaces, without link layer headers.
///
/// The BPF program chooses the packets of one interface. The socket itself is not bound to the
/// interface. A bind would need a link layer address (`sockaddr_ll`), and no safe function makes
/// such an address for every interface: `getifaddrs()` has none for interfaces without a link
/// layer.
fn packet_socket() -> Result<OwnedFd> {
    let (family, kind) = (AddressFamily::Packet, SockType::Datagram);
    let opened = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll);
    opened.map_err(|errno| {
        let error = linux_names::Error::new("open packet socket", errno);
        match errno {
            Errno::EPERM => error.with_fix(
                "it needs CAP_NET_RAW in the user namespace that owns this network namespace: run \
                 as root",
            ),
            Errno::EAFNOSUPPORT => match module::remedy("af_packet", "CONFIG_PACKET") {
                Some(remedy) => {
                    error.with_fix(format!("this kernel has no packet sockets: {remedy}"))
                }
                None => error,
            },
            _ => error,
        }
        .into()
    })
}

/// Discards the packets that came before the socket had its filter. Without this function they
/// would stay in the socket, because no code reads from it.
fn drain(socket: &OwnedFd) -> Result<()> {
    loop {
        match recv(socket.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(()),
            Err(errno) => return Err(linux_names::Error::new("receive packets", errno).into()),
        }
    }
}
