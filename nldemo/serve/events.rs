// SPDX-License-Identifier: GPL-2.0

//! The events.

use super::super::{
    messages::NETNS_NTF,
    netns::NetNs,
    uapi::{
        NLDEMO_GROUP_EVENTS,
        NLDEMO_NETNS_A_COOKIE,
        NLDEMO_NETNS_A_EVENT, //
    }, //
};

use crate::net::{
    netlink::{
        Attribute,
        Group,
        KernelSocket,
        MessageType,
        Payload, //
    },
    pernet::Instance, //
};

const COOKIE: Attribute<u64> = Attribute::new(NLDEMO_NETNS_A_COOKIE);
const EVENT: Attribute<u32> = Attribute::new(NLDEMO_NETNS_A_EVENT);

const EVENTS: Group = Group::new(NLDEMO_GROUP_EVENTS);

/// Room for the attributes of a message about a namespace, in bytes.
const LEN_MAX: usize = 64;

/// Tells the initial network namespace, by an event, that another namespace was deleted.
///
/// Context: process, may sleep.
pub(crate) fn gone(instance: &Instance<'_, NetNs>, initial: &Instance<'_, NetNs>) {
    // The initial namespace is not deleted. Its instance is removed only when the module is
    // unloaded, or fails to load.
    if instance.net().cookie() == initial.net().cookie() {
        return;
    }
    let Some((_, socket)) = initial.attachments() else {
        return;
    };
    let mut numbers = initial.control.numbers.lock();
    let event = numbers.next_event();
    announce(socket, NETNS_NTF, || {
        let mut payload = Payload::<LEN_MAX>::new();
        payload.put(&COOKIE, instance.net().cookie());
        payload.put(&EVENT, event);
        payload
    });
}

/// Sends an event to all listeners.
pub(super) fn announce<const N: usize>(
    socket: &KernelSocket<NetNs>,
    msg_type: MessageType,
    attributes: impl FnOnce() -> Payload<N>,
) {
    if socket.has_listeners(EVENTS) {
        // The error is ignored, because a listener that misses an event sees a gap in the numbers
        // of the events.
        let _ = attributes()
            .bytes()
            .and_then(|bytes| socket.broadcast(EVENTS, msg_type, bytes));
    }
}
