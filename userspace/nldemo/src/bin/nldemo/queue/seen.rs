// SPDX-License-Identifier: GPL-2.0

//! The information to print about a packet.

use nfnetlink_queue::Decision;
use nfnetlink_queue::Packet;
use nfnetlink_queue::Summary;
use nfnetlink_queue::Unwritable;

use super::links::Names;

/// A packet that was decided.
pub(super) struct Seen<'a> {
    pub(super) packet: Packet<'a>,
    pub(super) ip: Option<Summary>,
    pub(super) names: Names,
    pub(super) decision: Decision,
    /// Whether the policy could decide the packet.
    pub(super) decided: bool,
    /// The result of the rewriting, if the user asked for rewriting.
    pub(super) rewriting: Option<Result<(), Unwritable>>,
}

#[cfg(test)]
pub(super) mod tests {
    use std::rc::Rc;

    use knetlink::Message;
    use knetlink::attr;
    use nfnetlink_queue::Event;
    use nfnetlink_queue::Events;

    use super::*;
    use crate::queue::links::Name;

    /// An echo request of 10 bytes from 10.9.0.2 to 10.9.0.1.
    const PING: [u8; 38] = [
        0x45, 0, 0, 38, 0, 0, 0, 0, 64, 1, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1, 8, 0, 0, 0, 0, 156, 0,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    ];

    /// The kernel's message about the packet [`PING`], which came in by interface 7.
    pub(in crate::queue) fn message() -> Vec<u8> {
        let mut payload = vec![2, 0, 0, 3];
        attr::append(&mut payload, 1, [0, 0, 0, 5, 8, 0, 0]);
        attr::append(&mut payload, 5, [0, 0, 0, 7]);
        attr::append_slice(&mut payload, 10, &PING);
        let mut datagram = Vec::new();
        let message = Message {
            kind: 0x0300,
            flags: 0,
            sequence: 0,
            portid: 0,
            payload: &payload,
        };
        message.append_to(&mut datagram);
        datagram
    }

    pub(in crate::queue) fn seen(message: &[u8]) -> Seen<'_> {
        let Some(Ok(Event::Packet(queued))) = Events::new(message).next() else {
            panic!("it is a packet");
        };
        let packet = queued.packet().unwrap();
        let names = Names {
            indev: Some(Rc::new(Name::new("ho\u{1b}st0"))),
            ..Names::default()
        };
        Seen {
            ip: Summary::parse(&packet),
            packet,
            names,
            decision: Decision::ACCEPT,
            decided: true,
            rewriting: None,
        }
    }
}
