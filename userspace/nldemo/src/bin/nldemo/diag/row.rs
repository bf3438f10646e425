// SPDX-License-Identifier: GPL-2.0

//! A socket as a line of a table or of JSON.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use anstyle::AnsiColor;
use linux_names::interface;
use linux_names::process::Process;
use linux_names::text::Escaped;
use serde::Serialize;
use sockdiag::Details;
use sockdiag::Endpoint;
use sockdiag::Kind;
use sockdiag::Owners;
use sockdiag::Socket;
use sockdiag::State;

use crate::table::Cell;

/// The module's name in the kernel.
const MODULE: &str = "rust_nldemo";

/// The JSON of a socket; `nldemo diag list --help` describes the keys.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    #[serde(flatten)]
    socket: &'a Socket,
    interface: Option<&'a str>,
    module: Option<&'static str>,
    processes: Option<Vec<&'a Process>>,
}

/// Information that is shown with sockets and does not come from `sock_diag`.
pub(super) struct Context {
    /// The processes that have sockets open. `None` if the output has no processes.
    pub(super) owners: Option<Owners>,
    /// The netlink protocol number of the module. `None` if the module is not loaded.
    protocol: Option<u8>,
    interfaces: HashMap<u32, String>,
}

impl Context {
    pub(super) fn new(owners: Option<Owners>, protocol: u8) -> Self {
        let loaded = Path::new("/sys/module").join(MODULE).exists();
        Self {
            owners,
            protocol: loaded.then_some(protocol),
            interfaces: HashMap::new(),
        }
    }

    pub(super) fn headings(&self) -> Vec<Cell> {
        let left = |text| Cell::left(text).painted(AnsiColor::Cyan);
        let right = |text| Cell::right(text).painted(AnsiColor::Cyan);
        let mut cells = vec![
            left("kind"),
            left("state"),
            right("recv-q"),
            right("send-q"),
            left("local"),
            left("remote"),
            right("inode"),
        ];
        cells.extend(self.owners.is_some().then(|| left("processes")));
        cells
    }

    pub(super) fn cells(&mut self, socket: &Socket) -> Vec<Cell> {
        let (local, remote) = self.ends(socket);
        let mut cells = vec![
            Cell::left(kind(socket)),
            state(socket.state),
            Cell::right(count(socket.queues.receive_queue)),
            Cell::right(count(socket.queues.send_queue)),
            local,
            Cell::left(remote),
            Cell::right(socket.inode.to_string()),
        ];
        cells.extend(self.owners.as_ref().map(|owners| {
            let processes: Vec<_> = owners.of(socket).map(Process::to_string).collect();
            Cell::left(processes.join(", "))
        }));
        cells
    }

    pub(super) fn row<'a>(&'a mut self, socket: &'a Socket) -> Row<'a> {
        let ifindex = match &socket.details {
            Details::Ip(ip) => ip.ifindex,
            Details::Packet(packet) => packet.ifindex,
            Details::Unix(_) | Details::Netlink(_) => 0,
        };
        let module = self.module(socket);
        if ifindex != 0 {
            self.interface(ifindex);
        }
        Row {
            socket,
            interface: self.interfaces.get(&ifindex).map(String::as_str),
            module,
            processes: self
                .owners
                .as_ref()
                .map(|owners| owners.of(socket).collect()),
        }
    }

