// SPDX-License-Identifier: GPL-2.0

//! Reads with acquire ordering.
//!
//! C header: [`include/asm-generic/barrier.h`](srctree/include/asm-generic/barrier.h)
//! (`smp_load_acquire()`)

/// Reads a value of the size of a pointer in one piece, before all that is read after it by
/// volatile or atomic reads, or at an address that depends on it.
///
/// On x86-64, every read of the processor has that order. A volatile read needs no call.
///
/// # Safety
///
/// `place` must be valid for reads. All who write to it meanwhile must do so in one piece.
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
