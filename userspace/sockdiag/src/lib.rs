// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lists and destroys the sockets of a network namespace (`NETLINK_SOCK_DIAG`).
//!
//! ```no_run
//! use sockdiag::{Dump, Filter, Query};
//!
//! let filter = Filter::new(["tcp".parse()?, "state=listen".parse()?])?;
//! for query in Query::all(&filter) {
//!     for part in Dump::begin(query, &filter)? {
//!         for socket in part? {
//!             println!("{socket:?}");
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The kernel lists the sockets in parts. At any time, only one part is in memory.

mod bytecode;
mod destroy;
mod dump;
mod filter;
mod inet;
mod kind;
mod netlink;
mod owners;
mod packet;
mod ping;
mod socket;
mod state;
mod table;
mod unix;
mod wire;

pub use destroy::Destroyer;
pub use destroy::Fate;
pub use destroy::Target;
pub use dump::Dump;
pub use dump::Query;
pub use filter::Filter;
pub use filter::FilterError;
pub use filter::ParseTermError;
pub use filter::Term;
pub use kind::Kind;
pub use owners::Owners;
pub use socket::Details;
pub use socket::Endpoint;
pub use socket::Ip;
pub use socket::Netlink;
pub use socket::Packet;
pub use socket::Queues;
pub use socket::Socket;
pub use socket::SocketType;
pub use socket::Timer;
pub use socket::TimerKind;
pub use socket::Unix;
pub use socket::UnixName;
pub use state::State;
pub use state::StateSet;

pub use linux_names::Family;
