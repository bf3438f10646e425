// SPDX-License-Identifier: GPL-2.0

//! Reads with acquire ordering.
//!
//! C header: [`include/asm-generic/barrier.h`](srctree/include/asm-generic/barrier.h)
//! (`smp_load_acquire()`)

/// Reads a value of the size of a pointer in one piece. Later volatile and atomic reads, and reads
/// at an address that depends on the value, happen after this read.
///
/// On x86-64, the processor keeps the order of all reads, so a volatile read is enough. Unlike
/// an atomic read, a volatile read needs no function call.
///
/// # Safety
///
/// `place` must be valid for reads. Other threads may write to `place` meanwhile, but only in
/// one piece.
#[inline]
pub(super) unsafe fn read_acquire(place: *mut usize) -> usize {
    #[cfg(CONFIG_X86_64)]
    // SAFETY: The caller's promise.
    unsafe {
        place.read_volatile()
    }
    #[cfg(not(CONFIG_X86_64))]
    // SAFETY: The caller's promise.
    unsafe {
        kernel::sync::atomic::Atomic::from_ptr(place).load(kernel::sync::atomic::Acquire)
    }
}
