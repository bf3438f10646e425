// SPDX-License-Identifier: GPL-2.0

//! Runs every decoder of the kernel's messages on any bytes.

use std::time::Duration;

use knetlink::Messages;
use knetlink::Status;
use nfnetlink_queue::Decision;
use nfnetlink_queue::Event;
use nfnetlink_queue::Events;
use nfnetlink_queue::Packet;
use nfnetlink_queue::Summary;
use nldemo::control;
use nldemo::control::Config;
use nldemo::control::CpuStats;
use nldemo::control::Stats;
use nldemo::control::Totals;
use nldemo::hexdump::Hexdump;
use nldemo::pcapng;
use nldemo::policy::Policy;
use nldemo::replacement::Replacement;
use sockdiag::Filter;
use sockdiag::Query;
use sockdiag::Target;

/// Tries every decoder on a datagram. Returns the number of parts that a decoder could read.
pub(crate) fn decode(datagram: &[u8]) -> usize {
    let mut read = 0;
    for message in Messages::new(datagram).flatten() {
        assert!(message.payload.len() < datagram.len());
        let statuses = [
            Status::parse(&message).ok().flatten(),
            Status::ending(&message, message.kind).ok().flatten(),
        ];
        read += statuses.iter().flatten().count();
        for status in statuses.into_iter().flatten() {
            assert!(!status.to_string().is_empty());
        }
        read += walk(message.payload, 8);
        read += usize::from(matches!(control::Event::parse(&message), Ok(Some(_))));
        read += usize::from(Config::parse(message.payload).is_ok());
        read += usize::from(Stats::parse(message.payload).is_ok());
        read += usize::from(CpuStats::parse(message.payload).is_ok());
        read += usize::from(Totals::parse(message.payload).is_ok());
        for query in Query::all(&Filter::default()) {
            if let Ok(socket) = query.parse(message.payload) {
                let text = serde_json::to_string(&socket).unwrap();
                let target = serde_json::from_str::<Target>(&text);
                // `u64::MAX` is no valid cookie, so a target with it cannot be deserialized.
                let known = socket.cookie != Some(u64::MAX);
                assert!(!known || target.unwrap() == Target::from(&socket), "{text}");
                read += 1;
            }
        }
    }
    for event in Events::new(datagram).flatten() {
        if let Event::Packet(queued) = event {
            let Ok(packet) = queued.packet() else {
                continue;
            };
            assert!(packet.payload.len() < datagram.len());
            assert_eq!(packet.id, queued.id);
            consume(&packet);
            read += 1;
        }
    }
    read
}

/// Reads every attribute as a nest, even if the attribute has other content.
fn walk(payload: &[u8], levels: usize) -> usize {
    let mut read = 0;
    for attribute in knetlink::attr::Attributes::new(payload).flatten() {
        assert!(attribute.payload.len() < payload.len());
        let _ = (attribute.text(), attribute.counter(), attribute.be32());
        read += 1;
        if levels > 0 {
            read += walk(attribute.payload, levels - 1);
        }
    }
    read
}

/// Does everything with a packet that `nldemo queue run` can do with it.
fn consume(packet: &Packet<'_>) {
    let policy: Policy = "echo-request size>40 drop; not fragment from 10.0.0.0/8 queue 3; \
                          unparsable drop; set mark=1 accept"
        .parse()
        .unwrap();
    let summary = Summary::parse(packet);
    let decision = policy.decide(packet, summary.as_ref());
    let decision = decision.unwrap_or(Decision::DROP);
    if let Some(summary) = summary {
        assert!(!summary.protocol_name().is_empty());
    }
    let replacements: [Replacement; 2] =
        ["ttl=9", "payload=hello"].map(|text| text.parse().unwrap());
    if let Ok(rewritten) = Replacement::apply(&replacements, packet) {
        // An attribute can carry at most this number of bytes.
        assert!(rewritten.content().len() <= 65_531);
    }
    let rows = Hexdump(packet.payload).to_string().lines().count();
    assert_eq!(rows, packet.payload.len().div_ceil(16));
    let mut file = Vec::new();
    pcapng::append_packet(
        &mut file,
        &pcapng::Captured {
            interface: 0,
            time: packet.timestamp.unwrap_or(Duration::MAX),
            link_header: packet.link_header.unwrap_or_default(),
            bytes: packet.payload,
            length: packet.length,
            comment: decision.to_string().as_bytes(),
        },
    );
    assert!(file.len() > packet.payload.len());
}