    /// The name of the module, if the socket is the module's kernel socket.
    fn module(&self, socket: &Socket) -> Option<&'static str> {
        let Details::Netlink(netlink) = &socket.details else {
            return None;
        };
        (netlink.kernel && self.protocol == Some(netlink.protocol)).then_some(MODULE)
    }

    fn interface(&mut self, ifindex: u32) -> &str {
        let name = self.interfaces.entry(ifindex);
        name.or_insert_with(|| interface::name(ifindex))
    }

    /// The text for each end of the socket: its own end, and the other end.
    fn ends(&mut self, socket: &Socket) -> (Cell, String) {
        match &socket.details {
            Details::Ip(ip) => {
                let device = match ip.ifindex {
                    0 => None,
                    index => Some(self.interface(index)),
                };
                let local = end(socket.kind, &ip.local, device);
                (Cell::left(local), end(socket.kind, &ip.remote, None))
            }
            Details::Unix(unix) => {
                let local = match &unix.name {
                    None => "*".to_owned(),
                    Some(name) if unix.r#abstract => format!("@{name}"),
                    // The `@` is a part of this file name. The output marks an abstract name with
                    // `@` before the name, so the `@` of a file name is escaped.
                    Some(name) if name.0.starts_with(b"@") => {
                        format!(r"\x40{}", Escaped(&name.0[1..]))
                    }
                    Some(name) => name.to_string(),
                };
                let peer = unix
                    .peer
                    .map_or_else(|| "*".to_owned(), |inode| inode.to_string());
                (Cell::left(local), peer)
            }
            Details::Netlink(netlink) => {
                let local = match self.module(socket) {
                    Some(module) => {
                        Cell::left(format!("kernel:{module}")).painted(AnsiColor::Green)
                    }
                    None if netlink.kernel => Cell::left("kernel"),
                    None => Cell::left(netlink.portid.to_string()),
                };
                let remote = match netlink.remote_portid {
                    0 => "*".to_owned(),
                    portid => portid.to_string(),
                };
                (local, remote)
            }
            Details::Packet(packet) => {
                let device = match packet.ifindex {
                    0 => "*",
                    index => self.interface(index),
                };
                let local = format!("{:#06x}:{}", packet.protocol, Escaped(device.as_bytes()));
                (Cell::left(local), "*".to_owned())
            }
        }
    }
}

