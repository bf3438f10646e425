// SPDX-License-Identifier: GPL-2.0

//! The handlers of messages, and the events.

pub(crate) mod config;
pub(crate) mod echo;
pub(crate) mod events;
pub(crate) mod stats;
