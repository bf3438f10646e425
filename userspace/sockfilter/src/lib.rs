// SPDX-License-Identifier: MIT OR Apache-2.0

//! Socket filters: BPF programs that the kernel runs for every packet or message of a socket.
//!
//! The programs are assembled here, so that nobody needs a compiler for BPF, put into an ELF image
//! as such a compiler writes it, and loaded by the crate `aya`:
//!
//! - [`Counter`] counts what an interface receives and sends, in a map that it shares with its
//!   program; no packet ever reaches userspace;
//! - [`MessageFilter`] lets through to a netlink socket some messages only, as everything that the
//!   kernel delivers to a socket goes through its filter.
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
