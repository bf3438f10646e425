// SPDX-License-Identifier: GPL-2.0

//! Numbers that nobody can guess.
//!
//! C header: [`include/linux/random.h`](srctree/include/linux/random.h)

use kernel::bindings;

/// A number that nobody can guess. Context: any.
pub fn get_random_u64() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::get_random_u64() }
}
