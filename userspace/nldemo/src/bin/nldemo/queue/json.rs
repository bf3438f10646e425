// SPDX-License-Identifier: GPL-2.0

//! The JSON object that `nldemo queue run -j` prints about a packet. `nldemo queue run --help`
//! describes the keys of the object.
//!
//! This file writes the object key by key. A serializer would check for each byte of each key
//! whether the byte needs an escape. This check takes more instructions than a verdict takes in the
//! kernel.

use std::rc::Rc;
use std::time::Duration;

use nfnetlink_queue::Icmp;
use nfnetlink_queue::Summary;
use nfnetlink_queue::Unwritable;
use nfnetlink_queue::Verdict;
use serde::Serialize;

use super::links::Name;
use super::seen::Seen;
use crate::digits::address;
use crate::digits::decimal;
use crate::digits::hardware_address;
use crate::digits::hex;
use crate::digits::written;

/// Appends a key that is not the first key of its object.
macro_rules! key {
    ($json:ident, $key:literal) => {
        $json.extend_from_slice(concat!(",\"", $key, "\":").as_bytes())
    };
}

/// Appends a key with a string that needs no escapes.
macro_rules! text {
    ($json:ident, $key:literal, $text:expr) => {
        $json.extend_from_slice(concat!(",\"", $key, "\":\"").as_bytes());
        $json.extend_from_slice($text.as_bytes());
        $json.push(b'"');
    };
}

/// Appends a key with a boolean. Each value has its own branch, so that the compiler knows the
/// number of bytes to append.
macro_rules! boolean {
    ($json:ident, $key:literal, $value:expr) => {
        if $value {
            $json.extend_from_slice(concat!(",\"", $key, "\":true").as_bytes());
        } else {
            $json.extend_from_slice(concat!(",\"", $key, "\":false").as_bytes());
        }
    };
}

/// Appends a key with an optional value. The function `$append` appends the value if there is one.
macro_rules! optional {
    ($json:ident, $key:literal, $value:expr, $append:expr) => {
        match $value {
            Some(value) => {
                key!($json, $key);
                $append($json, value);
            }
            None => $json.extend_from_slice(concat!(",\"", $key, "\":null").as_bytes()),
        }
    };
}

/// Appends the object about a packet on one line, without the end of the line. If `payload` is set,
/// the object also has the bytes of the packet.
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
    if let Some(name) = packet.hook.name() {
        text!(json, "hook", name);
    } else {
        text!(json, "hook", packet.hook.to_string());
    }
    optional!(json, "in", &names.indev, interface);
    optional!(json, "out", &names.outdev, interface);
    optional!(json, "physical_in", &names.physical_in, interface);
    optional!(json, "physical_out", &names.physical_out, interface);
    optional!(
        json,
        "hardware_address",
        packet.hardware_address,
        quoted(hardware_address)
    );
    optional!(
        json,
        "timestamp",
        packet.timestamp,
        |json, time: Duration| {
            serialize(json, &time.as_secs_f64());
        }
    );
    key!(json, "mark");
    decimal(json, packet.mark);
    key!(json, "priority");
    decimal(json, packet.priority);
    optional!(json, "vlan", &packet.vlan, serialize);
    optional!(json, "conntrack", &packet.conntrack, serialize);
    optional!(json, "uid", packet.uid, decimal);
    optional!(json, "gid", packet.gid, decimal);
    boolean!(json, "gso", packet.offload.gso());
    boolean!(json, "checksum_ready", !packet.offload.checksum_not_ready());
    text!(json, "family", packet.family_name());
    append_ip(json, ip.as_ref());
    key!(json, "length");
    decimal(json, packet.length);
    key!(json, "captured");
    decimal(json, packet.payload.len());
    text!(json, "verdict", decision.verdict().name());
    boolean!(json, "undecided", !seen.decided);
    let queue = match decision.verdict() {
        Verdict::Queue { number, .. } => Some(number),
        _ => None,
    };
    optional!(json, "to_queue", queue, decimal);
    optional!(json, "set_mark", decision.mark(), decimal);
    boolean!(json, "rewritten", seen.rewriting == Some(Ok(())));
    let reason = seen.rewriting.and_then(Result::err);
    optional!(json, "unwritable", reason, |json, reason: Unwritable| {
        serialize(json, &reason.to_string());
    });
    if payload {
        key!(json, "payload");
        quoted(hex)(json, packet.payload);
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
    json.extend_from_slice(b",\"src\":\"");
    address(json, ip.source);
    json.extend_from_slice(b"\",\"dst\":\"");
    address(json, ip.destination);
    json.push(b'"');
    text!(json, "protocol", ip.protocol_name());
    boolean!(json, "fragment", ip.fragment);
    optional!(json, "icmp", &ip.icmp, append_icmp);
}

fn append_icmp(json: &mut Vec<u8>, icmp: &Icmp) {
    json.extend_from_slice(b"{\"type\":");
    decimal(json, icmp.kind);
    key!(json, "code");
    decimal(json, icmp.code);
    match icmp.name {
        Some(name) => {
            text!(json, "name", name);
        }
        None => json.extend_from_slice(b",\"name\":null"),
    }
    optional!(json, "id", icmp.id, decimal);
    optional!(json, "seq", icmp.seq, decimal);
    key!(json, "data_length");
    decimal(json, icmp.data_length);
    json.push(b'}');
}

#[inline]
fn interface(json: &mut Vec<u8>, name: &Rc<Name>) {
    json.extend_from_slice(name.json.as_bytes());
}

#[inline]
fn quoted<T>(append: impl FnOnce(&mut Vec<u8>, T)) -> impl FnOnce(&mut Vec<u8>, T) {
    |json, value| {
        json.push(b'"');
        append(json, value);
        json.push(b'"');
    }
}

fn serialize(json: &mut Vec<u8>, value: &impl Serialize) {
    written(serde_json::to_writer(json, value).map_err(Into::into));
}

#[cfg(test)]
mod tests {
    use nfnetlink_queue::Conntrack;
    use nfnetlink_queue::Decision;
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
    fn optional_values_are_json() {
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
