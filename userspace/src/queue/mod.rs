// SPDX-License-Identifier: GPL-2.0

//! Consuming packets from a netfilter queue (`nfnetlink_queue`).
//!
//! ```no_run
//! use nldemo::netlink::RECEIVE_LEN;
//! use nldemo::queue::{Event, Policy, Queue, Summary};
//!
//! let mut queue = Queue::bind(0)?;
//! let policy: Policy = "echo-size=32".parse().unwrap();
//! let mut buffer = vec![0; RECEIVE_LEN];
//! loop {
//!     queue.wait(None, None)?;
//!     for event in queue.receive(&mut buffer)?.into_iter().flatten() {
//!         if let Event::Packet(packet) = event? {
//!             let verdict = policy.decide(Summary::parse(&packet).as_ref());
//!             queue.decide(packet.id, verdict)?;
//!         }
//!     }
//! }
//! # Ok::<(), nldemo::Error>(())
//! ```

mod codec;
mod owner;
mod policy;
mod socket;
mod summary;

pub use codec::Event;
pub use codec::Events;
pub use codec::Hook;
pub use codec::Packet;
pub use codec::Verdict;
pub use owner::KernelLosses;
pub use owner::Process;
pub use owner::QueueHolder;
pub use policy::ParsePolicyError;
pub use policy::Policy;
pub use socket::Closed;
pub use socket::Queue;
pub use summary::Icmp;
pub use summary::Summary;
