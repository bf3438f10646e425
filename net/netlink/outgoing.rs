// SPDX-License-Identifier: GPL-2.0

//! Buffers with a message to send, and functions to send them.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    page::PAGE_SIZE,
    prelude::*, //
};

use super::message::{
    Header,
    MessageType,
    ALIGNMENT, //
};

use crate::net::compat::ENOBUFS;

/// A buffer with one message in it.
///
/// # Invariants
///
/// `skb` is a buffer that we own, and all of its `len` bytes are initialized.
pub(super) struct Outgoing {
    skb: NonNull<bindings::sk_buff>,
}

impl Outgoing {
    /// The largest length, in bytes, of a buffer in a single page. An `sk_buff` needs the rest of
    /// the page (`SKB_HEAD_ALIGN()`).
    const PAGE_MAX: usize = PAGE_SIZE - 1024;

    /// The length, in bytes, of the largest piece of contiguous memory to allocate: 8 pages
    /// (`PAGE_ALLOC_COSTLY_ORDER`), without the part that an `sk_buff` needs. The rest of a longer
    /// message is in page fragments.
    const LINEAR_MAX: usize = 8 * PAGE_SIZE - 1024;

    /// The largest length of a head, in bytes. A head is a second header, between netlink's
    /// header and the payload.
    const HEAD_MAX: usize = 8;

    /// The largest length of a payload, in bytes. With this payload, the length of header, head,
    /// payload and padding together fits an `int`.
    const PAYLOAD_MAX: usize = c_int::MAX as usize - Header::LEN - Self::HEAD_MAX - ALIGNMENT;

    /// The order of the largest fragment to allocate: such a fragment has 2^10 pages (4 MiB on
    /// x86). If no contiguous memory of this size is free, the kernel allocates smaller
    /// fragments.
    const FRAGMENT_ORDER: c_int = 10;

    /// Makes a message of type `msg_type` for the client at `portid`, or for a group if
    /// `portid` is 0. `head` comes between netlink's header and the payload.
    #[inline]
    pub(super) fn new<H: AsRef<[u8]>>(
        portid: u32,
        msg_type: MessageType,
        seq: u32,
        head: H,
        payload: &[u8],
    ) -> Result<Self> {
        let head = head.as_ref();
        // Some lengths and offsets in an `sk_buff` are `int`. The limits in this condition keep
        // them from wrapping.
        if payload.len() > Self::PAYLOAD_MAX || head.len() > Self::HEAD_MAX {
            return Err(EMSGSIZE);
        }
        let start = Header::LEN.wrapping_add(head.len());
        let len = start.wrapping_add(payload.len());
        let padded = len.wrapping_add(ALIGNMENT - 1) & !(ALIGNMENT - 1);
        let header = Header {
            len: len as u32, // CAST: Just checked.
            msg_type,
            flags: 0,
            seq,
            pid: portid,
        };
        let padding = padded - len;
        let skb = Self::allocate(padded)?;
        // SAFETY: The buffer is ours and new, so it does not overlap `head`. Header and head have
        // at most `PAGE_MAX` bytes, so they are in the buffer's linear part.
        unsafe {
            write_header(skb, &header);
            (*skb.as_ptr())
                .data
                .add(Header::LEN)
                .copy_from_nonoverlapping(head.as_ptr(), head.len());
        }
        if padded <= Self::PAGE_MAX {
            // SAFETY: The buffer is linear and `padded` bytes long. The buffer is new, so it does
            // not overlap `payload`.
            unsafe {
                let data = (*skb.as_ptr()).data;
                data.add(start)
                    .copy_from_nonoverlapping(payload.as_ptr(), payload.len());
                if padding != 0 {
                    data.add(len).write_bytes(0, padding);
                }
            }
        } else {
            // SAFETY: The buffer is ours, and `padded` bytes long.
            unsafe {
                store(skb, start, payload);
                store(skb, len, &[0; ALIGNMENT][..padding]);
            }
        }
        // INVARIANT: The buffer consists of header, head, payload and padding. All four were
        // written.
        Ok(Self { skb })
    }

    /// Allocates a buffer of `len` uninitialized bytes. `len` must fit an `int`. The linear part
    /// has at least the first `PAGE_MAX` bytes, or all bytes if there are fewer.
    #[inline]
    fn allocate(len: usize) -> Result<NonNull<bindings::sk_buff>> {
        if len > Self::PAGE_MAX {
            return Self::allocate_pages(len);
        }
        // SAFETY: `__alloc_skb()` accepts any length. CAST: `len` is at most `PAGE_MAX`.
        let skb = unsafe {
            bindings::__alloc_skb(
                len as c_uint,
                bindings::GFP_KERNEL,
                0,
                bindings::NUMA_NO_NODE,
            )
        };
        let skb = NonNull::new(skb).ok_or(ENOBUFS)?;
        // SAFETY: The buffer has room for `len` bytes.
        unsafe { bindings::skb_put(skb.as_ptr(), len as c_uint) };
        Ok(skb)
    }

