// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names for numbers of Linux, and the errors of system calls.
//!
//! - [`interface`][]: interfaces;
//! - [`hook`][]: the points at which netfilter calls hooks;
//! - [`icmp`][]: types of ICMP and ICMPv6;
//! - [`module`][]: modules of the kernel;
//! - [`process`][]: processes, by the sockets that they have open;
//! - [`network`] and [`number`]: ranges of addresses, and numbers, as users write them;
//! - [`similar`][]: suggestions for a misspelt word;
//! - [`text`][]: bytes from other programs, in a form that does no harm to a terminal;
//! - [`constant`][]: constants of C with the width that they have on the wire.
//!
//! ```
//! use linux_names::interface;
//!
//! let error = interface::index("no-such0").unwrap_err();
//! assert!(error.to_string().starts_with("there is no interface 'no-such0'"));
//! ```

pub mod constant;
mod error;
mod family;
pub mod hook;
pub mod icmp;
pub mod interface;
pub mod module;
pub mod network;
pub mod number;
pub mod process;
pub mod similar;
pub mod text;

pub use error::Error;
pub use error::Fix;
pub use error::Result;
pub use error::errno_of;
pub use family::Family;
