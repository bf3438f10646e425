// SPDX-License-Identifier: MIT OR Apache-2.0

//! Consuming packets from a netfilter queue (`nfnetlink_queue`).
//!
//! ```no_run
//! use knetlink::RECEIVE_LEN;
//! use nfnetlink_queue::{Decision, Event, Options, Summary};
//!
//! let mut queue = Options::default().fail_open(true).bind(0)?;
//! let mut buffer = vec![0; RECEIVE_LEN];
//! loop {
//!     queue.wait(None, None)?;
//!     for event in queue.receive(&mut buffer)?.into_iter().flatten() {
//!         if let Event::Packet(queued) = event? {
//!             let icmp = Summary::parse(&queued.packet()?).and_then(|ip| ip.icmp);
//!             let decision = match icmp {
//!                 Some(icmp) if icmp.data_length > 1000 => Decision::DROP,
//!                 _ => Decision::ACCEPT.with_mark(7),
//!             };
//!             queue.decide(queued.id, decision)?;
//!         }
//!     }
//! }
//! # Ok::<(), nfnetlink_queue::Error>(())
//! ```
//!
//! [`Queue`] has a file descriptor to poll, and [`receive`](Queue::receive) does not block.

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
pub use queued::Queued;
pub use rewrite::Edit;
pub use rewrite::Rewritten;
pub use socket::Closed;
pub use socket::Queue;
pub use summary::Icmp;
pub use summary::Summary;
pub use unwritable::Unwritable;
pub use verdict::Decision;
pub use verdict::Verdict;

pub use linux_names::hook::Hook;
