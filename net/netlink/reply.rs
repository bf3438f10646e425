// SPDX-License-Identifier: GPL-2.0

//! Replies to requests.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    prelude::*, //
};

use super::{
    incoming::Buffer,
    number::Number,
    outgoing::{
        unicast,
        Outgoing, //
    }, //
};

/// A reply that is not sent yet. Dropping the value frees the reply without sending it.
///
/// # Invariants
///
/// `socket` is a netlink kernel socket that is valid for `'a`.
pub struct Reply<'a> {
    message: Outgoing,
    socket: NonNull<bindings::sock>,
    portid: u32,
    _borrow: PhantomData<&'a Buffer>,
}

impl<'a> Reply<'a> {
    /// Makes a message for the client that sent `request` from `portid`. `number` is the
    /// type or the command of the message.
    pub(super) fn new<N: Number>(
        request: &'a Buffer,
        portid: u32,
        number: N,
        envelope: N::Envelope,
        seq: u32,
        payload: &[u8],
    ) -> Result<Self> {
        // INVARIANT: The kernel socket that received the buffer `request` outlives the
        // buffer, and the buffer is borrowed for `'a`.
        Ok(Self {
            message: Outgoing::new(
                portid,
                number.msg_type(envelope),
                seq,
                number.head(envelope),
                payload,
            )?,
            socket: request.socket(),
            portid,
            _borrow: PhantomData,
        })
    }

    /// Sends the reply to the client, without waiting for room in its receive buffer.
    ///
    /// Context: process, may sleep to allocate memory, and never waits for the client.
    ///
    /// # Errors
    ///
    /// - `EAGAIN`: the client's receive buffer is full. The client's socket reports `ENOBUFS` to
    ///   the client.
    /// - `ECONNREFUSED`: the client's socket is closed.
    pub fn send(self) -> Result {
        // SAFETY: By the type invariants `socket` is a valid kernel socket, and the message is
        // ours.
        unsafe { unicast(self.socket, self.message.into_raw(), self.portid) }
    }
}
