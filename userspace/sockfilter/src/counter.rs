// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counting an interface's traffic.

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

    /// The name that the interface had when this was opened.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Reads what was counted until now.
    pub fn read(&self) -> Result<Counts> {
        let failed = |error: aya::maps::MapError| Error::Bpf {
            operation: format!("read BPF map '{}'", traffic::MAP),
            reason: error.to_string(),
        };
        Counts::from_entries(|index| self.map.get(&index, 0).map_err(failed))
    }

    /// An error if the interface is gone, so that nothing is left to count. One that is down, or
    /// has another name, is there.
    pub fn check(&self) -> Result<()> {
        if interface::exists(self.ifindex) {
            Ok(())
        } else {
            Err(NoInterface::new(&self.interface).into())
        }
    }
}

/// A socket that could see the packets of all interfaces, from the network layer on.
///
/// The program picks those of one interface: to bind a packet socket takes an address that no safe
/// function makes for every interface (`getifaddrs()` has none for those without link layer).
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

/// Throws away what came before the socket had its filter, and would wait for ever.
fn drain(socket: &OwnedFd) -> Result<()> {
    loop {
        match recv(socket.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(()),
            Err(errno) => return Err(linux_names::Error::new("receive packets", errno).into()),
        }
    }
}
