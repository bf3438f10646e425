// SPDX-License-Identifier: GPL-2.0

//! The echo client: sends messages to the module, and checks the replies.
//!
//! ```no_run
//! use nldemo::echo::{Client, Options, Payload, RoundTrips};
//!
//! let mut client = Client::open(Options::default())?;
//! let mut round_trips = RoundTrips::default();
//! let payload = Payload::Fixed(b"hello kernel".to_vec());
//! client.exchange(&payload, 1, None, &mut round_trips)?;
//! println!("{:?}", round_trips.summary());
//! # Ok::<(), nldemo::Error>(())
//! ```

mod client;
mod exchange;
mod filter;
mod payload;

pub use client::Client;
pub use client::Options;
pub use filter::Parity;
pub use filter::echoes;
pub use payload::Payload;

pub use crate::durations::Durations as RoundTrips;
pub use crate::durations::Figures as Summary;
pub use crate::mismatch::Mismatch;
