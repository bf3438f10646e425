// SPDX-License-Identifier: GPL-2.0

//! How much of a kernel stack a value may take.

/// The size, in bytes, that no value may exceed if its type is the choice of safe code: an array of
/// any length, for example.
///
/// A kernel stack has 16 KiB (`THREAD_SIZE`), and a function may hold several copies of a value.
/// The compiler does not probe large frames. A frame that is larger than the guard page behind a
/// stack reaches into the stack of another task.
pub(crate) const VALUE_MAX: usize = 1 << 10;

/// Does not compile if values of type `T` are too large.
pub(crate) const fn assert_fits<T>() {
    assert!(
        size_of::<T>() <= VALUE_MAX,
        "values of this type are too large for a kernel stack"
    );
}
