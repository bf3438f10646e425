// SPDX-License-Identifier: GPL-2.0

//! The procedural macros of the userspace `kernel` crate.

use proc_macro::TokenStream;

/// Leaves a KUnit suite as it is: a module of `#[test]` functions, which cargo runs.
#[proc_macro_attribute]
pub fn kunit_tests(_suite: TokenStream, module: TokenStream) -> TokenStream {
    module
}
