// SPDX-License-Identifier: GPL-2.0

//! The echo service.

use kernel::prelude::*;

use super::super::{
    messages::{
        ECHO,
        HELLO_REPLY, //
    },
    netns::NetNs, //
};

use crate::net::{
    netlink::{
        Handled,
        MessageType,
        Refusal,
        Request, //
    },
    pernet::Instance, //
};

/// The type and the flags of the message that clients of the well-known netlink example "hello
/// kernel" send.
const HELLO: (MessageType, u16) = (MessageType::new(0), 0);

/// Answers an echo request.
///
/// Context: process, may sleep.
pub(crate) fn echo(
    _instance: &Instance<'_, NetNs>,
    _request: &Request<'_>,
) -> Result<Handled, Refusal> {
    Ok(Handled::SendBack(ECHO))
}

/// Answers "hello kernel" clients. Their messages carry no flags, so they are not requests, but the
/// clients wait for an answer.
///
/// Context: process, may sleep.
pub(crate) fn hello(message: &Request<'_>) -> Option<Handled> {
    let header = message.header();
    ((header.msg_type, header.flags) == HELLO).then_some(Handled::SendBack(HELLO_REPLY))
}
