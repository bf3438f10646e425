// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sockets of IP: requests and answers of `inet_diag`.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use knetlink::Malformed;
use knetlink::attr;
use knetlink::attr::Attributes;
use linux_names::Family;

use crate::kind::Kind;
use crate::socket::Details;
use crate::socket::Endpoint;
use crate::socket::Ip;
use crate::socket::Queues;
use crate::socket::Socket;
use crate::socket::Timer;
use crate::socket::TimerKind;
use crate::state::State;
use crate::wire::AF_INET;
use crate::wire::AF_INET6;
use crate::wire::Fields;
use crate::wire::append_cookie;

const REQ_BYTECODE: u16 = 1;

const A_PROTOCOL: u16 = 10;
const A_SKV6ONLY: u16 = 11;
const A_MARK: u16 = 15;
const A_ULP_INFO: u16 = 19;
/// The attribute in [`A_ULP_INFO`] with the name of the protocol on top of TCP.
const A_ULP_NAME: u16 = 1;

/// Length of the structure at the start of an answer (`inet_diag_msg`). Attributes follow it.
const MSG_LEN: usize = 72;

/// The additional attributes that an answer should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    /// No additional attribute.
    None,
    /// TCP's counters, and the protocol on top of TCP (`INET_DIAG_INFO`).
    Info,
}

/// The kernel's number of a family.
fn number(family: Family) -> u8 {
    match family {
        Family::Ipv4 => AF_INET,
        Family::Ipv6 => AF_INET6,
    }
}

/// The unspecified address.
fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The socket that a request is about (`inet_diag_sockid`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketId {
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    pub(crate) ifindex: u32,
    pub(crate) cookie: u64,
}

/// The payload of a request (`inet_diag_req_v2`).
pub(crate) fn request(
    family: Family,
    kind: Kind,
    raw_protocol: u8,
    extension: Extension,
    states: u32,
    id: &SocketId,
) -> Vec<u8> {
    // The field `idiag_ext` has a bit for each attribute: bit N - 1 for attribute number N.
    let extension = match extension {
        Extension::None => 0,
        Extension::Info => 1 << 1,
    };
    let mut payload = vec![number(family), kind.ip_protocol(), extension, raw_protocol];
    payload.extend(states.to_ne_bytes());
    payload.extend(id.source.port.to_be_bytes());
    payload.extend(id.destination.port.to_be_bytes());
    for address in [id.source.address, id.destination.address] {
        let mut octets = [0; 16];
        match address {
            IpAddr::V4(address) => octets[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => octets = address.octets(),
        }
        payload.extend(octets);
    }
    payload.extend(id.ifindex.to_ne_bytes());
    append_cookie(&mut payload, id.cookie);
    payload
}

/// The payload of a request for all sockets that the program `bytecode` accepts.
pub(crate) fn dump(family: Family, kind: Kind, states: u32, bytecode: &[u8]) -> Vec<u8> {
    let any = Endpoint {
        address: unspecified(family),
        port: 0,
    };
    let id = SocketId {
        source: any,
        destination: any,
        ifindex: 0,
        cookie: 0,
    };
    let mut payload = request(family, kind, 0, Extension::None, states, &id);
    if !bytecode.is_empty() {
        attr::append_slice(&mut payload, REQ_BYTECODE, bytecode);
    }
    payload
}

/// Decodes an answer (`inet_diag_msg`).
pub(crate) fn parse(kind: Kind, payload: &[u8]) -> Result<Socket, Malformed> {
    let mut fields = Fields(payload);
    let family = match fields.u8()? {
        AF_INET => Family::Ipv4,
        AF_INET6 => Family::Ipv6,
        _ => return Err(Malformed("socket of a family that was not asked for")),
    };
    let state = State(fields.u8()?);
    let (timer, retransmits) = (TimerKind::of(fields.u8()?), fields.u8()?);
    let ports = (fields.be16()?, fields.be16()?);
    // For a raw socket, the kernel writes the protocol into the field of the local port.
    let (local_port, remote_port) = if kind == Kind::Raw { (0, 0) } else { ports };
    let local = address(family, fields.bytes()?);
    let remote = address(family, fields.bytes()?);
    let ifindex = fields.u32()?;
    let cookie = fields.cookie()?;
    let milliseconds = fields.u32()?;
    let receive_queue = fields.u32()?;
    let send_queue = fields.u32()?;
    let uid = fields.u32()?;
    let inode = fields.u32()?;

    let mut ip = Ip {
        family,
        protocol: kind.ip_protocol(),
        local: Endpoint {
            address: local,
            port: local_port,
        },
        remote: Endpoint {
            address: remote,
            port: remote_port,
        },
        ifindex,
        timer: timer.map(|kind| Timer {
            kind,
            milliseconds,
            retransmits,
        }),
        mark: None,
        v6only: None,
    };
    for attribute in Attributes::new(fields.0) {
        let attribute = attribute?;
        match attribute.kind {
            A_PROTOCOL => [ip.protocol] = *attribute.prefix()?,
            A_MARK => ip.mark = Some(attribute.host32()?),
            A_SKV6ONLY => ip.v6only = Some(*attribute.prefix()? != [0]),
            _ => {}
        }
    }
    // For a connection in TIME_WAIT, for some in FIN_WAIT_2, and for half-open connections, the
    // kernel keeps only a part of a socket. No user owns such a part, and the kernel reports user 0
    // for it.
    let whole = timer != Some(TimerKind::TimeWait) && !(inode == 0 && state == State::SYN_RECV);
    Ok(Socket {
        kind,
        state,
        inode,
        cookie: Some(cookie),
        uid: whole.then_some(uid),
        queues: Queues {
            receive_queue: Some(receive_queue),
            send_queue: Some(send_queue),
        },
        details: Details::Ip(ip),
    })
}

/// Whether an answer with [`Extension::Info`] is about a subflow of MPTCP.
pub(crate) fn is_mptcp_subflow(payload: &[u8]) -> Result<bool, Malformed> {
    for attribute in Attributes::new(payload.get(MSG_LEN..).unwrap_or_default()) {
        let attribute = attribute?;
        if attribute.kind == A_ULP_INFO {
            for inner in attribute.nested() {
                let inner = inner?;
                if inner.kind == A_ULP_NAME {
                    return Ok(inner.text() == "mptcp");
                }
            }
        }
    }
    Ok(false)
}

impl TimerKind {
    fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => return None,
            1 => Self::Retransmit,
            2 => Self::Keepalive,
            3 => Self::TimeWait,
            4 => Self::Probe,
            5 => Self::DelayedAck,
            _ => Self::Other,
        })
    }
}

