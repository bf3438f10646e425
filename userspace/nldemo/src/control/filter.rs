// SPDX-License-Identifier: GPL-2.0

//! A filter for events.

use sockfilter::MessageFilter;
use sockfilter::Result;
use sockfilter::SocketFilter;

use super::event::EventKind;

/// Makes a filter that passes events of the given `kinds`, and all messages that are not events.
pub(super) fn events(kinds: &[EventKind]) -> Result<SocketFilter> {
    let others = EventKind::ALL
        .into_iter()
        .filter(|kind| !kinds.contains(kind));
    let filter = others.fold(MessageFilter::new("events"), |filter, kind| {
        filter.drop_kind(kind.message_kind())
    });
    filter.load()
}
