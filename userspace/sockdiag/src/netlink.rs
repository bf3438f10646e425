// SPDX-License-Identifier: MIT OR Apache-2.0

//! Netlink sockets: requests and answers of `netlink_diag`.

use knetlink::Malformed;
use knetlink::Result;
use knetlink::attr::Attributes;

use crate::kind::Kind;
use crate::socket::Details;
use crate::socket::Netlink;
use crate::socket::Queues;
use crate::socket::Socket;
use crate::socket::SocketType;
use crate::state::State;
use crate::table;
use crate::wire::AF_NETLINK;
use crate::wire::Fields;
use crate::wire::NO_COOKIE;
use crate::wire::append_cookie;

/// The number that means all netlink protocols (`NDIAG_PROTO_ALL`).
const ALL_PROTOCOLS: u8 = u8::MAX;

const SHOW_MEMINFO: u32 = 1;
const SHOW_GROUPS: u32 = 2;

const A_MEMINFO: u16 = 0;
const A_GROUPS: u16 = 1;

/// The payload of a request (`netlink_diag_req`). The request names no states, because the kernel
/// ignores states for netlink sockets.
pub(crate) fn dump() -> Vec<u8> {
    let mut payload = vec![AF_NETLINK, ALL_PROTOCOLS, 0, 0];
    for field in [0, SHOW_MEMINFO | SHOW_GROUPS] {
        payload.extend(u32::to_ne_bytes(field));
    }
    append_cookie(&mut payload, NO_COOKIE);
    payload
}

/// The sockets that have a portid, and the kernel's own sockets, from `/proc/net/netlink`. This
/// table is needed because the kernel's dump misses a socket at the end of each part: if a socket
/// does not fit into a part, the kernel begins the next part after this socket.
pub(crate) fn addressed() -> Result<Vec<Socket>> {
    table::sockets("netlink", parse_line)
}

/// Reads a line of the table. Its columns: pointer, protocol, portid, groups (the first 32),
/// receive queue, send queue, dump, locks, drops, inode.
fn parse_line(line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let protocol = fields.next()?.parse().ok()?;
    let portid = fields.next()?.parse().ok()?;
    let mask = u32::from_str_radix(fields.next()?, 16).ok()?;
    let receive_queue = fields.next()?.parse().ok()?;
    let send_queue = fields.next()?.parse().ok()?;
    let inode = fields.nth(3)?.parse().ok()?;
    Some(Socket {
        kind: Kind::Netlink,
        // The table does not have the state. `CLOSE` is probably right, because few netlink sockets
        // are connected.
        state: State::CLOSE,
        inode,
        cookie: None,
        uid: None,
        queues: Queues {
            receive_queue: Some(receive_queue),
            send_queue: Some(send_queue),
        },
        details: Details::Netlink(Netlink {
            r#type: SocketType::Other,
            protocol,
            portid,
            kernel: portid == 0,
            groups: groups(&u64::from(mask).to_ne_bytes()),
            remote_portid: 0,
        }),
    })
}

/// Decodes an answer (`netlink_diag_msg`).
pub(crate) fn parse(payload: &[u8]) -> Result<Socket, Malformed> {
    let mut fields = Fields(payload);
    let [_family, kind, protocol, state] = fields.bytes()?;
    let portid = fields.u32()?;
    let remote_portid = fields.u32()?;
    let _remote_group = fields.u32()?;
    let inode = fields.u32()?;
    let cookie = fields.cookie()?;
    let mut queues = Queues::default();
    let mut members = None;
    for attribute in Attributes::new(fields.0) {
        let attribute = attribute?;
        match attribute.kind {
            A_MEMINFO => {
                // The numbers are: received bytes, room for received bytes, sent bytes.
                let mut meminfo = Fields(attribute.payload);
                queues.receive_queue = Some(meminfo.u32()?);
                meminfo.u32()?;
                queues.send_queue = Some(meminfo.u32()?);
            }
            A_GROUPS => members = Some(groups(attribute.payload)),
            _ => {}
        }
    }
    // If a program's socket has no portid, the kernel lists the socket only if the socket is a
    // member of groups. The kernel's own sockets have portid 0, and are members of no group.
    let kernel = portid == 0 && members.is_none();
    // The kernel's netlink code has two states of its own (`NETLINK_UNCONNECTED`,
    // `NETLINK_CONNECTED`). A new socket is in a third state. Only `NETLINK_CONNECTED` means that
    // the socket is connected.
    let state = match State(state) {
        State::ESTABLISHED => State::ESTABLISHED,
        _ => State::CLOSE,
    };
    Ok(Socket {
        kind: Kind::Netlink,
        state,
        inode,
        cookie: Some(cookie),
        uid: None,
        queues,
        details: Details::Netlink(Netlink {
            r#type: SocketType::of(kind),
            protocol,
            portid,
            kernel,
            groups: members.unwrap_or_default(),
            remote_portid,
        }),
    })
}

