// SPDX-License-Identifier: GPL-2.0

//! What there is to tell of a packet.

use nfnetlink_queue::Decision;
use nfnetlink_queue::Packet;
use nfnetlink_queue::Summary;
use nfnetlink_queue::Unwritable;

use super::links::Names;

/// A packet that was decided.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) packet: &'a Packet<'a>,
    pub(super) ip: Option<&'a Summary>,
    pub(super) names: &'a Names,
    pub(super) decision: Decision,
    /// Whether the policy could decide it.
    pub(super) decided: bool,
    /// How giving it other content went, if that was wanted.
    pub(super) rewriting: Option<&'a Result<(), Unwritable>>,
    /// Place of its queue among those that are listened to.
    pub(super) queue_index: u32,
}
