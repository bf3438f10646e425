// SPDX-License-Identifier: GPL-2.0

//! What lives in every network namespace.

use kernel::prelude::*;

use super::{
    control::Control,
    stats::Statistics, //
};

use crate::net::{
    netlink::Protocol,
    pernet::Instance, //
};

/// What lives in every network namespace.
#[pin_data]
pub(crate) struct NetNs {
    pub(crate) protocol: Protocol,
    #[pin]
    pub(crate) control: Control,
    pub(crate) statistics: Statistics,
    /// Keeps anyone from guessing the queue that a flow goes to.
    pub(crate) seed: u64,
}

/// Whether the hooks of a network namespace are registered where its configuration wants them. They are
/// not if the namespace had no room for them, and not yet while it is being set up.
///
/// Context: process, may sleep.
pub(super) fn hooked(instance: &Instance<'_, NetNs>) -> bool {
    instance
        .attachments()
        .is_some_and(|(hooks, _)| hooks.are_complete())
}
