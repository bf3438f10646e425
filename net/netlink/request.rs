// SPDX-License-Identifier: GPL-2.0

//! What a handler sees of a message.

use core::{
    ptr::{
        from_ref,
        null,
        NonNull, //
    },
    slice, //
};

use kernel::{
    bindings,
    prelude::*, //
};

use super::{
    message::{
        Header,
        Message, //
    },
    refusal::Refusal,
    reply::{
        Outgoing,
        Reply, //
    },
    Outcome, //
};

use crate::net::{
    bindings::{
        sock_common,
        sock_flags_SOCK_DEAD,
        SOCK_FLAGS, //
    },
    namespace::Net, //
};

/// A buffer that a client sent: what the `input` callback of a kernel socket gets.
///
/// # Invariants
///
/// - `skb` is valid for the lifetime of the value, and belongs to the callback.
/// - `skb->sk` is a netlink kernel socket and `NETLINK_CB(skb)` describes the sender.
pub(super) struct Buffer {
    skb: NonNull<bindings::sk_buff>,
}

impl Buffer {
    /// Wraps the argument of an `input` callback.
    ///
    /// # Safety
    ///
    /// `skb` must be the argument of an `input` callback that runs for the lifetime of the value.
    pub(super) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: The caller's promise; see `netlink_unicast_kernel()`.
        Self { skb }
    }

    /// What the client sent. Netlink delivers it in one linear piece.
    pub(super) fn bytes(&self) -> &[u8] {
        let skb = self.skb.as_ptr();
        // SAFETY: By the type invariants `skb` is valid. Its linear part is initialized, and what
        // writes to it is `send_back` alone, where no such reference is left.
        unsafe {
            let linear = (*skb).len.wrapping_sub((*skb).data_len) as usize;
            slice::from_raw_parts((*skb).data, linear)
        }
    }

    /// The kernel socket that received the buffer.
    pub(super) fn socket(&self) -> NonNull<bindings::sock> {
        // SAFETY: By the type invariants `skb` is valid and its socket is not null.
        unsafe { NonNull::new_unchecked((*self.skb.as_ptr()).sk) }
    }

    /// Whether that socket was released meanwhile (`sock_orphan()`). Whoever takes it down waits for
    /// the callback.
    pub(super) fn is_orphaned(&self) -> bool {
        let socket = self.socket().cast::<c_ulong>().as_ptr();
        // SAFETY: The socket is valid, and its flags are at the offset. Others may set flags at any
        // time: they are read once.
        let flags = unsafe { socket.byte_add(SOCK_FLAGS).read_volatile() };
        flags & 1 << sock_flags_SOCK_DEAD != 0
    }

    /// The namespace of that socket, which is the sender's too.
    pub(super) fn net(&self) -> &Net {
        let socket: NonNull<sock_common> = self.socket().cast();
        // SAFETY: Every `struct sock` starts with a `struct sock_common`. A kernel socket does not
        // outlive its namespace.
        unsafe { Net::from_raw((*socket.as_ptr()).skc_net.net) }
    }

    /// The `struct sk_buff`.
    pub(super) fn skb(&self) -> NonNull<bindings::sk_buff> {
        self.skb
    }

    /// The same.
    pub(super) fn as_raw(&self) -> *mut bindings::sk_buff {
        self.skb.as_ptr()
    }

    /// Acknowledges a message.
    ///
    /// Context: process, may sleep. A client that cannot be told gets `ENOBUFS` from its socket.
    pub(super) fn ack(&self, message: &Message<'_>) {
        // It quotes the header. The one in the buffer may have gone back as that of a reply.
        let mut header = bindings::nlmsghdr::from(&message.header);
        // SAFETY: The buffer is valid, and the header is all that is read of a message.
        unsafe { bindings::netlink_ack(self.as_raw(), &mut header, 0, null()) };
    }

    /// Reports the failure of a message of this buffer.
    ///
    /// Context: process, may sleep. A client that cannot be told gets `ENOBUFS` from its socket.
    pub(super) fn refuse(&self, message: &Message<'_>, refusal: &Refusal) {
        let start = &raw const self.bytes()[message.offset];
        let mut extack = bindings::netlink_ext_ack::default();
        if let Some(text) = refusal.message() {
            extack._msg = text.as_char_ptr();
        }
        let attribute = |offset: usize| message.payload.get(offset).map(from_ref);
        if let Some(attribute) = refusal.offset().and_then(attribute) {
            extack.bad_attr = attribute.cast();
        }
        if let Some(number) = refusal.missing_attribute() {
            extack.miss_type = number;
        }
        if let Some(nest) = refusal.missing_nest().and_then(attribute) {
            extack.miss_nest = nest.cast();
        }
        let errno = refusal.error().to_errno();
        // SAFETY: `start` is a message in this buffer. The text is static, and the attributes lie in
        // the message (offsets are all that is made of them).
        unsafe { bindings::netlink_ack(self.as_raw(), start.cast_mut().cast(), errno, &extack) };
    }
}

