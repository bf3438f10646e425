// SPDX-License-Identifier: GPL-2.0

//! Bounds-checked reads.

use crate::net::stack::assert_fits;

/// Bounds-checked reads. Code that parses packets uses this trait, so the same code can parse a
/// slice and an `sk_buff`.
///
/// Two reads at the same offset can return different bytes: a packet can have fragments in
/// pages that a program writes to, and the program can write between the reads. Code must
/// not assume that a second read returns the same bytes as the first.
pub trait ReadAt {
    /// The `N` bytes at `offset`; `None` if some of these bytes do not exist. A call with an `N`
    /// above 1,024 does not compile.
    fn read_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Whether there are at least `end` bytes, in the linear part or elsewhere.
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
