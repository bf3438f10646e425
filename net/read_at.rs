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

    /// Whether there are bytes up to `end`, wherever they lie.
    fn reaches(&self, end: usize) -> bool;
}

impl ReadAt for [u8] {
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        const { assert_fits::<[u8; N]>() };
        self.get(offset..)?.first_chunk().copied()
    }

    fn reaches(&self, end: usize) -> bool {
        end <= self.len()
    }
}
