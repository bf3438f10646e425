// SPDX-License-Identifier: GPL-2.0

//! Replies to requests.

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    error::to_result,
    prelude::*, //
};

use super::{
    message::{
        Header,
        ALIGNMENT, //
    },
    request::Buffer, //
};

/// A reply that waits to be sent. Dropping it frees it unsent.
///
/// # Invariants
///
/// - `skb` is a buffer that we own, all of whose `len` bytes are initialized: one message.
/// - `socket` is a netlink kernel socket, valid for `'a`.
pub struct Reply<'a> {
    skb: NonNull<bindings::sk_buff>,
    socket: NonNull<bindings::sock>,
    portid: u32,
    _borrow: PhantomData<&'a Buffer>,
}

impl<'a> Reply<'a> {
    /// What is asked of the allocator in one piece: up to here memory is easy to find
    /// (`PAGE_ALLOC_COSTLY_ORDER`, less what an `sk_buff` adds). The rest goes to page fragments,
    /// which need not be contiguous.
    const LINEAR_MAX: usize = 31 * 1024;

    /// The largest fragment to try for, as a power of two of pages (4 MiB on x86). Smaller ones
    /// serve where such memory is not to be had.
    const FRAGMENT_ORDER: c_int = 10;

    /// Makes a message of type `kind` for the client at `portid`.
    pub(super) fn new(
        request: &'a Buffer,
        portid: u32,
        kind: u16,
        seq: u32,
        payload: &[u8],
    ) -> Result<Self> {
        let len = Header::LEN.checked_add(payload.len()).ok_or(EMSGSIZE)?;
        let padded = len.checked_next_multiple_of(ALIGNMENT).ok_or(EMSGSIZE)?;
        let header = Header {
            len: u32::try_from(len)?,
            kind,
            flags: 0,
            seq,
            pid: portid,
        };

        let mut reply = Self {
            skb: Self::allocate(padded)?,
            socket: request.socket(),
            portid,
            _borrow: PhantomData,
        };
        // INVARIANT: Header, payload and padding make up all `padded` bytes.
        reply.write(0, &header.to_bytes());
        reply.write(Header::LEN, payload);
        reply.write(len, &[0; ALIGNMENT][..padded - len]);
        Ok(reply)
    }

    /// Allocates a buffer of `len` uninitialized bytes.
    fn allocate(len: usize) -> Result<NonNull<bindings::sk_buff>> {
        // Lengths and offsets in an `sk_buff` are `int` in places.
        if c_int::try_from(len).is_err() {
            return Err(EMSGSIZE);
        }
        let linear = len.min(Self::LINEAR_MAX);
        let mut errno = 0;
        // SAFETY: `errno` is valid for writes.
        let skb = unsafe {
            bindings::alloc_skb_with_frags(
                linear as c_ulong,
                (len - linear) as c_ulong,
                Self::FRAGMENT_ORDER,
                &mut errno,
                bindings::GFP_KERNEL,
            )
        };
        let skb = NonNull::new(skb).ok_or_else(|| Error::from_errno(errno))?;
        // SAFETY: The buffer has room for `linear` bytes, and fragments for the others, which the
        // allocation leaves to its caller to count. CAST: The lengths fit an `int`.
        unsafe {
            bindings::skb_put(skb.as_ptr(), linear as c_uint);
            (*skb.as_ptr()).data_len = (len - linear) as c_uint;
            (*skb.as_ptr()).len = len as c_uint;
        }
        Ok(skb)
    }

    /// Writes `bytes`, which must end within the buffer.
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let skb = self.skb.as_ptr();
        // SAFETY: We own the buffer, so it is valid and nobody else changes it.
        let (data, linear, len) =
            unsafe { ((*skb).data, ((*skb).len - (*skb).data_len) as usize, (*skb).len) };
        let end = offset + bytes.len();
        if end <= linear {
            // SAFETY: The linear part is `linear` bytes at `data`; a new buffer overlaps nothing.
            unsafe { data.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        } else {
            assert!(end <= len as usize);
            // SAFETY: The range lies in the buffer, as just checked, so its length and offset fit
            // an `int`. Nobody else refers to its pages yet.
            unsafe {
                bindings::skb_store_bits(
                    skb,
                    offset as c_int,
                    bytes.as_ptr().cast(),
                    bytes.len() as c_int,
                )
            };
        }
    }

    /// Sends the reply to the client, without waiting for room in its receive buffer.
    ///
    /// Context: process, may sleep (to allocate, never for the client).
    ///
    /// # Errors
    ///
    /// - `EAGAIN`: the client's receive buffer is full. Its socket reports `ENOBUFS` from here on.
    /// - `ECONNREFUSED`: the client's socket is gone.
    pub fn send(self) -> Result {
        let this = ManuallyDrop::new(self);
        // SAFETY: `socket` is a valid kernel socket. The buffer is ours, and the call takes it in
        // every case; `self` is not dropped.
        to_result(unsafe {
            bindings::netlink_unicast(
                this.socket.as_ptr(),
                this.skb.as_ptr(),
                this.portid,
                bindings::MSG_DONTWAIT as c_int,
            )
        })
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        // SAFETY: We own the buffer.
        unsafe { bindings::consume_skb(self.skb.as_ptr()) };
    }
}
