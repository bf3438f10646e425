// SPDX-License-Identifier: GPL-2.0

//! The echo service.

use kernel::prelude::*;

use super::uapi::{
    NLDEMO_MSG_ECHO,
    NLDEMO_MSG_HELLO_REPLY, //
};

use crate::{
    net::{
        netlink::Request,
        pernet::Instance, //
    },
    NetNs, //
};

/// Type and flags of the message that netlink "hello kernel" clients send.
const HELLO: (u16, u16) = (0, 0);

/// Answers an echo request.
///
/// Context: process, may sleep.
pub(crate) fn echo(_instance: &Instance<'_, NetNs>, request: &Request<'_>) -> Result {
    request.send_back(NLDEMO_MSG_ECHO as u16)
}

/// Answers "hello kernel" clients, whose messages carry no flag that would ask for an answer; true if
/// it was one.
///
/// Context: process, may sleep.
pub(crate) fn hello(message: &Request<'_>) -> bool {
    let header = message.header();
    if (header.msg_type, header.flags) != HELLO {
        return false;
    }
    // Such a client has no way to learn of an error but to miss the answer.
    let _ = message.send_back(NLDEMO_MSG_HELLO_REPLY as u16);
    true
}
