// SPDX-License-Identifier: GPL-2.0

//! Bounds-checked reads.

use crate::net::stack::assert_fits;

/// Bounds-checked reads, so that code that takes packets apart need not know where bytes lie.
///
/// Two reads of the same bytes may differ: they may lie in pages that a program writes to
/// meanwhile. What one read says must not be taken for granted in the next.
pub trait ReadAt {
    /// The `N` bytes at `offset`; `None` if they are not all there. More than 1,024 do not compile.
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The same, as far as it takes no more than a look: `None` does not mean that the bytes are
    /// not there. For what every packet has to pay.
    fn peek_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.read_at(offset)
    }
}

impl ReadAt for [u8] {
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        const { assert_fits::<[u8; N]>() };
        self.get(offset..)?.first_chunk().copied()
    }
}
