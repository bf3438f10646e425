// SPDX-License-Identifier: GPL-2.0

//! The C items of `kernel::bindings`, and the C items that `net/` needs and `kernel::bindings`
//! lacks. bindgen generates the second kind from `bindings_helper.h`.

// The code that bindgen generates does not follow these lints.
#![allow(
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unreachable_pub,
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks
)]

pub use kernel::bindings::*;

/// `sock_common` has a pointer to this type. Nothing else uses the type.
#[repr(C)]
pub struct proto {
    _opaque: [u8; 0],
}

/// `sock_common` has a pointer to this type. Nothing else uses the type.
#[repr(C)]
pub struct inet_timewait_death_row {
    _opaque: [u8; 0],
}

include!(concat!(env!("NET_OUT"), "/net.bindings.rs"));
