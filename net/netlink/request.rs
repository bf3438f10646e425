// SPDX-License-Identifier: GPL-2.0

//! What a handler sees of a message.

use kernel::{
    bindings,
    prelude::*, //
};

use super::{
    incoming::Buffer,
    message::{
        Header,
        Message,
        MessageType, //
    },
    number::Number,
    outgoing::Outgoing,
    refusal::Refusal,
    reply::Reply, //
};

use crate::net::namespace::Net;

/// What a process may be allowed to do (`capabilities(7)`), as far as it concerns networking.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Configure the network (`CAP_NET_ADMIN`).
    NetAdmin = bindings::CAP_NET_ADMIN as u8,
}

impl Capability {
    /// What is said to those who lack it.
    pub(super) const fn refusal(self) -> &'static CStr {
        match self {
            Self::NetAdmin => c"CAP_NET_ADMIN is needed in the owner of the network namespace",
        }
    }
}

/// A message from a client, borrowed for the duration of the call that handles it.
pub struct Request<'a, N: Number = MessageType> {
    pub(super) buffer: &'a Buffer,
    pub(super) message: &'a Message<'a>,
    pub(super) envelope: N::Envelope,
}

impl<'a, N: Number> Request<'a, N> {
    /// The header, as the client wrote it.
    pub fn header(&self) -> &'a Header {
        &self.message.header
    }

    /// What follows the header, of any length and alignment. In a family of generic netlink, what
    /// follows the family's.
    pub fn payload(&self) -> &'a [u8] {
        self.message.payload
    }

    /// The address of the client's socket in its network namespace, as the kernel knows it.
    pub fn portid(&self) -> u32 {
        // SAFETY: The buffer's `skb` is valid, and its control block holds netlink's parameters
        // (`NETLINK_CB()`).
        unsafe {
            let cb = &raw const (*self.buffer.as_raw()).cb;
            (*cb.cast::<bindings::netlink_skb_parms>()).portid
        }
    }

    /// The network namespace that the message was sent in.
    pub fn net(&self) -> &'a Net {
        self.buffer.net()
    }

    /// Whether the client has `capability` in the user namespace that owns [its network
    /// namespace](Self::net) (`netlink_net_capable()`).
    ///
    /// As everywhere in netlink, a client that names the kernel as the message's destination is
    /// judged by what it has now, and one that sends to where its socket is connected also by what
    /// the one had that opened the socket.
    pub fn net_capable(&self, capability: Capability) -> bool {
        // SAFETY: `skb` is valid and describes its sender.
        unsafe { bindings::netlink_net_capable(self.buffer.as_raw(), capability as c_int) }
    }

    /// Refuses the request if its client lacks what it needs.
    #[inline(always)]
    pub(super) fn permit(&self, needs: Option<Capability>) -> Result<(), Refusal> {
        match needs {
            Some(capability) if !self.net_capable(capability) => {
                Err(Refusal::new(EPERM, capability.refusal()))
            }
            _ => Ok(()),
        }
    }

    /// Starts a reply of that number: to the client, with the request's sequence number.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` or `ENOBUFS` if no buffer can hold `payload`. Where memory is too fragmented for
    /// anything but single pages, that begins at 71 KiB.
    pub fn reply(&self, number: N, payload: &[u8]) -> Result<Reply<'a>> {
        Reply::new(
            self.buffer,
            self.portid(),
            number,
            self.envelope,
            self.message.header.seq,
            payload,
        )
    }
}

impl Request<'_> {
    /// A request of the same type and number from the same client, without a payload, in a buffer
    /// of its own: nothing of it belongs to a socket, so it may be kept.
    pub(super) fn detached(&self) -> Result<Outgoing> {
        let header = self.header();
        let copy = Outgoing::new(self.portid(), header.msg_type, header.seq, [], &[])?;
        // SAFETY: Both buffers are valid, and the copy is ours. What describes the sender is plain
        // data; the sender's socket is there for as long as the request is handled, and who keeps
        // the copy must not look at it later.
        unsafe { (*copy.as_raw()).cb = (*self.buffer.as_raw()).cb };
        Ok(copy)
    }
}
