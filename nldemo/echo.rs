// SPDX-License-Identifier: GPL-2.0

//! The echo service.

use kernel::prelude::*;

use super::uapi::{
    NLDEMO_MSG_ECHO,
    NLDEMO_MSG_HELLO_REPLY, //
};

use crate::{
    net::{
        netlink::{
            Handled,
            Refusal,
            Request, //
        },
        pernet::Instance, //
    },
    NetNs, //
};

/// Type and flags of the message that netlink "hello kernel" clients send.
const HELLO: (u16, u16) = (0, 0);

/// Answers an echo request.
///
/// Context: process, may sleep.
pub(crate) fn echo(
    _instance: &Instance<'_, NetNs>,
    _request: &Request<'_>,
) -> Result<Handled, Refusal> {
    Ok(Handled::SendBack(NLDEMO_MSG_ECHO as u16))
}

/// Answers "hello kernel" clients. Their messages carry no flag that would ask for an answer.
///
/// Context: process, may sleep.
pub(crate) fn hello(message: &Request<'_>) -> Option<Handled> {
    let header = message.header();
    ((header.msg_type, header.flags) == HELLO)
        .then_some(Handled::SendBack(NLDEMO_MSG_HELLO_REPLY as u16))
}