    /// Allocates a buffer of more than `PAGE_MAX` bytes.
    ///
    /// Contiguous pages are best, because a buffer then has few fragments. But if memory is
    /// fragmented, the allocator would move and swap out pages to get contiguous ones, and in the
    /// end kill a process. So this function first asks for contiguous pages without retry. If that
    /// fails, it asks for single pages.
    #[inline(never)]
    fn allocate_pages(len: usize) -> Result<NonNull<bindings::sk_buff>> {
        const GENTLY: bindings::gfp_t =
            bindings::GFP_KERNEL | bindings::__GFP_NOWARN | 1 << bindings::___GFP_NORETRY_BIT;

        Self::allocate_fragments(len.min(Self::LINEAR_MAX), len, GENTLY)
            .or_else(|_| Self::allocate_fragments(Self::PAGE_MAX, len, bindings::GFP_KERNEL))
    }

    /// Allocates a buffer of `len` bytes. Its linear part has exactly `linear` of these bytes.
    fn allocate_fragments(
        linear: usize,
        len: usize,
        gfp: bindings::gfp_t,
    ) -> Result<NonNull<bindings::sk_buff>> {
        let fragments = len - linear;
        let mut errno = 0;
        // SAFETY: `errno` is valid for writes.
        let skb = unsafe {
            bindings::alloc_skb_with_frags(
                linear as c_ulong,
                fragments as c_ulong,
                Self::FRAGMENT_ORDER,
                &mut errno,
                gfp,
            )
        };
        let skb = NonNull::new(skb).ok_or_else(|| Error::from_errno(errno))?;
        // SAFETY: The buffer has room for `linear` bytes, and fragments for the others.
        // `alloc_skb_with_frags()` leaves it to its caller to set the lengths. CAST: The lengths
        // fit an `int`.
        unsafe {
            bindings::skb_put(skb.as_ptr(), linear as c_uint);
            (*skb.as_ptr()).data_len = fragments as c_uint;
            (*skb.as_ptr()).len = len as c_uint;
        }
        Ok(skb)
    }

    /// The `struct sk_buff`.
    pub(super) fn as_raw(&self) -> *mut bindings::sk_buff {
        self.skb.as_ptr()
    }

    /// A pointer to the message's header, for C functions.
    pub(super) fn header(&self) -> *const bindings::nlmsghdr {
        // SAFETY: By the type invariants the buffer is valid. The header is at the start of the
        // buffer, and shorter than `PAGE_MAX`, so it is in the linear part.
        unsafe { (*self.skb.as_ptr()).data.cast_const().cast() }
    }

    /// Gives the buffer to the caller.
    pub(super) fn into_raw(self) -> NonNull<bindings::sk_buff> {
        ManuallyDrop::new(self).skb
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // SAFETY: We own the buffer.
        unsafe { bindings::consume_skb(self.skb.as_ptr()) };
    }
}

impl From<&Header> for bindings::nlmsghdr {
    fn from(header: &Header) -> Self {
        Self {
            nlmsg_len: header.len,
            nlmsg_type: header.msg_type.number(),
            nlmsg_flags: header.flags,
            nlmsg_seq: header.seq,
            nlmsg_pid: header.pid,
        }
    }
}

/// Writes a header at the start of the buffer `skb`.
///
/// # Safety
///
/// `skb` must be valid, and its linear part must hold a header. Nobody else may access the bytes of
/// the header during the call.
pub(super) unsafe fn write_header(skb: NonNull<bindings::sk_buff>, header: &Header) {
    // SAFETY: The caller promises that the linear part has room for a header, and that nobody else
    // accesses these bytes.
    unsafe {
        (*skb.as_ptr())
            .data
            .cast::<bindings::nlmsghdr>()
            .write_unaligned(header.into())
    };
}

/// Writes `bytes` into a buffer, into its linear part and its fragments.
///
/// # Safety
///
/// `skb` must be valid, belong to the caller, and have room for `bytes` from `offset` on.
unsafe fn store(skb: NonNull<bindings::sk_buff>, offset: usize, bytes: &[u8]) {
    // SAFETY: The caller promises that the buffer belongs to it and has room for `bytes`. CAST:
    // Lengths and offsets in a buffer fit an `int`.
    unsafe {
        bindings::skb_store_bits(
            skb.as_ptr(),
            offset as c_int,
            bytes.as_ptr().cast(),
            bytes.len() as c_int,
        )
    };
}

