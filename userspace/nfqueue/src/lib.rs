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
//! [`Queue::next_packet`] blocks. [`Queue::receive`] does not block, and returns all kinds of
//! events. The queue has a file descriptor to poll ([`AsFd`](std::os::fd::AsFd)). [`Queue::wait`]
//! polls it with a deadline, and with a second descriptor that ends the wait. With the feature
//! `tokio`, `AsyncQueue` is a stream of packets.
//!
//! # Verdicts
//!
//! A verdict needs only the id of the packet. The queue keeps a verdict until the kernel has it. If
//! sending fails with an error for which [`Error::is_temporary`] is true, the queue sends the
//! verdict again: with the next verdict, while it waits for a packet, or by [`Queue::flush`]. If
//! the packet is gone by then, the kernel refuses the verdict. Such a refusal is no error: it is an
//! [`Event`], or is counted ([`Queue::refusals`]).
//!
//! With [`Options::batching`], one message to the kernel can decide many packets.
//!
//! # Losses
//!
//! If the queue or the socket is full, the kernel drops the packets that have no room, or lets them
//! pass ([`Options::fail_open`]). [`Queue::losses`] returns the number of dropped packets. The
//! queue still works afterwards.
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
pub use socket::AGAIN;
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

/// Compiles the example of the README.
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
