// SPDX-License-Identifier: GPL-2.0

//! The procedural macros of the userspace `kernel` crate.

use proc_macro::TokenStream;

/// Lets cargo run a KUnit suite, which is a module of `#[test]` functions.
#[proc_macro_attribute]
pub fn kunit_tests(_suite: TokenStream, module: TokenStream) -> TokenStream {
    let mut tests: TokenStream = "#[cfg(test)]".parse().expect("an attribute");
    tests.extend(module);
    tests
}
