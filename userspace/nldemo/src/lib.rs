// SPDX-License-Identifier: GPL-2.0

//! The library of the program `nldemo`, for the kernel module `rust_nldemo`.
//!
//! The module opens a raw netlink socket that echoes messages, and hands ICMP packets to
//! `nfnetlink_queue`. This crate implements the module's protocol. The program `nldemo` adds only a
//! command line and output. The modules of this crate:
//!
//! - [`echo`] sends messages to the module and checks every byte of the replies;
//! - [`control`] reads and changes the configuration, reads statistics and receives events;
//! - [`protocol`] has the constants of the module's netlink protocol;
//! - [`policy`] and [`replacement`] parse decisions about packets from text. The crate
//!   `nfnetlink_queue` receives these packets from a netfilter queue;
//! - [`pcapng`], [`hexdump`] and [`hex`] write packets, as blocks of a capture file or as text.
//!
//! No message can make this crate panic, whether the kernel or another process sends it.

pub mod control;
pub mod durations;
pub mod echo;
mod error;
pub mod hex;
pub mod hexdump;
mod mismatch;
pub mod netns;
#[cfg(test)]
mod packets;
pub mod pcapng;
pub mod policy;
pub mod protocol;
pub mod replacement;
pub mod stop;

pub use error::Error;
pub use error::Result;
