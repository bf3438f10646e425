// SPDX-License-Identifier: GPL-2.0

//! Buffers that clients sent.

use core::{
    ptr::{
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
    extack,
    message::Message,
    refusal::Refusal, //
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

    /// Whether that socket was released meanwhile (`sock_orphan()`). Whoever takes it down waits
    /// for the callback.
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
        extack::tell(&mut extack, refusal, message.payload);
        let errno = refusal.error().to_errno();
        // SAFETY: `start` is a message in this buffer. The text is static, and the attributes lie
        // in the message (offsets are all that is made of them).
        unsafe { bindings::netlink_ack(self.as_raw(), start.cast_mut().cast(), errno, &extack) };
    }
}
