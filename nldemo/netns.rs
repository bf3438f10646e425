// SPDX-License-Identifier: GPL-2.0

//! The module's state in one network namespace.

use kernel::prelude::*;

use super::{
    control::Control,
    stats::Statistics, //
};

use crate::net::{
    netlink::Protocol,
    pernet::Instance, //
};

/// The module's state in one network namespace.
#[pin_data]
pub(crate) struct NetNs {
    pub(crate) protocol: Protocol,
    #[pin]
    pub(crate) control: Control,
    pub(crate) statistics: Statistics,
    /// A random number, so that nobody can guess the queue of a flow.
    pub(crate) seed: u64,
}

/// Whether the hooks that the configuration of a network namespace asks for are registered. The
/// hooks are missing if a hook point of the namespace already had too many hooks, and while the
/// namespace is being set up.
///
/// Context: process, may sleep.
pub(super) fn hooked(instance: &Instance<'_, NetNs>) -> bool {
    instance
        .attachments()
        .is_some_and(|(hooks, _)| hooks.are_complete())
}
