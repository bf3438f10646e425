// SPDX-License-Identifier: MIT OR Apache-2.0

//! Unix sockets: requests and answers of `unix_diag`.

use knetlink::Malformed;
use knetlink::attr::Attributes;

use crate::kind::Kind;
use crate::socket::Details;
use crate::socket::Queues;
use crate::socket::Socket;
use crate::socket::SocketType;
use crate::socket::Unix;
use crate::socket::UnixName;
use crate::state::State;
use crate::wire::AF_UNIX;
use crate::wire::Fields;
use crate::wire::NO_COOKIE;
use crate::wire::append_cookie;

const SHOW_NAME: u32 = 0x01;
const SHOW_PEER: u32 = 0x04;
const SHOW_RQLEN: u32 = 0x10;
const SHOW_UID: u32 = 0x40;

const A_NAME: u16 = 0;
const A_PEER: u16 = 2;
const A_RQLEN: u16 = 4;
const A_UID: u16 = 7;

/// The payload of a request (`unix_diag_req`).
pub(crate) fn dump(states: u32) -> Vec<u8> {
    let mut payload = vec![AF_UNIX, 0, 0, 0];
    let show = SHOW_NAME | SHOW_PEER | SHOW_RQLEN | SHOW_UID;
    for field in [states, 0, show] {
        payload.extend(field.to_ne_bytes());
    }
    append_cookie(&mut payload, NO_COOKIE);
    payload
}

/// Decodes an answer (`unix_diag_msg`).
pub(crate) fn parse(payload: &[u8]) -> Result<Socket, Malformed> {
    let mut fields = Fields(payload);
    let [_family, kind, state, _pad] = fields.bytes()?;
    let inode = fields.u32()?;
    let cookie = fields.cookie()?;
    let mut unix = Unix {
        r#type: SocketType::of(kind),
        name: None,
        r#abstract: false,
        peer: None,
    };
    let mut queues = Queues::default();
    let mut uid = None;
    for attribute in Attributes::new(fields.0) {
        let attribute = attribute?;
        match attribute.kind {
            A_NAME => (unix.name, unix.r#abstract) = name(attribute.payload),
            A_PEER => unix.peer = Some(attribute.host32()?),
            A_RQLEN => {
                let mut lengths = Fields(attribute.payload);
                queues.receive_queue = Some(lengths.u32()?);
                queues.send_queue = Some(lengths.u32()?);
            }
            A_UID => uid = Some(attribute.host32()?),
            _ => {}
        }
    }
    Ok(Socket {
        kind: Kind::Unix,
        state: State(state),
        inode,
        cookie: Some(cookie),
        uid,
        queues,
        details: Details::Unix(unix),
    })
}

/// The name in `sun_path`, and whether the name is abstract. An abstract name begins with a NUL,
/// and all bytes after this NUL belong to the name. Other names end with a NUL.
fn name(path: &[u8]) -> (Option<UnixName>, bool) {
    let (name, is_abstract) = match path {
        [] => return (None, false),
        [0, name @ ..] => (name, true),
        [name @ .., 0] | name => (name, false),
    };
    (Some(UnixName(name.to_vec())), is_abstract)
}

#[cfg(test)]
pub(crate) mod tests {
    use knetlink::attr;
    use proptest::prelude::*;

    use super::*;

    /// An answer for a listening socket.
    pub(crate) fn answer(path: &[u8]) -> Vec<u8> {
        let mut payload = vec![AF_UNIX, 1, 10, 0];
        for number in [4711_u32, 5, 0] {
            payload.extend(number.to_ne_bytes());
        }
        attr::append_slice(&mut payload, A_NAME, path);
        attr::append(&mut payload, A_RQLEN, [3, 0, 0, 0, 0, 16, 0, 0]);
        attr::append(&mut payload, 6, [0]);
        attr::append(&mut payload, A_UID, 1000_u32.to_ne_bytes());
        payload
    }

    #[test]
    fn answer_is_read() {
        for (path, expected, is_abstract) in [
            (&b"/run/x\0"[..], &b"/run/x"[..], false),
            (b"unterminated", b"unterminated", false),
            (b"\0a\0b\xff\0", b"a\0b\xff\0", true),
            (b"\0", b"", true),
        ] {
            let socket = parse(&answer(path)).unwrap();
            assert_eq!(
                (socket.inode, socket.cookie, socket.uid),
                (4711, Some(5), Some(1000))
            );
            assert_eq!(socket.state, State::LISTEN);
            assert_eq!(socket.queues.send_queue, Some(4096));
            let unix = Unix {
                r#type: SocketType::Stream,
                name: Some(UnixName(expected.to_vec())),
                r#abstract: is_abstract,
                peer: None,
            };
            assert_eq!(socket.details, Details::Unix(unix));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }
    }
}
