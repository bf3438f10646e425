// SPDX-License-Identifier: MIT OR Apache-2.0

//! Netlink with the kernel: the framing of messages and attributes, and a socket that receives
//! only from the kernel.
//!
//! ```
//! use knetlink::{KernelSocket, Message};
//!
//! const NETLINK_ROUTE: u8 = 0;
//! const RTM_GETLINK: u16 = 18;
//! const NLM_F_DUMP: u16 = 0x300;
//!
//! let mut socket = KernelSocket::open(NETLINK_ROUTE)?;
//! let mut links = 0;
//! let end = socket.ask(RTM_GETLINK, NLM_F_DUMP, &[0; 16], |_link: &Message<'_>| {
//!     links += 1;
//!     Ok(())
//! })?;
//! assert!(end.is_some_and(|status| status.errno.is_none()) && links > 0);
//! # Ok::<(), knetlink::Error>(())
//! ```
//!
//! No function here panics on the bytes that the kernel or another program sends.

mod answer;
pub mod attr;
mod error;
mod framing;
mod inbox;
mod message;
mod socket;
mod status;
mod wait;

pub use answer::Answer;
pub use error::Error;
pub use error::Result;
pub use framing::Malformed;
pub use framing::aligned;
pub use inbox::Inbox;
pub use message::HEADER_LEN;
pub use message::Message;
pub use message::Messages;
pub use socket::KernelSocket;
pub use socket::RECEIVE_LEN;
pub use status::Status;
pub use wait::Wake;
pub use wait::already_readable;
pub use wait::wait;
