// SPDX-License-Identifier: GPL-2.0

//! Bounds-checked reads.

use crate::net::stack::assert_fits;

/// Bounds-checked reads. Code that parses packets uses this trait, so it does not depend on the
/// place of the bytes.
///
/// Two reads of the same bytes may differ, because a program may write to the pages meanwhile. Code
/// must not assume that a second read returns what the first one did.
pub trait ReadAt {
    /// The `N` bytes at `offset`; `None` if some of them do not exist. With an `N` above 1,024 this
    /// does not compile.
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
