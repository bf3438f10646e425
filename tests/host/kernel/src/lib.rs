// SPDX-License-Identifier: GPL-2.0

//! What the module's pure logic uses of the kernel crate, for userspace.
//!
//! The same names with the same meaning, as far as the sources under test need them.

pub mod alloc;
pub mod bindings;
pub mod error;

/// What every kernel source imports.
pub mod prelude {
    pub use crate::{
        alloc::{
            KVec,
            GFP_KERNEL, //
        },
        error::{
            code::*,
            Error,
            Result, //
        },
    };
    pub use kernel_macros::kunit_tests;
    pub use std::ffi::CStr;
}
