// SPDX-License-Identifier: GPL-2.0

//! Requests that go back to their clients.

use core::ptr::NonNull;

use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic, //
    }, //
};

use super::{
    message::{
        Header,
        MessageType, //
    },
    outgoing::{
        unicast,
        write_header, //
    },
    request::Request, //
};

use crate::net::compat::ENOBUFS;

impl Request<'_> {
    /// Sends the message back to its client, as [`Handled::SendBack`](super::Handled::SendBack)
    /// says.
    ///
    /// If this succeeds, no error must follow: the buffer may hold the header of the reply then.
    ///
    /// Context: process, may sleep (to allocate, never for the client).
    ///
    /// # Errors
    ///
    /// Those of [`reply`](Self::reply) and of [`Reply::send`](super::Reply::send).
    pub(super) fn send_back(&self, msg_type: MessageType) -> Result {
        match Whole::new(self) {
            Some(whole) => whole.send_back(msg_type),
            None => self.reply(msg_type, self.payload())?.send(),
        }
    }
}

/// A request that has its buffer to itself.
///
/// # Invariants
///
/// - The message starts where its buffer does, which is linear, ends with the message or in its
///   padding, and has room for what is `lacking` of that.
/// - The memory of the buffer is such that any `sk_buff` that refers to it may be the last one.
/// - Nothing but the buffer's own `sk_buff` refers to that memory.
struct Whole<'a> {
    request: &'a Request<'a>,
    lacking: usize,
}

impl<'a> Whole<'a> {
    /// Finds out whether it is one.
    fn new(request: &'a Request<'a>) -> Option<Self> {
        let message = request.message;
        if message.offset != 0 {
            return None;
        }
        let skb = request.buffer.as_raw();
        // SAFETY: The `skb` of a buffer is valid, and nobody changes these while we have it.
        let (len, data_len, head, tail, end) = unsafe {
            (
                (*skb).len as usize,
                (*skb).data_len,
                (*skb).head,
                (*skb).tail as usize,
                (*skb).end as usize,
            )
        };
        let lacking = message.padded_len().checked_sub(len)?;
        if data_len != 0 || lacking > end.wrapping_sub(tail) {
            return None;
        }
        // Where the allocator finds no contiguous pages, netlink uses memory from `vmalloc()` and a
        // destructor that frees it (`netlink_alloc_large_skb()`). Clones lack the destructor: if a
        // clone were the last to go, `kfree()` would get the memory.
        // SAFETY: The function looks at the address only.
        if unsafe { bindings::is_vmalloc_addr(head.cast()) } {
            return None;
        }
        // The client may have sent the message to a group as well, whose members have clones.
        // INVARIANT: All was checked. Who has no `sk_buff` of the memory cannot come by one.
        is_sole(request).then_some(Self { request, lacking })
    }

    /// Sends a clone of the buffer, with the header of a reply.
    fn send_back(self, msg_type: MessageType) -> Result {
        let Self { request, lacking } = self;
        let portid = request.portid();
        let reply = Header {
            msg_type,
            flags: 0,
            pid: portid,
            ..*request.header()
        };
        let len = request.message.len();
        let padding = request.message.padded_len() - len;

        // SAFETY: The `skb` of a buffer is valid.
        let clone = unsafe { bindings::skb_clone(request.buffer.as_raw(), bindings::GFP_KERNEL) };
        let clone = NonNull::new(clone).ok_or(ENOBUFS)?;
        // SAFETY: The clone is ours. By the type invariants it is linear, and nothing but it and
        // the buffer's `skb` refers to the memory. Nor does any reference reach what is written:
        // header and padding are no part of the payload. A control block of zeroes says that the
        // kernel is the sender (`NETLINK_CB()`).
        unsafe {
            write_header(clone, &reply);
            (*clone.as_ptr()).cb.fill(0);
        }
        if padding != 0 {
            // SAFETY: As above. There is room for `lacking` bytes, with which the padding is all
            // there.
            unsafe {
                bindings::skb_put(clone.as_ptr(), lacking as c_uint); // CAST: At most 3.
                (*clone.as_ptr()).data.add(len).write_bytes(0, padding);
            }
        }
        // SAFETY: The socket that received the buffer is a kernel socket, and the clone is ours.
        unsafe { unicast(request.buffer.socket(), clone, portid) }.inspect_err(|_| self.restore())
    }

    /// Puts the request's header back, once the clone is gone: errors quote it.
    #[cold]
    fn restore(&self) {
        // Who watches what the kernel drops may have come by another clone (`net_dm`).
        if is_sole(self.request) {
            // SAFETY: The `skb` of a buffer is valid, and as above nobody else refers to the
            // memory.
            unsafe { write_header(self.request.buffer.skb(), self.request.header()) };
        }
    }
}

/// Whether nothing but the buffer's own `sk_buff` refers to its memory.
fn is_sole(request: &Request<'_>) -> bool {
    let skb = request.buffer.as_raw();
    // SAFETY: The `skb` of a buffer is valid, and its memory ends with a `struct skb_shared_info`
    // (`skb_shinfo()`), whose counter is accessed atomically by all.
    let dataref = unsafe {
        let shared: *mut bindings::skb_shared_info = (*skb).head.add((*skb).end as usize).cast();
        Atomic::from_ptr(&raw mut (*shared).dataref.counter)
    };
    // Acquired, so that those who gave up theirs are done with the memory.
    dataref.load(Acquire) == 1
}
