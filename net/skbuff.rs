// SPDX-License-Identifier: GPL-2.0

//! Packets.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use core::mem::MaybeUninit;

use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

pub use super::read_at::ReadAt;

use super::{
    bindings::{
        SK_BUFF_MARK,
        SK_BUFF_PKT_TYPE, //
    },
    stack::assert_fits, //
};

/// A packet, borrowed for as long as the callback that gets it runs.
///
/// Offset 0 is where `skb->data` points. In a Netfilter hook for IPv4 or IPv6, the IP header starts
/// there.
///
/// # Invariants
///
/// For the lifetime of the reference, the `struct sk_buff` is valid, and nobody changes its lengths
/// or the bytes of its linear part. Bytes in fragments can be in pages that a program writes to, so
/// two reads of the same bytes in a fragment can return different values.
#[repr(transparent)]
pub struct Packet(Opaque<bindings::sk_buff>);

impl Packet {
    /// Borrows the packet that the C side passed.
    ///
    /// # Safety
    ///
    /// During `'a`, `skb` must be valid, and nobody may change the lengths or the linear part of
    /// `skb`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(skb: *mut bindings::sk_buff) -> &'a Self {
        // SAFETY: `Packet` is a transparent wrapper of `sk_buff`. The caller promises what the type
        // invariants demand.
        unsafe { &*skb.cast() }
    }

    /// The number of bytes from offset 0 on.
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: By the type invariants `skb` is valid.
        unsafe { (*self.0.get()).len as usize }
    }

    /// Whether the packet has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of bytes in the linear part. Reading them needs no copy of fragments.
    #[inline]
    pub(super) fn linear_len(&self) -> usize {
        let skb = self.0.get();
        // SAFETY: By the type invariants `skb` is valid. `data_len` of its `len` bytes are outside
        // of the linear part, so the subtraction does not wrap. A checked subtraction would cost a
        // branch for every packet.
        unsafe { (*skb).len.wrapping_sub((*skb).data_len) as usize }
    }

    /// The mark that this host put on the packet (`skb->mark`), 0 if none.
    #[inline]
    pub fn mark(&self) -> u32 {
        // SAFETY: By the type invariants `skb` is valid, and `SK_BUFF_MARK` is the offset of a
        // `u32` in it.
        unsafe { self.0.get().byte_add(SK_BUFF_MARK).cast::<u32>().read() }
    }

    /// Whether this host sent the packet to itself through a device that marks such
    /// packets, as a VRF does (`PACKET_LOOPBACK`).
    #[inline]
    pub fn is_looped_back(&self) -> bool {
        // SAFETY: By the type invariants `skb` is valid, and `SK_BUFF_PKT_TYPE` is the offset of a
        // byte in it.
        let pkt_type = unsafe { self.0.get().byte_add(SK_BUFF_PKT_TYPE).cast::<u8>().read() };
        u32::from(pkt_type) & bindings::PKT_TYPE_MAX == bindings::PACKET_LOOPBACK
    }

    /// The linear part of the packet.
    #[inline]
    pub fn linear(&self) -> Linear<'_> {
        Linear(self)
    }

    /// Reads bytes that are not all in the linear part of the packet.
    #[cold]
    #[inline(never)]
    fn read_fragments<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // An offset that does not fit an `int` is beyond the end of every packet.
        let offset = c_int::try_from(offset).ok()?;
        let len = c_int::try_from(N).ok()?;
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: `skb` is valid and `bytes` has room for `len` bytes. `skb_copy_bits()` checks the
        // range against the packet, and writes all bytes when it returns 0.
        let failed = unsafe {
            bindings::skb_copy_bits(self.0.get(), offset, bytes.as_mut_ptr().cast(), len)
        };
        if failed != 0 {
            return None;
        }
        // SAFETY: The call above has written all bytes.
        Some(unsafe { bytes.assume_init() })
    }
}

impl ReadAt for Packet {
    /// The `N` bytes at `offset`, also if some of them are in fragments of the packet.
    #[inline]
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.linear()
            .read_at(offset)
            .or_else(|| self.read_fragments(offset))
    }

    #[inline]
    fn reaches(&self, end: usize) -> bool {
        end <= self.len()
    }
}

/// The linear part of a packet. Reading the linear part needs no copy.
///
/// For nearly all packets the linear part contains all headers. A read of bytes outside of the
/// linear part returns `None`.
#[derive(Clone, Copy)]
pub struct Linear<'a>(&'a Packet);

impl ReadAt for Linear<'_> {
    #[inline]
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        const { assert_fits::<[u8; N]>() };
        if self.0.linear_len().checked_sub(offset)? < N {
            return None;
        }
        // SAFETY: By the invariants of `Packet` its `skb` is valid. The linear part is `linear_len`
        // initialized bytes at `data`, and the read ends within these bytes.
        Some(unsafe { (*self.0 .0.get()).data.add(offset).cast::<[u8; N]>().read() })
    }

    /// Whether the packet has at least `end` bytes, in the linear part or elsewhere.
    #[inline]
    fn reaches(&self, end: usize) -> bool {
        self.0.reaches(end)
    }
}
