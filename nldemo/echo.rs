// SPDX-License-Identifier: GPL-2.0

//! The echo service.

use kernel::prelude::*;

use super::uapi::{
    NLDEMO_MSG_ECHO,
    NLDEMO_MSG_HELLO_REPLY, //
};

use crate::net::netlink::{
    ExtAck,
    Request, //
};

const ECHO: u16 = NLDEMO_MSG_ECHO as u16;
const HELLO_REPLY: u16 = NLDEMO_MSG_HELLO_REPLY as u16;
/// Type and flags of the message that netlink "hello kernel" clients send.
const HELLO: (u16, u16) = (0, 0);

/// Answers a request.
///
/// Context: process, may sleep.
pub(crate) fn request(request: &Request<'_>, extack: &mut ExtAck) -> Result {
    match request.header().msg_type {
        ECHO => request.reply(ECHO, request.payload())?.send(),
        _ => {
            extack.set_message(c"Unknown message type");
            Err(EOPNOTSUPP)
        }
    }
}

/// Answers "hello kernel" clients; their messages carry no flag that would ask for an answer.
///
/// Context: process, may sleep.
pub(crate) fn hello(message: &Request<'_>) {
    let header = message.header();
    if (header.msg_type, header.flags) == HELLO {
        // Such a client has no way to learn of an error but to miss the answer.
        let _ = message
            .reply(HELLO_REPLY, message.payload())
            .and_then(|reply| reply.send());
    }
}
