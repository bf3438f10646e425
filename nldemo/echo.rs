// SPDX-License-Identifier: GPL-2.0

//! The echo service.

use kernel::prelude::*;

use crate::net::netlink::{
    ExtAck,
    Request, //
};

/// `NLDEMO_MSG_ECHO`: the payload comes back under the same type.
const ECHO: u16 = 16;
/// Type and flags of the message that netlink "hello kernel" clients send, and the type that they
/// expect its payload back with (`NLDEMO_MSG_HELLO_REPLY`).
const HELLO: (u16, u16) = (0, 0);
const HELLO_REPLY: u16 = 23;

/// Answers a request.
///
/// Context: process, may sleep.
pub(crate) fn request(request: &Request<'_>, extack: &mut ExtAck) -> Result {
    match request.header().kind {
        ECHO => request.reply(ECHO, request.payload())?.send(),
        _ => {
            extack.set_message(c"unknown message type");
            Err(EOPNOTSUPP)
        }
    }
}

/// Answers "hello kernel" clients; their messages carry no flag that would ask for an answer.
///
/// Context: process, may sleep.
pub(crate) fn hello(message: &Request<'_>) {
    let header = message.header();
    if (header.kind, header.flags) == HELLO {
        // Such a client has no way to learn of an error but to miss the answer.
        let _ = message
            .reply(HELLO_REPLY, message.payload())
            .and_then(|reply| reply.send());
    }
}
