// SPDX-License-Identifier: GPL-2.0

//! Packets for tests.

use std::sync::LazyLock;

use etherparse::PacketBuilder;
use knetlink::Message;
use knetlink::attr;
use nfnetlink_queue::Event;
use nfnetlink_queue::Events;
use nfnetlink_queue::Packet;

/// The shortest message about a packet: `NFQNL_MSG_PACKET` with `NFQA_PACKET_HDR`.
static LEAST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut payload = vec![0; 4];
    attr::append(&mut payload, 1, [0, 0, 0, 1, 0, 0, 0]);
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
});

/// A packet with this content. Its family is the IP version of the content.
pub(crate) fn queued(payload: &[u8]) -> Packet<'_> {
    let Some(Ok(Event::Packet(least))) = Events::new(&LEAST).next() else {
        panic!("it is a packet");
    };
    let six = payload.first().is_some_and(|byte| byte >> 4 == 6);
    let mut packet = least.packet().unwrap();
    packet.family = if six { 10 } else { 2 };
    packet.ethertype = if six { 0x86dd } else { 0x0800 };
    packet.payload = payload;
    packet.length = payload.len();
    packet
}

pub(crate) fn ping(data_length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .icmpv4_echo_request(77, 3)
        .write(&mut bytes, &vec![0xaa; data_length])
        .unwrap();
    bytes
}

pub(crate) fn ping6(data_length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv6([1; 16], [2; 16], 64)
        .icmpv6_echo_request(78, 4)
        .write(&mut bytes, &vec![0xaa; data_length])
        .unwrap();
    bytes
}
