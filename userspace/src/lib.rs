// SPDX-License-Identifier: GPL-2.0

//! Userspace peer of the `rust_nldemo` kernel module.
//!
//! The module opens a raw netlink socket that echoes messages, and hands ICMP packets to
//! `nfnetlink_queue`. This crate speaks to both, and the `nldemo` program is a thin layer of
//! command line and output on top of it:
//!
//! - [`echo`] sends messages to the module and checks every byte that comes back;
//! - [`control`] reads and changes what the module queues, reads its statistics and follows its
//!   events;
//! - [`filter`] loads socket filters: one that counts traffic, and some for the module's messages;
//! - [`queue`] binds a netfilter queue, decodes its packets, gives verdicts and rewrites;
//!   [`pcapng`] writes packets to a capture file;
//! - [`diag`] lists the sockets of a network namespace, the module's own among them, and destroys
//!   those that are to go.
//!
//! Underneath are [`netlink`], a netlink socket that hears the kernel only; [`message`] and
//! [`attr`], the two framings inside a datagram; and [`protocol`], the numbers that module and
//! peer share. Nothing here panics on what the kernel, or anybody else, sends.

mod answer;
pub mod attr;
pub mod control;
pub mod diag;
pub mod durations;
pub mod echo;
mod error;
pub mod filter;
mod framing;
pub mod hexdump;
pub mod icmp;
pub mod interface;
pub mod message;
mod mismatch;
pub mod netlink;
pub mod netns;
pub mod network;
pub mod pcapng;
pub mod process;
pub mod protocol;
pub mod queue;
mod status;
pub mod stop;
pub mod text;
pub mod wait;

pub use error::Error;
pub use error::Result;
pub use framing::Malformed;
pub use framing::aligned;
pub use status::Status;
