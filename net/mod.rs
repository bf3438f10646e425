// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions over the kernel's networking core, for modules in Rust.
//!
//! - [`pernet`]: a module with state in every network namespace, and its teardown.
//! - [`netlink`]: a kernel netlink socket in every network namespace, and the protocol it speaks;
//!   families of generic netlink.
//! - [`netfilter`]: hooks on the path of packets, in every network namespace.
//! - [`skbuff`]: a packet borrowed for the duration of one call.
//! - [`parameters`]: parameters of the module, as modules in C have them.
//! - [`percpu`], [`rcu`]: counters for each CPU, and values that can be replaced while others read
//!   them.
//!
//! One type connects the pieces. It implements [`pernet::Subsystem`] and names the attachments of
//! its instances. The attachments call the traits [`netlink::Input`],
//! [`netlink::generic::Family`] and [`netfilter::Hook`], which the type implements, too. The
//! framework owns every registration. Safe code never holds a registration, so it cannot leak,
//! forget or reorder one.

// This module tree is the only place of the crate with `unsafe` code. It must be `mod net` in the
// root of a crate: its files import each other from `crate::net`, as they would in the kernel
// crate.
#![expect(unsafe_code)]
// A module may use only a part of `net/`. The build of the module that tests `net/` reports code
// that nothing uses.
#![cfg_attr(not(net_kunit), allow(dead_code, unreachable_pub, unused_imports))]

mod acquire;
mod bindings;
mod compat;
mod module;
mod read_at;
mod stack;
mod task;

pub mod device;
pub mod namespace;
#[cfg(CONFIG_NETFILTER)]
pub mod netfilter;
pub mod netlink;
pub mod parameters;
#[cfg(all(CONFIG_64BIT, CONFIG_SMP))]
pub mod percpu;
pub mod pernet;
pub mod random;
pub mod rcu;
pub mod skbuff;

#[allow(unused_imports)] // A module need not have parameters, nor a version.
pub(crate) use self::parameters::{
    module_parameters,
    module_version, //
};
