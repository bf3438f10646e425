// SPDX-License-Identifier: GPL-2.0

//! The limit for the size of a value on a kernel stack.

/// The largest size, in bytes, of a value whose type safe code chooses. Such a type can be an array
/// of any length.
///
/// A kernel stack has 16 KiB (`THREAD_SIZE`), and a function can hold several copies of a value.
/// The compiler does not check large frames (no stack probes). So a frame that is larger than the
/// guard page behind the stack can reach into the stack of another task.
pub(crate) const VALUE_MAX: usize = 1 << 10;

/// Fails to compile if values of type `T` are too large.
pub(crate) const fn assert_fits<T>() {
    assert!(
        size_of::<T>() <= VALUE_MAX,
        "values of this type are too large for a kernel stack"
    );
}
