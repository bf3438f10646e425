// SPDX-License-Identifier: GPL-2.0

//! What the module does, in safe code over [`crate::net`].

pub(crate) mod classify;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod echo;
pub(crate) mod hook;
mod spread;
pub(crate) mod stats;
pub(crate) mod uapi;
