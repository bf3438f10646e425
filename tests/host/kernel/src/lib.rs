// SPDX-License-Identifier: GPL-2.0

//! A kernel crate for userspace, with the parts that the module's pure logic uses.
//!
//! Each name has the meaning that it has in the real kernel crate. Names that the sources under
//! test do not use are left out.

pub mod alloc;
pub mod bindings;
pub mod error;

/// The items that every Rust source of the kernel imports.
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
