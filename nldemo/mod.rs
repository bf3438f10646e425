// SPDX-License-Identifier: GPL-2.0

//! What the module does, in safe code that uses [`crate::net`].

mod classify;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod hook;
pub(crate) mod messages;
pub(crate) mod netns;
pub(crate) mod serve;
mod spread;
pub(crate) mod stats;
mod uapi;
