// SPDX-License-Identifier: GPL-2.0

//! The JSON object that `nldemo queue run -j` prints about a packet; its `--help` describes the keys.
//!
//! It is written key by key: a serializer looks at each byte of each key whether it needs an escape,
//! and takes more instructions for that than the kernel for a verdict.

use std::io::Write;
use std::rc::Rc;

use nfnetlink_queue::Icmp;
use nfnetlink_queue::Summary;
use nfnetlink_queue::Verdict;
use nldemo::hex::Hex;
use serde::Serialize;

use super::links::Name;
use super::seen::Seen;
use crate::digits::address;
use crate::digits::decimal;
use crate::digits::written;

/// Adds a key, behind another one.
macro_rules! key {
    ($json:ident, $key:literal) => {
        $json.extend_from_slice(concat!(",\"", $key, "\":").as_bytes())
    };
}

/// Adds the object, with the bytes of the packet if wanted, on one line that does not end.
pub(super) fn append(json: &mut Vec<u8>, seen: &Seen<'_>, payload: bool) {
    let Seen {
        packet,
        names,
        ip,
        decision,
        ..
    } = seen;
    json.extend_from_slice(b"{\"event\":\"packet\",\"queue\":");
    decimal(json, packet.queue);
    key!(json, "packet_id");
    decimal(json, packet.id);
    key!(json, "hook");
    match packet.hook.name() {
        Some(name) => plain(json, name),
        None => plain(json, &packet.hook.to_string()),
    }
    key!(json, "in");
    interface(json, names.indev.as_ref());
    key!(json, "out");
    interface(json, names.outdev.as_ref());
    key!(json, "physical_in");
    interface(json, names.physical_in.as_ref());
    key!(json, "physical_out");
    interface(json, names.physical_out.as_ref());
    key!(json, "hardware_address");
    optional(json, packet.hardware_address, |json, bytes| {
        let between = ":";
        written(write!(json, "\"{}\"", Hex { bytes, between }));
    });
    key!(json, "timestamp");
    optional(json, packet.timestamp, |json, time| {
        serialize(json, &time.as_secs_f64());
    });
    key!(json, "mark");
    decimal(json, packet.mark);
    key!(json, "priority");
    decimal(json, packet.priority);
    key!(json, "vlan");
    optional(json, packet.vlan, |json, vlan| serialize(json, &vlan));
    key!(json, "conntrack");
    optional(json, packet.conntrack, |json, conntrack| {
        serialize(json, &conntrack);
    });
    key!(json, "uid");
    optional(json, packet.uid, decimal);
    key!(json, "gid");
    optional(json, packet.gid, decimal);
    key!(json, "gso");
    boolean(json, packet.offload.gso());
    key!(json, "checksum_ready");
    boolean(json, !packet.offload.checksum_not_ready());
    key!(json, "family");
    plain(json, packet.family_name());
    append_ip(json, ip.as_ref());
    key!(json, "length");
    decimal(json, packet.length);
    key!(json, "captured");
    decimal(json, packet.payload.len());
    key!(json, "verdict");
    plain(json, decision.verdict().name());
    key!(json, "undecided");
    boolean(json, !seen.decided);
    key!(json, "to_queue");
    let queue = match decision.verdict() {
        Verdict::Queue { number, .. } => Some(number),
        _ => None,
    };
    optional(json, queue, decimal);
    key!(json, "set_mark");
    optional(json, decision.mark(), decimal);
    key!(json, "rewritten");
    boolean(json, seen.rewriting == Some(Ok(())));
    key!(json, "unwritable");
    let reason = seen.rewriting.and_then(Result::err);
    optional(json, reason, |json, reason| {
        serialize(json, &reason.to_string());
    });
    if payload {
        key!(json, "payload");
        written(write!(json, "\"{}\"", Hex::new(packet.payload)));
    }
    json.push(b'}');
}

fn append_ip(json: &mut Vec<u8>, ip: Option<&Summary>) {
    let Some(ip) = ip else {
        json.extend_from_slice(
            b",\"src\":null,\"dst\":null,\"protocol\":null,\"fragment\":false,\"icmp\":null",
        );
        return;
    };
    key!(json, "src");
    quoted(json, |json| address(json, ip.source));
    key!(json, "dst");
    quoted(json, |json| address(json, ip.destination));
    key!(json, "protocol");
    plain(json, &ip.protocol_name());
    key!(json, "fragment");
    boolean(json, ip.fragment);
    key!(json, "icmp");
    optional(json, ip.icmp.as_ref(), append_icmp);
}

