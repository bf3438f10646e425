// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions over the kernel's networking core, for modules in Rust.
//!
//! - [`pernet`]: state of the module in every network namespace, and the teardown of this state.
//! - [`netlink`]: a kernel netlink socket in every network namespace, which serves a protocol;
//!   families of generic netlink.
//! - [`netfilter`]: hooks on the path of packets, in every network namespace.
//! - [`skbuff`]: a packet borrowed for the duration of one call.
//! - [`parameters`]: parameters of the module, as modules in C have them.
//! - [`percpu`], [`rcu`]: counters for each CPU, and values that can be replaced while other
//!   CPUs read them.
//!
//! A module has one type that implements [`pernet::Subsystem`] and names the attachments of its
//! instances. The type also implements the traits whose functions these attachments call:
//! [`netlink::Input`], [`netlink::generic::Family`] and [`netfilter::Hook`]. All registrations
//! with the kernel are made and kept by `pernet`. Safe code never holds a registration, so it
//! cannot leak, forget or reorder registrations.

// Only this module and its submodules contain `unsafe` code. This module must be `mod net` in
// the root of a crate, because its files import each other from `crate::net`, as they would in
// the kernel crate.
#![expect(unsafe_code)]
// A kernel module may use only a part of `net/`, so unused code causes no warning. Only in the
// build with the KUnit tests (`net_kunit`), unused code causes warnings.
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

#[allow(unused_imports)] // Some modules use only one of these macros, or none.
pub(crate) use self::parameters::{
    module_parameters,
    module_version, //
};
