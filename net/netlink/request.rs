// SPDX-License-Identifier: GPL-2.0

//! Messages, as handlers see them.

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

/// The capabilities of networking (`capabilities(7)`).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Configure the network (`CAP_NET_ADMIN`).
    NetAdmin = bindings::CAP_NET_ADMIN as u8,
}

impl Capability {
    /// The text of the refusal for a client that lacks the capability.
    pub(super) const fn refusal(self) -> &'static CStr {
        match self {
            Self::NetAdmin => c"CAP_NET_ADMIN is needed in the user namespace that owns the netns",
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

    /// The bytes after the header, of any length and alignment. In a family of generic netlink,
    /// these are the bytes after the family's header.
    pub fn payload(&self) -> &'a [u8] {
        self.message.payload
    }

    /// The portid of the client's socket, as the kernel knows it.
    pub fn portid(&self) -> u32 {
        // SAFETY: The buffer's `skb` is valid, and its control block holds netlink's parameters
        // (`NETLINK_CB()`).
        unsafe {
            let cb = &raw const (*self.buffer.as_raw()).cb;
            (*cb.cast::<bindings::netlink_skb_parms>()).portid
        }
    }

    /// The network namespace of the client's socket.
    pub fn net(&self) -> &'a Net {
        self.buffer.net()
    }

    /// Whether the client has `capability` in the user namespace that owns [its network
    /// namespace](Self::net) (`netlink_net_capable()`).
    ///
    /// As everywhere in netlink, the rule depends on how the client names the destination. The task
    /// that sends the message always needs the capability. If that task does not name a
    /// destination, but sends to the address that the socket is connected to, a second condition
    /// holds: the process that opened the socket must have had the capability when it opened the
    /// socket.
    pub fn net_capable(&self, capability: Capability) -> bool {
        // SAFETY: `skb` is valid and describes its sender.
        unsafe { bindings::netlink_net_capable(self.buffer.as_raw(), capability as c_int) }
    }

    /// Refuses the request if `needs` is a capability that its client lacks.
    #[inline(always)]
    pub(super) fn permit(&self, needs: Option<Capability>) -> Result<(), Refusal> {
        match needs {
            Some(capability) if !self.net_capable(capability) => {
                Err(Refusal::new(EPERM, capability.refusal()))
            }
            _ => Ok(()),
        }
    }

    /// Makes a reply to the client. `number` is the type or the command of the reply. The
    /// reply has the request's sequence number.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` or `ENOBUFS` if `payload` is too long, or if there is not enough memory for it.
    /// If memory is so fragmented that only single pages are free, a payload of 71 KiB is already
    /// too long.
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
    /// A copy of the request without its payload, in a new buffer. The type, the sequence
    /// number and the client are the same. The new buffer belongs to no socket, so the
    /// caller may keep it after the request was handled.
    pub(super) fn detached(&self) -> Result<Outgoing> {
        let header = self.header();
        let copy = Outgoing::new(self.portid(), header.msg_type, header.seq, [], &[])?;
        // SAFETY: Both buffers are valid, and the copy is ours. The control block, which describes
        // the sender, is plain data. It names the sender's socket, which exists as long as the
        // request is handled. Code that keeps the copy must not use that socket later.
        unsafe { (*copy.as_raw()).cb = (*self.buffer.as_raw()).cb };
        Ok(copy)
    }
}
