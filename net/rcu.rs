// SPDX-License-Identifier: GPL-2.0

//! Values that are read under RCU and replaced as a whole.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use kernel::{
    bindings,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full, //
        },
        rcu::read_lock, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

use super::{
    compat::kvfree_rcu_head,
    stack::assert_fits, //
};

/// Proof that the caller is in an RCU read-side critical section: its own section, or one that the
/// kernel's C code entered before it called us.
///
/// A guard would be unsound as proof: safe code can leak a guard, and could then keep a reference
/// to an RCU-protected value for ever. But the RCU section ends nevertheless, at the latest when
/// the task exits (`exit_rcu()`).
///
/// # Invariants
///
/// The section lasts for the lifetime of every reference to a `ReadSide`.
pub struct ReadSide(NotThreadSafe);

impl ReadSide {
    /// Calls `f` in a section of its own, which ends when `f` returns.
    ///
    /// Context: any. `f` must not sleep.
    #[inline]
    pub fn with<R>(f: impl FnOnce(&Self) -> R) -> R {
        let _guard = read_lock();
        // SAFETY: The guard keeps the section open until `f` has returned. `f` accepts any
        // lifetime, so it cannot keep the reference after it returns.
        f(unsafe { Self::assume() })
    }

    /// The RCU section that the caller is already in.
    ///
    /// # Safety
    ///
    /// During `'a` the caller must be in an RCU read-side critical section.
    #[inline]
    pub(super) unsafe fn assume<'a>() -> &'a Self {
        // INVARIANT: The caller promises to be in a section during `'a`.
        &Self(NotThreadSafe)
    }
}

/// A value that can be replaced while others read it. A reader sees either the old or the new
/// value.
///
/// # Examples
///
/// ```
/// # use net::rcu::{Prepared, Published, ReadSide};
/// #[derive(Clone, Copy)]
/// struct Limits {
///     low: u32,
///     high: u32,
/// }
///
/// # fn example() -> Result {
/// let limits = Published::new(Limits { low: 1, high: 2 })?;
/// limits.publish(Prepared::new(Limits { low: 3, high: 4 })?);
/// assert_eq!(ReadSide::with(|section| limits.read(section).low), 3);
/// # Ok(())
/// # }
/// # assert!(example().is_ok());
/// ```
///
/// # Invariants
///
/// `current` comes from `Prepared::into_raw`. Its memory is valid until `current` was
/// replaced and a grace period has passed after that.
pub struct Published<T: Copy + Send + Sync + 'static> {
    current: Atomic<*mut Node<T>>,
}

// SAFETY: A thread that replaces a value sends the new value to other threads, and threads
// that read a value share it. `T` is `Send` and `Sync`, so threads may send and share its
// values.
unsafe impl<T: Copy + Send + Sync> Send for Published<T> {}
// SAFETY: The same argument as for `Send`.
unsafe impl<T: Copy + Send + Sync> Sync for Published<T> {}

/// A value in memory that RCU can free.
///
/// The head comes first: `kvfree_call_rcu()` computes the start of the memory from it, and assumes
/// that the head is in the first page (`kvmalloc_obj_start_addr()`).
#[repr(C)]
struct Node<T> {
    head: Opaque<kvfree_rcu_head>,
    value: T,
}

/// A value that is ready to be published. Its memory is allocated, so that publishing cannot fail.
///
/// `T` must be `Copy`, because RCU frees a replaced value without running a destructor.
pub struct Prepared<T: Copy + Send + Sync + 'static>(KBox<Node<T>>);

impl<T: Copy + Send + Sync> Prepared<T> {
    /// Allocates memory for the value. Context: process, may sleep.
    ///
    /// A type of more than 1,024 bytes does not compile, because values are passed on the stack.
    pub fn new(value: T) -> Result<Self> {
        const { assert_fits::<T>() };
        let node = Node {
            head: Opaque::uninit(),
            value,
        };
        Ok(Self(KBox::new(node, GFP_KERNEL)?))
    }

    fn into_raw(self) -> *mut Node<T> {
        KBox::into_raw(self.0)
    }
}

impl<T: Copy + Send + Sync> Published<T> {
    /// Makes a `Published` whose first value is `value`. Context: process, may sleep.
    pub fn new(value: T) -> Result<Self> {
        // INVARIANT: `into_raw` returned the pointer.
        Ok(Self {
            current: Atomic::new(Prepared::new(value)?.into_raw()),
        })
    }

    /// The value, for as long as the reader stays in `_section`. Context: any.
    #[inline]
    pub fn read<'a>(&'a self, _section: &'a ReadSide) -> &'a T {
        // A volatile read, as in `rcu_dereference()`. `Atomic::load()` would call a C
        // function, which takes longer.
        //
        // SAFETY: The cell is valid. `publish` can write to the cell at the same time, by an atomic
        // operation. In the kernel's memory model a volatile read of a pointer does not race with
        // an atomic operation.
        let current = unsafe { self.current.as_ptr().read_volatile() };
        // SAFETY: By the type invariants the pointer stays valid until a grace period has passed
        // after the pointer was replaced. No such grace period passes before the section ends. The
        // value was written before the pointer was published, and no CPU reads through a pointer
        // before it has read the pointer.
        unsafe { &(*current).value }
    }

    /// Replaces the value. The old value is freed after a grace period, for which this call does
    /// not wait.
    ///
    /// Context: any in which locks may be taken.
    pub fn publish(&self, value: Prepared<T>) {
        // INVARIANT: `into_raw` returned the new pointer. The call below frees the old value after
        // a grace period.
        let old = self.current.xchg(value.into_raw(), Full);
        // SAFETY: By the type invariants the memory comes from a `KBox`, so from `kmalloc()`. Only
        // this call frees it, because only this call took the pointer out. `head`, at the start of
        // the memory, is not used for anything else.
        unsafe { bindings::kvfree_call_rcu((*old).head.get(), old.cast()) };
    }
}

impl<T: Copy + Send + Sync> Drop for Published<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the memory comes from a `KBox`. Nobody reads the value any
        // more, because every reader borrows `self`.
        drop(unsafe { KBox::from_raw(*self.current.get_mut()) });
    }
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_rcu)]
mod tests {
    use super::*;

    use core::ptr::from_ref;

    #[test]
    fn readers_keep_what_they_read() -> Result {
        let published = Published::new([1u64; 4])?;
        ReadSide::with(|section| assert!(*published.read(section) == [1; 4]));
        for round in 2..100 {
            let next = Prepared::new([round; 4])?;
            ReadSide::with(|section| {
                let before = published.read(section);
                published.publish(next);
                assert!(*before == [round - 1; 4]);
                assert!(*published.read(section) == [round; 4]);
                assert!(from_ref(before) != from_ref(published.read(section)));
            });
        }
        Ok(())
    }

    #[test]
    fn what_is_not_published_is_freed() -> Result {
        for round in 0..100u64 {
            drop(Prepared::new([round; 8])?);
        }
        Ok(())
    }
}
