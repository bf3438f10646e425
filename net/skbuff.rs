// SPDX-License-Identifier: GPL-2.0

//! Packets.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    prelude::*, //
};

/// Bounds-checked reads, so that code that takes packets apart need not know where bytes lie.
pub trait ReadAt {
    /// The `N` bytes at `offset`; `None` if they are not all there.
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

impl ReadAt for [u8] {
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

/// A packet that a callback may look at for as long as it runs.
///
/// Offset 0 is where `skb->data` points: in a Netfilter hook of a network layer protocol, the
/// header of that protocol.
///
/// # Invariants
///
/// `skb` is valid for `'a`, and nobody changes its length or data meanwhile.
pub struct Packet<'a> {
    skb: NonNull<bindings::sk_buff>,
    _borrow: PhantomData<&'a bindings::sk_buff>,
}

impl Packet<'_> {
    /// Borrows the packet that the C side passed.
    ///
    /// # Safety
    ///
    /// For the lifetime of the result, `skb` must be valid and only the caller may change it.
    #[inline]
    pub(super) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: The caller's promise.
        Self {
            skb,
            _borrow: PhantomData,
        }
    }

    /// The number of bytes from offset 0 on.
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: By the type invariants `skb` is valid.
        unsafe { (*self.skb.as_ptr()).len as usize }
    }

    /// Whether the packet has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads what lies, wholly or in part, outside the linear part of the packet.
    #[cold]
    fn read_fragments<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // An offset that no `int` holds is beyond the end of every packet.
        let offset = c_int::try_from(offset).ok()?;
        let len = c_int::try_from(N).ok()?;
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: `skb` is valid and `bytes` has room for `len` bytes. The function checks the
        // range against the packet, and writes all bytes when it returns 0.
        let failed = unsafe {
            bindings::skb_copy_bits(self.skb.as_ptr(), offset, bytes.as_mut_ptr().cast(), len)
        };
        if failed != 0 {
            return None;
        }
        // SAFETY: All bytes were written.
        Some(unsafe { bytes.assume_init() })
    }
}

impl ReadAt for Packet<'_> {
    /// The `N` bytes at `offset`, in whichever fragments of the packet they lie.
    #[inline]
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let skb = self.skb.as_ptr();
        // SAFETY: By the type invariants `skb` is valid.
        let (data, linear) = unsafe { ((*skb).data, ((*skb).len - (*skb).data_len) as usize) };
        match offset.checked_add(N) {
            // SAFETY: The linear part is `linear` initialized bytes at `data`, and the read ends
            // within it.
            Some(end) if end <= linear => {
                Some(unsafe { data.add(offset).cast::<[u8; N]>().read() })
            }
            _ => self.read_fragments(offset),
        }
    }
}