fn kind(socket: &Socket) -> String {
    let name = socket.kind.name();
    match &socket.details {
        Details::Ip(ip) if socket.kind == Kind::Raw => format!("{name}/{}", ip.protocol),
        Details::Ip(_) => name.to_owned(),
        Details::Unix(unix) => format!("{name}/{}", unix.r#type),
        Details::Netlink(netlink) => match netlink.protocol_name() {
            Some(protocol) => format!("{name}/{protocol}"),
            None => format!("{name}/{}", netlink.protocol),
        },
        Details::Packet(packet) => format!("{name}/{}", packet.r#type),
    }
}

fn state(state: State) -> Cell {
    let cell = Cell::left(state.name());
    match state {
        State::ESTABLISHED => cell.painted(AnsiColor::Green),
        State::LISTEN => cell.painted(AnsiColor::Blue),
        _ => cell,
    }
}

fn count(count: Option<u32>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

/// An end of a connection in the form that the filters `local=` and `remote=` accept.
pub(super) fn end(kind: Kind, end: &Endpoint, device: Option<&str>) -> String {
    let device = device.map_or_else(String::new, |device| {
        format!("%{}", Escaped(device.as_bytes()))
    });
    let address = match end.address {
        IpAddr::V4(address) => format!("{address}{device}"),
        IpAddr::V6(address) => format!("[{address}{device}]"),
    };
    match end.port {
        _ if kind == Kind::Raw => address,
        0 => format!("{address}:*"),
        port => format!("{address}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clap::ColorChoice;
    use sockdiag::Family;
    use sockdiag::Ip;
    use sockdiag::Netlink;
    use sockdiag::Packet;
    use sockdiag::Queues;
    use sockdiag::SocketType;
    use sockdiag::Unix;
    use sockdiag::UnixName;

    use super::*;
    use crate::output::Format;
    use crate::output::Output;
    use crate::table::Table;

    fn context() -> Context {
        Context {
            owners: None,
            protocol: Some(23),
            interfaces: HashMap::new(),
        }
    }

    fn ip(kind: Kind, local: (&str, u16), remote: (&str, u16), ifindex: u32) -> Socket {
        let end = |(address, port): (&str, _)| Endpoint {
            address: address.parse().unwrap(),
            port,
        };
        let details = Details::Ip(Ip {
            family: Family::Ipv6,
            protocol: 58,
            local: end(local),
            remote: end(remote),
            ifindex,
            timer: None,
            mark: None,
            v6only: None,
        });
        socket(kind, details)
    }

    fn unix(name: Option<&[u8]>, is_abstract: bool) -> Socket {
        let details = Details::Unix(Unix {
            r#type: SocketType::Dgram,
            name: name.map(|name| UnixName(name.to_vec())),
            r#abstract: is_abstract,
            peer: Some(12),
        });
        socket(Kind::Unix, details)
    }

    fn netlink(protocol: u8, portid: u32, kernel: bool) -> Socket {
        let details = Details::Netlink(Netlink {
            r#type: SocketType::Raw,
            protocol,
            portid,
            kernel,
            groups: vec![3],
            remote_portid: 0,
        });
        socket(Kind::Netlink, details)
    }

    fn packet() -> Socket {
        let details = Details::Packet(Packet {
            r#type: SocketType::Raw,
            protocol: 0x806,
            ifindex: 1,
        });
        socket(Kind::Packet, details)
    }

    fn socket(kind: Kind, details: Details) -> Socket {
        Socket {
            kind,
            state: State::LISTEN,
            inode: 7,
            cookie: Some(5),
            uid: Some(0),
            queues: Queues::default(),
            details,
        }
    }

    #[test]
    fn lines_have_the_ends_as_filters_take_them() {
        let output = Output::new(Format::Plain, ColorChoice::Never);
        for (socket, line) in [
            (
                ip(Kind::Tcp, ("::1", 80), ("::", 0), 0),
                "tcp listen - - [::1]:80 [::]:* 7\n",
            ),
            (
                ip(Kind::Udp, ("fe80::1", 53), ("fe80::2", 9), 1),
                "udp listen - - [fe80::1%lo]:53 [fe80::2]:9 7\n",
            ),
            (
                ip(Kind::Udp, ("0.0.0.0", 68), ("0.0.0.0", 0), 1),
                "udp listen - - 0.0.0.0%lo:68 0.0.0.0:* 7\n",
            ),
            (
                ip(Kind::Raw, ("::", 0), ("::1", 0), 0),
                "raw/58 listen - - [::] [::1] 7\n",
            ),
            (unix(None, false), "unix/dgram listen - - * 12 7\n"),
            (
                unix(Some(b"a\0"), true),
                "unix/dgram listen - - @a\\x00 12 7\n",
            ),
            (
                unix(Some(b"@a"), false),
                "unix/dgram listen - - \\x40a 12 7\n",
            ),
            (netlink(0, 0, true), "netlink/route listen - - kernel * 7\n"),
            (
                netlink(23, 0, true),
                "netlink/23 listen - - kernel:rust_nldemo * 7\n",
            ),
            (netlink(23, 9, false), "netlink/23 listen - - 9 * 7\n"),
            (packet(), "packet/raw listen - - 0x0806:lo * 7\n"),
        ] {
            let mut table = Table::default();
            table.row(context().cells(&socket));
            let text = table.render(&output);
            let words: Vec<_> = text.split_ascii_whitespace().collect();
            assert_eq!(words.join(" ") + "\n", line);
        }
    }

    #[test]
    fn keys_stay_as_they_are_and_are_in_the_help() {
        let help: Vec<_> = super::super::list::JSON
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .collect();
        for (socket, expected) in [
            (
                ip(Kind::Tcp, ("::1", 80), ("::", 0), 1),
                &[
                    "family", "protocol", "local", "remote", "ifindex", "timer", "mark", "v6only",
                ][..],
            ),
            (unix(None, false), &["type", "name", "abstract", "peer"]),
            (
                netlink(23, 0, true),
                &[
                    "type",
                    "protocol",
                    "portid",
                    "kernel",
                    "groups",
                    "remote_portid",
                ],
            ),
            (packet(), &["type", "protocol", "ifindex"]),
        ] {
            let json = serde_json::to_value(context().row(&socket)).unwrap();
            let keys: HashSet<_> = json
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            let common = [
                "kind",
                "state",
                "inode",
                "cookie",
                "uid",
                "receive_queue",
                "send_queue",
                "interface",
                "module",
                "processes",
            ];
            assert_eq!(keys, common.iter().chain(expected).copied().collect());
            for key in keys {
                assert!(help.contains(&key), "{key}");
            }
        }
    }
}
