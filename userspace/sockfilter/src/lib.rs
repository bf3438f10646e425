// SPDX-License-Identifier: MIT OR Apache-2.0

//! Socket filters: BPF programs that the kernel runs for every packet or message of a socket.
//!
//! This crate assembles the programs, so its users need no compiler for BPF. It puts a program into
//! an ELF image, as a compiler does, and the crate `aya` loads the image. There are two filters:
//!
//! - [`Counter`] counts the packets that an interface receives and sends. A BPF program counts the
//!   packets in a map, and the `Counter` reads the map. No packet reaches userspace.
//! - [`MessageFilter`] drops some messages before a netlink socket receives them. The kernel runs
//!   the filter for each datagram that it would deliver to the socket.
//!
//! ```no_run
//! use sockfilter::Counter;
//!
//! let counter = Counter::open("eth0".parse()?)?;
//! std::thread::sleep(std::time::Duration::from_secs(1));
//! println!("{} packets of TCP came in", counter.read()?.received.tcp.packets);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assembler;
mod counter;
mod counts;
mod error;
mod image;
mod loaded;
mod message;
mod skb;
mod traffic;

pub use counter::Counter;
pub use counts::Counts;
pub use counts::Protocols;
pub use counts::Volume;
pub use error::Error;
pub use error::Result;
pub use loaded::SocketFilter;
pub use message::MessageFilter;