/// Sends a buffer to the client at `portid`, without waiting for room in its receive buffer.
///
/// # Safety
///
/// `socket` must be a kernel socket. `skb` must be a buffer that belongs to the caller. The call
/// takes ownership of the buffer, also if it fails.
pub(super) unsafe fn unicast(
    socket: NonNull<bindings::sock>,
    skb: NonNull<bindings::sk_buff>,
    portid: u32,
) -> Result {
    const FLAGS: c_int = bindings::MSG_DONTWAIT as c_int;
    // SAFETY: The caller promises that `socket` is a kernel socket, and that `skb` belongs to the
    // caller.
    match unsafe { bindings::netlink_unicast(socket.as_ptr(), skb.as_ptr(), portid, FLAGS) } {
        errno @ ..0 => Err(Error::from_errno(errno)),
        _ => Ok(()),
    }
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_outgoing)]
mod tests {
    use super::*;

    use crate::net::skbuff::{
        Packet,
        ReadAt, //
    };

    /// The byte at `index` of a test payload whose bytes repeat only after a long distance.
    fn pattern(index: usize) -> u8 {
        (index * 31 + index / 256) as u8
    }

    /// Makes a reply with `len` bytes of payload, reads all bytes of the reply back, and says
    /// whether they are correct.
    fn round_trip(len: usize) -> Result<bool> {
        let mut payload = KVVec::with_capacity(len, GFP_KERNEL)?;
        for index in 0..len {
            payload.push(pattern(index), GFP_KERNEL)?;
        }
        let message = Outgoing::new(42, MessageType::new(16), 7, [], &payload)?;
        // SAFETY: `message` has the buffer, and is dropped after `packet`. Nothing changes the
        // buffer.
        let packet = unsafe { Packet::from_raw(message.skb.as_ptr()) };

        let header = Header {
            len: (Header::LEN + len) as u32,
            msg_type: MessageType::new(16),
            flags: 0,
            seq: 7,
            pid: 42,
        };
        let byte = |index| packet.read_at::<1>(Header::LEN + index);
        Ok(
            packet.len() == (Header::LEN + len).next_multiple_of(ALIGNMENT)
                && packet.read_at(0) == Some(header.to_bytes())
                && (0..len).all(|index| byte(index) == Some([pattern(index)]))
                && (len..packet.len() - Header::LEN).all(|index| byte(index) == Some([0])),
        )
    }

    #[test]
    fn holds_header_payload_and_zero_padding() -> Result {
        for len in [0, 1, 2, 3, 4, 5, 63, 64, 1024, 16 * 1024] {
            assert!(round_trip(len)?);
        }
        Ok(())
    }

    #[test]
    fn spans_linear_part_and_fragments() -> Result {
        for part in [Outgoing::PAGE_MAX, Outgoing::LINEAR_MAX] {
            let linear = part - Header::LEN;
            for len in [linear - 1, linear, linear + 1, linear + 4] {
                assert!(round_trip(len)?);
            }
        }
        assert!(round_trip(200_000)?);
        Ok(())
    }

    #[test]
    fn peeks_see_the_linear_part_alone() -> Result {
        const END: usize = Outgoing::PAGE_MAX;
        const LEN: usize = 2 * END;
        let message = Outgoing {
            skb: Outgoing::allocate_fragments(END, LEN, bindings::GFP_KERNEL)?,
        };
        // SAFETY: The buffer is ours, and `LEN` bytes long. `message` has the buffer, and is
        // dropped after `packet`. Nothing changes the buffer after this block.
        let packet = unsafe {
            for offset in 0..LEN {
                store(message.skb, offset, &[0xff]);
            }
            Packet::from_raw(message.skb.as_ptr())
        };
        assert!(packet.linear().read_at::<2>(END - 2) == Some([0xff; 2]));
        for offset in [END - 1, END] {
            assert!(packet.linear().read_at::<2>(offset).is_none());
            assert!(packet.read_at::<2>(offset) == Some([0xff; 2]));
        }
        assert!(packet.linear().read_at::<2>(usize::MAX).is_none());
        assert!(packet.linear().reaches(LEN) && !packet.linear().reaches(LEN + 1));
        Ok(())
    }

    #[test]
    fn reads_beyond_the_end_fail() -> Result {
        let message = Outgoing::new(1, MessageType::new(16), 1, [], &[0xff; 6])?;
        // SAFETY: `message` has the buffer, and is dropped after `packet`. Nothing changes the
        // buffer.
        let packet = unsafe { Packet::from_raw(message.skb.as_ptr()) };
        assert!(packet.read_at::<4>(20) == Some([0xff, 0xff, 0, 0]));
        assert!(packet.read_at::<4>(21).is_none());
        assert!(packet.read_at::<1>(24).is_none());
        assert!(packet.read_at::<1>(usize::MAX).is_none());
        assert!(packet.read_at::<8>(c_int::MAX as usize).is_none());
        Ok(())
    }
}