/// The numbers of the groups in a bit mask that consists of longs. The lowest bit is group 1.
fn groups(mask: &[u8]) -> Vec<u32> {
    let words = mask.chunks_exact(8).flat_map(|word| {
        let word = word.try_into().map_or(0, u64::from_ne_bytes);
        (0..64).map(move |bit| (word >> bit) & 1 == 1)
    });
    let numbered = (1..).zip(words);
    numbered
        .filter_map(|(group, member)| member.then_some(group))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use knetlink::attr;
    use proptest::prelude::*;

    use super::*;

    /// An answer for a socket of protocol 23.
    pub(crate) fn answer(portid: u32, groups: &[u8]) -> Vec<u8> {
        let mut payload = vec![AF_NETLINK, 3, 23, 7];
        for number in [portid, 0, 0, 4711, 5, 0] {
            payload.extend(number.to_ne_bytes());
        }
        let meminfo: Vec<_> = (1_u32..=9).flat_map(u32::to_ne_bytes).collect();
        attr::append_slice(&mut payload, A_MEMINFO, &meminfo);
        if !groups.is_empty() {
            attr::append_slice(&mut payload, A_GROUPS, groups);
        }
        payload
    }

    fn netlink(answer: &[u8]) -> Netlink {
        match parse(answer).unwrap().details {
            Details::Netlink(netlink) => netlink,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answer_is_read() {
        let socket = parse(&answer(0, &[])).unwrap();
        assert_eq!(
            (socket.inode, socket.cookie, socket.uid),
            (4711, Some(5), None)
        );
        assert_eq!(socket.state, State::CLOSE);
        let queues = Queues {
            receive_queue: Some(1),
            send_queue: Some(3),
        };
        assert_eq!(socket.queues, queues);
    }

    #[test]
    fn kernel_sockets_are_those_without_address_and_groups() {
        let groups = 0x8000_0000_0000_0005_u64.to_ne_bytes();
        assert!(netlink(&answer(0, &[])).kernel);
        assert!(!netlink(&answer(7, &[])).kernel);
        let member = netlink(&answer(0, &groups));
        assert!(!member.kernel);
        assert_eq!(member.groups, [1, 3, 64]);
    }

    #[test]
    fn lines_of_the_table_are_read() {
        let line = "00000000f3ac0a5d 23  4711       80000001 1        2        0     3        0        99      ";
        let socket = parse_line(line).unwrap();
        assert_eq!((socket.inode, socket.cookie), (99, None));
        let queues = Queues {
            receive_queue: Some(1),
            send_queue: Some(2),
        };
        assert_eq!(socket.queues, queues);
        let Details::Netlink(netlink) = socket.details else {
            panic!("{socket:?}");
        };
        assert_eq!(
            (netlink.protocol, netlink.portid, netlink.kernel),
            (23, 4711, false)
        );
        assert_eq!(netlink.groups, [1, 32]);
        assert_eq!(
            parse_line("sk  Eth Pid Groups Rmem Wmem Dump Locks Drops Inode"),
            None
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }
    }
}