fn append_icmp(json: &mut Vec<u8>, icmp: &Icmp) {
    json.extend_from_slice(b"{\"type\":");
    decimal(json, icmp.kind);
    key!(json, "code");
    decimal(json, icmp.code);
    key!(json, "name");
    optional(json, icmp.name, plain);
    key!(json, "id");
    optional(json, icmp.id, decimal);
    key!(json, "seq");
    optional(json, icmp.seq, decimal);
    key!(json, "data_length");
    decimal(json, icmp.data_length);
    json.push(b'}');
}

#[inline]
fn optional<T>(json: &mut Vec<u8>, value: Option<T>, append: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => append(json, value),
        None => json.extend_from_slice(b"null"),
    }
}

#[inline]
fn boolean(json: &mut Vec<u8>, value: bool) {
    json.extend_from_slice(if value { b"true" } else { b"false" });
}

#[inline]
fn quoted(json: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>)) {
    json.push(b'"');
    append(json);
    json.push(b'"');
}

/// Adds text of this program, which needs no escapes.
#[inline]
fn plain(json: &mut Vec<u8>, text: &str) {
    quoted(json, |json| json.extend_from_slice(text.as_bytes()));
}

#[inline]
fn interface(json: &mut Vec<u8>, name: Option<&Rc<Name>>) {
    let text = name.map_or("null", |name| name.json.as_str());
    json.extend_from_slice(text.as_bytes());
}

fn serialize(json: &mut Vec<u8>, value: &impl Serialize) {
    written(serde_json::to_writer(json, value).map_err(Into::into));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nfnetlink_queue::Conntrack;
    use nfnetlink_queue::Decision;
    use nfnetlink_queue::Unwritable;
    use nfnetlink_queue::Vlan;
    use serde_json::Value;

    use super::super::seen::tests::message;
    use super::super::seen::tests::seen;
    use super::*;

    fn text(seen: &Seen<'_>, payload: bool) -> String {
        let mut json = Vec::new();
        append(&mut json, seen, payload);
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn object_has_all_keys_in_their_order() {
        let message = message();
        assert_eq!(
            text(&seen(&message), false),
            r#"{"event":"packet","queue":3,"packet_id":5,"hook":"prerouting","in":"ho\u001bst0","#
                .to_owned()
                + r#""out":null,"physical_in":null,"physical_out":null,"hardware_address":null,"#
                + r#""timestamp":null,"mark":0,"priority":0,"vlan":null,"conntrack":null,"#
                + r#""uid":null,"gid":null,"gso":false,"checksum_ready":true,"family":"ipv4","#
                + r#""src":"10.9.0.2","dst":"10.9.0.1","protocol":"icmp","fragment":false,"#
                + r#""icmp":{"type":8,"code":0,"name":"echo-request","id":156,"seq":1,"#
                + r#""data_length":10},"length":38,"captured":38,"verdict":"accept","#
                + r#""undecided":false,"to_queue":null,"set_mark":null,"rewritten":false,"#
                + r#""unwritable":null}"#
        );
    }

    #[test]
    fn everything_that_may_be_there_is_json() {
        let message = message();
        let mut seen = seen(&message);
        let icmp = serde_json::to_value(seen.ip.as_ref().unwrap().icmp).unwrap();
        let address = [2, 0, 0xff];
        seen.packet.hardware_address = Some(&address);
        seen.packet.timestamp = Some(Duration::from_micros(1_700_000_000_123_456));
        let vlan = Vlan {
            protocol: 0x8100,
            tci: 5,
        };
        let conntrack = Conntrack {
            id: Some(257),
            info: None,
        };
        (seen.packet.vlan, seen.packet.conntrack) = (Some(vlan), Some(conntrack));
        (seen.packet.uid, seen.packet.gid) = (Some(1000), Some(100));
        seen.decision = Decision::queue(9, true).with_mark(7);
        seen.rewriting = Some(Err(Unwritable::Checksum));
        let value: Value = serde_json::from_str(&text(&seen, true)).unwrap();
        for (key, expected) in [
            ("hardware_address", "02:00:ff".into()),
            ("timestamp", 1_700_000_000.123_456.into()),
            ("vlan", serde_json::to_value(vlan).unwrap()),
            ("conntrack", serde_json::to_value(conntrack).unwrap()),
            ("uid", 1000.into()),
            ("gid", 100.into()),
            ("icmp", icmp),
            ("verdict", "queue".into()),
            ("to_queue", 9.into()),
            ("set_mark", 7.into()),
            ("unwritable", Unwritable::Checksum.to_string().into()),
        ] {
            assert_eq!(value[key], expected, "{key}");
        }
        let payload = value["payload"].as_str().unwrap();
        assert!(payload.starts_with("45000026") && payload.len() == 76);
        seen.ip = None;
        let value: Value = serde_json::from_str(&text(&seen, false)).unwrap();
        for key in ["src", "dst", "protocol", "icmp"] {
            assert!(value[key].is_null(), "{key}");
        }
        assert_eq!(value["fragment"], false);
    }
}