fn address(family: Family, octets: [u8; 16]) -> IpAddr {
    match family {
        Family::Ipv4 => {
            let [a, b, c, d, ..] = octets;
            Ipv4Addr::new(a, b, c, d).into()
        }
        Family::Ipv6 => Ipv6Addr::from(octets).into(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer about an IPv6 socket.
    pub(crate) fn answer() -> Vec<u8> {
        let mut payload = vec![AF_INET6, 1, 2, 3];
        payload.extend([0, 80, 0x9c, 0x40]);
        payload.extend("fe80::1".parse::<Ipv6Addr>().unwrap().octets());
        payload.extend("fe80::2".parse::<Ipv6Addr>().unwrap().octets());
        for number in [7_u32, 5, 1, 1500, 11, 22, 1000, 4711] {
            payload.extend(number.to_ne_bytes());
        }
        attr::append(&mut payload, 8, [3]);
        attr::append(&mut payload, A_SKV6ONLY, [1]);
        attr::append(&mut payload, A_MARK, 9_u32.to_ne_bytes());
        payload
    }

    #[test]
    fn answer_is_read() {
        let socket = parse(Kind::Tcp, &answer()).unwrap();
        let endpoint = |address: &str, port| Endpoint {
            address: address.parse().unwrap(),
            port,
        };
        let expected = Socket {
            kind: Kind::Tcp,
            state: State::ESTABLISHED,
            inode: 4711,
            cookie: Some((1 << 32) | 5),
            uid: Some(1000),
            queues: Queues {
                receive_queue: Some(11),
                send_queue: Some(22),
            },
            details: Details::Ip(Ip {
                family: Family::Ipv6,
                protocol: 6,
                local: endpoint("fe80::1", 80),
                remote: endpoint("fe80::2", 40000),
                ifindex: 7,
                timer: Some(Timer {
                    kind: TimerKind::Keepalive,
                    milliseconds: 1500,
                    retransmits: 3,
                }),
                mark: Some(9),
                v6only: Some(true),
            }),
        };
        assert_eq!(socket, expected);
    }

    #[test]
    fn request_has_the_layout_of_the_kernel() {
        let id = SocketId {
            source: Endpoint {
                address: "10.0.0.1".parse().unwrap(),
                port: 80,
            },
            destination: Endpoint {
                address: "10.0.0.2".parse().unwrap(),
                port: 40000,
            },
            ifindex: 3,
            cookie: 0x0102_0304_0506_0708,
        };
        let payload = request(Family::Ipv4, Kind::Raw, 89, Extension::Info, 0x10, &id);
        assert_eq!(payload.len(), 56);
        assert_eq!(payload[..8], [2, 255, 2, 89, 0x10, 0, 0, 0]);
        assert_eq!(payload[8..12], [0, 80, 0x9c, 0x40]);
        assert_eq!(
            payload[12..28],
            [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(payload[28..32], [10, 0, 0, 2]);
        assert_eq!(payload[44..48], 3_u32.to_ne_bytes());
        assert_eq!(payload[48..52], 0x0506_0708_u32.to_ne_bytes());
        assert_eq!(payload[52..], 0x0102_0304_u32.to_ne_bytes());
    }

    #[test]
    fn subflow_of_mptcp_is_known_by_its_name() {
        for (name, expected) in [(&b"mptcp\0"[..], true), (b"tls\0", false), (b"", false)] {
            let mut answer = answer();
            attr::append_nest(&mut answer, A_ULP_INFO, |nest| {
                attr::append_slice(nest, A_ULP_NAME, name);
            });
            assert_eq!(is_mptcp_subflow(&answer), Ok(expected));
        }
        assert_eq!(is_mptcp_subflow(&answer()), Ok(false));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..150)) {
            let _ = parse(Kind::Tcp, &bytes);
            let _ = is_mptcp_subflow(&bytes);
            let mut bytes = bytes;
            if let Some(family) = bytes.first_mut() {
                *family = AF_INET;
            }
            let _ = parse(Kind::Udp, &bytes);
        }
    }
}
