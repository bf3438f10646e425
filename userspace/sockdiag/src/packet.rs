// SPDX-License-Identifier: MIT OR Apache-2.0

//! Packet sockets: requests and answers of `packet_diag`.

use knetlink::Malformed;
use knetlink::attr::Attributes;

use crate::kind::Kind;
use crate::socket::Details;
use crate::socket::Packet;
use crate::socket::Queues;
use crate::socket::Socket;
use crate::socket::SocketType;
use crate::state::State;
use crate::wire::AF_PACKET;
use crate::wire::Fields;
use crate::wire::NO_COOKIE;
use crate::wire::append_cookie;

const SHOW_INFO: u32 = 0x01;
const SHOW_MEMINFO: u32 = 0x10;

const A_INFO: u16 = 0;
const A_UID: u16 = 5;
const A_MEMINFO: u16 = 6;

/// The payload of a request (`packet_diag_req`). The request names no states, because the kernel
/// ignores states for packet sockets.
pub(crate) fn dump() -> Vec<u8> {
    let mut payload = vec![AF_PACKET, 0, 0, 0];
    for field in [0, SHOW_INFO | SHOW_MEMINFO] {
        payload.extend(u32::to_ne_bytes(field));
    }
    append_cookie(&mut payload, NO_COOKIE);
    payload
}

/// Decodes an answer (`packet_diag_msg`).
pub(crate) fn parse(payload: &[u8]) -> Result<Socket, Malformed> {
    let mut fields = Fields(payload);
    let [_family, kind] = fields.bytes()?;
    let protocol = fields.u16()?;
    let inode = fields.u32()?;
    let cookie = fields.cookie()?;
    let mut packet = Packet {
        r#type: SocketType::of(kind),
        protocol,
        ifindex: 0,
    };
    let mut queues = Queues::default();
    let mut uid = None;
    for attribute in Attributes::new(fields.0) {
        let attribute = attribute?;
        match attribute.kind {
            A_INFO => packet.ifindex = attribute.host32()?,
            A_UID => uid = Some(attribute.host32()?),
            // The attribute begins with the number of received bytes.
            A_MEMINFO => queues.receive_queue = Some(attribute.host32()?),
            _ => {}
        }
    }
    Ok(Socket {
        kind: Kind::Packet,
        state: State::CLOSE,
        inode,
        cookie: Some(cookie),
        uid,
        queues,
        details: Details::Packet(packet),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use knetlink::attr;
    use proptest::prelude::*;

    use super::*;

    /// An answer for a socket that gets all packets of one device.
    pub(crate) fn answer() -> Vec<u8> {
        let mut payload = vec![AF_PACKET, 3];
        payload.extend(3_u16.to_ne_bytes());
        for number in [4711_u32, 5, 0] {
            payload.extend(number.to_ne_bytes());
        }
        let info: Vec<_> = (2_u32..8).flat_map(u32::to_ne_bytes).collect();
        attr::append_slice(&mut payload, A_INFO, &info);
        attr::append(&mut payload, A_UID, 1000_u32.to_ne_bytes());
        payload
    }

    #[test]
    fn answer_is_read() {
        let socket = parse(&answer()).unwrap();
        assert_eq!(
            (socket.inode, socket.cookie, socket.uid),
            (4711, Some(5), Some(1000))
        );
        let packet = Packet {
            r#type: SocketType::Raw,
            protocol: 3,
            ifindex: 2,
        };
        assert_eq!(socket.details, Details::Packet(packet));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }
    }
}
