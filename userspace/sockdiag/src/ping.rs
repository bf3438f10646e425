// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ping sockets, from `/proc/net/icmp` and `/proc/net/icmp6`. `sock_diag` does not list them.

use std::net::IpAddr;

use knetlink::Result;
use linux_names::Family;
use linux_names::constant::octet;

use crate::kind::Kind;
use crate::socket::Details;
use crate::socket::Endpoint;
use crate::socket::Ip;
use crate::socket::Queues;
use crate::socket::Socket;
use crate::state::State;
use crate::table;

/// The ping sockets of the calling thread's network namespace.
pub(crate) fn sockets(family: Family) -> Result<Vec<Socket>> {
    let name = match family {
        Family::Ipv4 => "icmp",
        Family::Ipv6 => "icmp6",
    };
    table::sockets(name, |line| parse(family, line))
}

/// Reads a line of the table. Its first columns: slot, local end, remote end, state, queues
/// (send:receive), timer, retransmits, uid, timeout, inode.
fn parse(family: Family, line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace();
    fields.next()?.strip_suffix(':')?;
    let (local, remote) = (
        endpoint(family, fields.next()?)?,
        endpoint(family, fields.next()?)?,
    );
    let state = State(u8::from_str_radix(fields.next()?, 16).ok()?);
    let (send, receive) = fields.next()?.split_once(':')?;
    let uid = fields.nth(2)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(Socket {
        kind: Kind::Icmp,
        state,
        inode,
        cookie: None,
        uid: Some(uid),
        queues: Queues {
            receive_queue: Some(u32::from_str_radix(receive, 16).ok()?),
            send_queue: Some(u32::from_str_radix(send, 16).ok()?),
        },
        details: Details::Ip(Ip {
            family,
            protocol: match family {
                Family::Ipv4 => Kind::Icmp.ip_protocol(),
                Family::Ipv6 => octet(libc::IPPROTO_ICMPV6),
            },
            local,
            remote,
            ifindex: 0,
            timer: None,
            mark: None,
            v6only: None,
        }),
    })
}

/// Reads `ADDRESS:PORT`. The address is one or four words in host byte order.
fn endpoint(family: Family, text: &str) -> Option<Endpoint> {
    let (words, port) = text.split_once(':')?;
    if !words.is_ascii() {
        return None;
    }
    let mut octets = Vec::new();
    for word in words.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        octets.extend(word.to_ne_bytes());
    }
    let address = match family {
        Family::Ipv4 => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
        Family::Ipv6 => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
    };
    Some(Endpoint {
        address,
        port: u16::from_str_radix(port, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tables_are_read() {
        let line = "  12: 0100007F:0005 00000000:0000 07 00000000:00000300 00:00000000 00000000  \
                    1000        0 4711 2 0000000000000000 0";
        let socket = parse(Family::Ipv4, line).unwrap();
        assert_eq!(
            (socket.inode, socket.uid, socket.state),
            (4711, Some(1000), State::CLOSE)
        );
        assert_eq!(socket.queues.receive_queue, Some(0x300));
        let local = &socket.ip().unwrap().local;
        assert_eq!(
            (local.address.to_string().as_str(), local.port),
            ("127.0.0.1", 5)
        );

        let line = "   0: 00000000000000000000000001000000:0007 00000000000000000000000000000000:\
                    0000 01 00000000:00000000 00:00000000 00000000     0        0 99 2 0 0";
        let local = parse(Family::Ipv6, line).unwrap().ip().unwrap().local;
        assert_eq!((local.address.to_string().as_str(), local.port), ("::1", 7));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "( *[0-9A-F\u{e9}]{1,9}:?){0,14}") {
            let _ = parse(Family::Ipv4, &text);
            let _ = parse(Family::Ipv6, &text);
        }
    }
}
