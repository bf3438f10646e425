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

/// A buffer that a client sent, as the `input` callback of a kernel socket gets it.
///
/// # Invariants
///
/// - For the lifetime of the value, `skb` is valid, and only the `input` callback uses this
///   `sk_buff`.
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
        // INVARIANT: The caller promises that `skb` is the argument of `input`. Netlink has
        // described the sender in `NETLINK_CB(skb)` (`netlink_sendmsg()`) and set `skb->sk`
        // (`netlink_unicast_kernel()`) before it calls `input`.
        Self { skb }
    }

    /// The bytes that the client sent. Netlink delivers these bytes in one linear piece.
    pub(super) fn bytes(&self) -> &[u8] {
        let skb = self.skb.as_ptr();
        // SAFETY: By the type invariants `skb` is valid. The buffer's linear part is initialized.
        // Only `send_back` writes to that part, and then no reference to the written bytes is left.
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

    /// Whether a task has released the kernel socket while this callback runs (`sock_orphan()`).
    /// That task waits for the callback.
    pub(super) fn is_orphaned(&self) -> bool {
        let socket = self.socket().cast::<c_ulong>().as_ptr();
        // SAFETY: The socket is valid, and its flags are at the offset `SOCK_FLAGS`. Other CPUs can
        // change flags at any time, so the flags are read only once, by a volatile read.
        let flags = unsafe { socket.byte_add(SOCK_FLAGS).read_volatile() };
        flags & 1 << sock_flags_SOCK_DEAD != 0
    }

    /// The namespace of the kernel socket. The sender's socket is in the same namespace.
    pub(super) fn net(&self) -> &Net {
        let socket: NonNull<sock_common> = self.socket().cast();
        // SAFETY: Every `struct sock` starts with a `struct sock_common`. A kernel socket does not
        // outlive its namespace.
        unsafe { Net::from_raw((*socket.as_ptr()).skc_net.net) }
    }

    /// The `struct sk_buff` of the buffer.
    pub(super) fn skb(&self) -> NonNull<bindings::sk_buff> {
        self.skb
    }

    /// The `struct sk_buff` of the buffer, as a raw pointer.
    pub(super) fn as_raw(&self) -> *mut bindings::sk_buff {
        self.skb.as_ptr()
    }

    /// Acknowledges a message of this buffer.
    ///
    /// Context: process, may sleep. If the client's receive buffer is full, the client's socket
    /// reports `ENOBUFS`.
    pub(super) fn ack(&self, message: &Message<'_>) {
        // The acknowledgement quotes the request's header. If the buffer was sent back, it can hold
        // the header of the reply. So `netlink_ack()` gets a copy of the request's parsed header.
        let mut header = bindings::nlmsghdr::from(&message.header);
        // SAFETY: The buffer is valid. For an acknowledgement `netlink_ack()` reads only the header
        // of the message.
        unsafe { bindings::netlink_ack(self.as_raw(), &mut header, 0, null()) };
    }

    /// Reports the failure of a message of this buffer.
    ///
    /// Context: process, may sleep. If the client's receive buffer is full, the client's socket
    /// reports `ENOBUFS`.
    pub(super) fn refuse(&self, message: &Message<'_>, refusal: &Refusal) {
        let start = &raw const self.bytes()[message.offset];
        let mut extack = bindings::netlink_ext_ack::default();
        extack::tell(&mut extack, refusal, message.payload);
        let errno = refusal.error().to_errno();
        // SAFETY: `start` is a message in this buffer. The text is static. The pointers to
        // attributes lie in the message, and `netlink_ack()` only converts them to offsets.
        unsafe { bindings::netlink_ack(self.as_raw(), start.cast_mut().cast(), errno, &extack) };
    }
}
