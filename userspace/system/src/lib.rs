// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names of what Linux numbers, and what a failed system call says.
//!
//! - [`interface`]: network devices;
//! - [`process`]: processes, by the sockets that they have open;
//! - [`icmp`]: types of ICMP and ICMPv6;
//! - [`network`]: ranges of addresses;
//! - [`text`]: bytes that others chose, so that they do a terminal no harm.
//!
//! ```
//! use linux_names::interface;
//!
//! let error = interface::index("no-such0").unwrap_err();
//! assert!(error.to_string().starts_with("there is no interface 'no-such0'"));
//! ```

mod error;
pub mod icmp;
pub mod interface;
pub mod network;
pub mod process;
pub mod text;

pub use error::Error;
pub use error::Fix;
pub use error::Result;
pub use error::errno_of;