impl From<&Header> for bindings::nlmsghdr {
    fn from(header: &Header) -> Self {
        Self {
            nlmsg_len: header.len,
            nlmsg_type: header.msg_type,
            nlmsg_flags: header.flags,
            nlmsg_seq: header.seq,
            nlmsg_pid: header.pid,
        }
    }
}

/// What a process may be allowed to do (`capabilities(7)`), as far as it concerns networking.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Configure the network (`CAP_NET_ADMIN`).
    NetAdmin = bindings::CAP_NET_ADMIN as u8,
    /// Send and receive packets of any make (`CAP_NET_RAW`).
    NetRaw = bindings::CAP_NET_RAW as u8,
}

impl Capability {
    /// What is said to those who lack it.
    pub(super) const fn refusal(self) -> &'static CStr {
        match self {
            Self::NetAdmin => c"CAP_NET_ADMIN is needed in the owner of the network namespace",
            Self::NetRaw => c"CAP_NET_RAW is needed in the owner of the network namespace",
        }
    }
}

/// A message from a client, borrowed for the duration of the call that handles it.
pub struct Request<'a> {
    pub(super) buffer: &'a Buffer,
    pub(super) message: &'a Message<'a>,
}

impl<'a> Request<'a> {
    /// The header, as the client wrote it.
    pub fn header(&self) -> &'a Header {
        &self.message.header
    }

    /// What follows the header, of any length and alignment.
    pub fn payload(&self) -> &'a [u8] {
        self.message.payload
    }

    /// A request of the same type and number from the same client, without a payload, in a buffer of
    /// its own: nothing of it belongs to a socket, so it may be kept.
    pub(super) fn detached(&self) -> Result<Outgoing> {
        let header = self.header();
        let copy = Outgoing::new(self.portid(), header.msg_type, header.seq, &[])?;
        // SAFETY: Both buffers are valid, and the copy is ours. What describes the sender is plain
        // data; the sender's socket is there for as long as the request is handled, and who keeps
        // the copy must not look at it later.
        unsafe { (*copy.as_raw()).cb = (*self.buffer.as_raw()).cb };
        Ok(copy)
    }

    /// The address of the client's socket in its network namespace, as the kernel knows it.
    pub fn portid(&self) -> u32 {
        // SAFETY: The buffer's `skb` is valid, and its control block holds netlink's parameters
        // (`NETLINK_CB()`).
        unsafe {
            let cb = &raw const (*self.buffer.skb.as_ptr()).cb;
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
        unsafe { bindings::netlink_net_capable(self.buffer.skb.as_ptr(), capability as c_int) }
    }

    /// Tells the client how its request went, as far as it is to know.
    #[inline]
    pub(super) fn conclude(&self, result: Result<(), impl Into<Refusal>>) -> Outcome {
        match result {
            Ok(()) if self.header().wants_ack() => {
                self.buffer.ack(self.message);
                Outcome::Acknowledged
            }
            Ok(()) => Outcome::Quiet,
            Err(refusal) => self.refuse(&refusal.into()),
        }
    }

    #[cold]
    fn refuse(&self, refusal: &Refusal) -> Outcome {
        if refusal.error() == EINTR {
            return Outcome::Quiet;
        }
        self.buffer.refuse(self.message, refusal);
        Outcome::Failed(refusal.error())
    }

    /// Starts a reply of type `msg_type`: to the client, with the request's sequence number.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` or `ENOBUFS` if no buffer can hold `payload`. Where memory is too fragmented for
    /// anything but single pages, that begins at 71 KiB.
    pub fn reply(&self, msg_type: u16, payload: &[u8]) -> Result<Reply<'a>> {
        Reply::new(
            self.buffer,
            self.portid(),
            msg_type,
            self.message.header.seq,
            payload,
        )
    }
}
