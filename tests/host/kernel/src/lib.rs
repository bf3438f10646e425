// SPDX-License-Identifier: GPL-2.0

//! The parts of the kernel crate that the module's pure logic uses, for userspace.
//!
//! Names have the same meaning as in the kernel. Only the names that the sources under test use exist.

pub mod alloc;
pub mod bindings;
pub mod error;

/// The items that every kernel source imports.
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
