// SPDX-License-Identifier: GPL-2.0

//! The allocations of the kernel crate, for userspace. Here they never fail.

use std::ops::{
    Deref,
    DerefMut, //
};

/// The failure of an allocation.
#[derive(Debug)]
pub struct AllocError;

/// Flags of an allocation.
#[derive(Clone, Copy)]
pub struct Flags(());

/// The flags of an allocation in process context.
pub const GFP_KERNEL: Flags = Flags(());

/// A vector whose growth may fail.
#[derive(Debug)]
pub struct KVec<T>(Vec<T>);

impl<T> KVec<T> {
    /// An empty vector.
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends clones of the elements of `other`.
    pub fn extend_from_slice(&mut self, other: &[T], _flags: Flags) -> Result<(), AllocError>
    where
        T: Clone,
    {
        self.0.extend_from_slice(other);
        Ok(())
    }
}

impl<T> Deref for KVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
