// SPDX-License-Identifier: GPL-2.0

//! The module's control plane: the configuration of a network namespace, its statistics, and the
//! events that report changes.
//!
//! ```no_run
//! use nldemo::control::{Control, Monitor, Notice, Setting};
//! use nldemo::protocol::PROTOCOL_DEFAULT;
//!
//! let mut monitor = Monitor::open(PROTOCOL_DEFAULT)?;
//! let mut control = Control::open(PROTOCOL_DEFAULT)?;
//! let setting: Setting = "ipv6-types=echo,1-4".parse().unwrap();
//! control.change(&[Setting::Queues(4), setting])?;
//! println!("{} packets queued", control.stats()?.stats.ipv4.queued);
//! while let Some(notice) = monitor.next(None, None)? {
//!     if let Notice::Config { changes, .. } = notice {
//!         println!("{changes:?}");
//!     }
//! }
//! # Ok::<(), nldemo::Error>(())
//! ```

mod client;
mod config;
mod event;
mod filter;
mod hooks;
mod monitor;
mod priority;
mod setting;
mod spread;
mod stats;
mod types;

pub use client::Control;
pub use config::Config;
pub use event::Event;
pub use event::EventKind;
pub use event::ParseEventKindError;
pub use hooks::HookSet;
pub use monitor::Monitor;
pub use monitor::Notice;
pub use priority::PRIORITIES;
pub use priority::priority_name;
pub use setting::Change;
pub use setting::Key;
pub use setting::ParseSettingError;
pub use setting::Setting;
pub use spread::Spread;
pub use stats::COUNTERS;
pub use stats::CpuStats;
pub use stats::Packets;
pub use stats::Stats;
pub use stats::Totals;
pub use types::TypeSet;
