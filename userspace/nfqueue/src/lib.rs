// SPDX-License-Identifier: MIT OR Apache-2.0

//! Consuming packets from a netfilter queue (`nfnetlink_queue`).
//!
//! ```no_run
//! use nfnetlink_queue::{Decision, Options, RECEIVE_LEN, Summary};
//!
//! let mut queue = Options::default().fail_open(true).bind(0)?;
//! let mut buffer = vec![0; RECEIVE_LEN];
//! loop {
//!     let queued = queue.next_packet(&mut buffer)?;
//!     let icmp = Summary::parse(&queued.packet()?).and_then(|ip| ip.icmp);
//!     let decision = match icmp {
//!         Some(icmp) if icmp.data_length > 1000 => Decision::DROP,
//!         _ => Decision::ACCEPT.with_mark(7),
//!     };
//!     queue.decide(queued.id, decision)?;
//! }
//! # Ok::<(), nfnetlink_queue::Error>(())
//! ```
//!
//! # Waiting
//!
//! [`Queue::next_packet`] blocks. [`Queue::receive`] does not, and tells of everything that comes;
//! the queue has a file descriptor to poll ([`AsFd`](std::os::fd::AsFd)), and [`Queue::wait`] polls
//! it together with a deadline and a second descriptor that ends the wait. With the feature `tokio`,
//! `AsyncQueue` is a stream of packets.
//!
//! # Verdicts
//!
//! A verdict needs the id of the packet and no more. The queue keeps it until the kernel has it:
//! after an error for which [`Error::is_temporary`] holds, it goes with the next one, while a
//! packet is waited for, or by [`Queue::flush`]. If the packet is gone by then, the kernel's refusal
//! is told as an [`Event`] or counted ([`Queue::refusals`]), and is no error.
//!
//! With [`Options::batching`] one message to the kernel decides many packets.
//!
//! # Losses
//!
//! A full queue or socket ends nothing. The kernel drops packets that find no room, or lets them
//! pass ([`Options::fail_open`]), and [`Queue::losses`] tells how many there were.
//!
//! # Features
//!
//! - `tokio`: `AsyncQueue`. Off by default.

#[cfg(feature = "tokio")]
mod async_queue;
mod checksum;
mod error;
mod event;
mod layout;
mod namespace;
mod options;
mod outbox;
mod owner;
mod packet;
mod queued;
mod rewrite;
mod socket;
mod summary;
mod unwritable;
mod verdict;
mod wire;

#[cfg(feature = "tokio")]
pub use async_queue::AsyncQueue;
pub use error::Error;
pub use error::Result;
pub use event::Event;
pub use event::Events;
pub use options::Batching;
pub use options::CopyMode;
pub use options::Options;
pub use owner::KernelLosses;
pub use owner::QueueHolder;
pub use owner::QueueState;
pub use owner::bound_queues;
pub use packet::Conntrack;
pub use packet::Offload;
pub use packet::Packet;
pub use packet::Vlan;
pub use queued::OwnedPacket;
pub use queued::Queued;
pub use rewrite::Edit;
pub use rewrite::Rewritten;
pub use socket::Closed;
pub use socket::Queue;
pub use socket::Refusals;
pub use socket::SOON;
pub use summary::Cut;
pub use summary::Icmp;
pub use summary::Summary;
pub use unwritable::Unwritable;
pub use verdict::Decision;
pub use verdict::Verdict;

/// That the example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use knetlink;
pub use knetlink::Inbox;
pub use knetlink::Malformed;
pub use knetlink::RECEIVE_LEN;
pub use knetlink::Status;
pub use knetlink::Wake;
pub use linux_names::hook::Hook;
pub use linux_names::process::Process;
pub use nix::errno::Errno;
