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
    /// Sends the message back to its client, as
    /// [`Handled::SendBack`](super::Handled::SendBack) describes.
    ///
    /// After a success the caller must not report an error for this request: the report would quote
    /// the request's header, but the buffer can now hold the reply's header.
    ///
    /// Context: process, may sleep to allocate memory, and never waits for the client.
    ///
    /// # Errors
    ///
    /// The errors of [`reply`](Self::reply) and of [`Reply::send`](super::Reply::send).
    pub(super) fn send_back(&self, msg_type: MessageType) -> Result {
        match Whole::new(self) {
            Some(whole) => whole.send_back(msg_type),
            None => self.reply(msg_type, self.payload())?.send(),
        }
    }
}

/// A request that is the only message in its buffer.
///
/// # Invariants
///
/// - The message starts at the start of its buffer. The buffer is linear. The buffer ends with the
///   message or within the message's padding, and has room for the `lacking` bytes of the padding.
/// - The buffer's memory can be freed through any `sk_buff` that refers to it, not only through the
///   original one.
/// - Only the buffer's own `sk_buff` refers to the buffer's memory.
struct Whole<'a> {
    request: &'a Request<'a>,
    lacking: usize,
}

impl<'a> Whole<'a> {
    /// Wraps the request if the invariants of this type hold for it.
    fn new(request: &'a Request<'a>) -> Option<Self> {
        let message = request.message;
        if message.offset != 0 {
            return None;
        }
        let skb = request.buffer.as_raw();
        // SAFETY: The `skb` of a buffer is valid, and nobody changes these fields while we have the
        // buffer.
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
        // If the allocator finds no contiguous pages, netlink uses memory from `vmalloc()` and a
        // destructor that frees it (`netlink_alloc_large_skb()`). Clones lack the destructor. So if
        // a clone were freed last, the kernel would pass this memory to `kfree()`.
        // SAFETY: `is_vmalloc_addr()` only compares the address.
        if unsafe { bindings::is_vmalloc_addr(head.cast()) } {
            return None;
        }
        // The client may have sent the message to a group, too. Then the group's members have
        // clones.
        // INVARIANT: All three invariants were checked. They stay true, because only the owner of
        // an `sk_buff` that refers to the memory can make another such `sk_buff`.
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
        // SAFETY: The clone is ours. By the type invariants it is linear, and only the clone and
        // the buffer's `skb` refer to the memory. No reference reaches the written bytes, because
        // header and padding are not part of the payload. A control block of zeroes says that the
        // kernel is the sender (`NETLINK_CB()`).
        unsafe {
            write_header(clone, &reply);
            (*clone.as_ptr()).cb.fill(0);
        }
        if padding != 0 {
            // SAFETY: The clone is ours, and only it and the buffer's `skb` refer to the memory, as
            // above. By the type invariants the memory has room for `lacking` bytes. With these
            // bytes the padding is complete.
            unsafe {
                bindings::skb_put(clone.as_ptr(), lacking as c_uint); // CAST: At most 3.
                (*clone.as_ptr()).data.add(len).write_bytes(0, padding);
            }
        }
        // SAFETY: The socket that received the buffer is a kernel socket, and the clone is ours.
        unsafe { unicast(request.buffer.socket(), clone, portid) }.inspect_err(|_| self.restore())
    }

    /// Restores the request's header after the clone was freed, because the report of an error
    /// quotes this header.
    #[cold]
    fn restore(&self) {
        // A monitor of dropped packets (`net_dm`) can still hold another clone, which refers to the
        // same memory. Then nobody may write to the memory.
        if is_sole(self.request) {
            // SAFETY: The `skb` of a buffer is valid, and `is_sole()` has found that nobody else
            // refers to the memory.
            unsafe { write_header(self.request.buffer.skb(), self.request.header()) };
        }
    }
}

/// Whether only the buffer's own `sk_buff` refers to the buffer's memory.
fn is_sole(request: &Request<'_>) -> bool {
    let skb = request.buffer.as_raw();
    // SAFETY: The `skb` of a buffer is valid. Its memory ends with a `struct skb_shared_info`
    // (`skb_shinfo()`). All code accesses the counter `dataref` in that struct atomically.
    let dataref = unsafe {
        let shared: *mut bindings::skb_shared_info = (*skb).head.add((*skb).end as usize).cast();
        Atomic::from_ptr(&raw mut (*shared).dataref.counter)
    };
    // The read has acquire order. So if the counter is 1, all former owners of a reference have
    // finished with the memory.
    dataref.load(Acquire) == 1
}
