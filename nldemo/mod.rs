// SPDX-License-Identifier: GPL-2.0

//! What the module does, in safe code over [`crate::net`].

#[allow(dead_code, unused_imports)] // The hook of IPv6 is to come.
pub(crate) mod classify;
pub(crate) mod config;
pub(crate) mod echo;
#[allow(dead_code)] // The range of queues is to come.
pub(crate) mod spread;
mod uapi;
