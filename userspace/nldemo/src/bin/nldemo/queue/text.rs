// SPDX-License-Identifier: GPL-2.0

//! The line that `nldemo queue run` prints about a packet.

use std::io::Write;
use std::rc::Rc;

use anstyle::AnsiColor;
use nfnetlink_queue::Decision;
use nfnetlink_queue::Icmp;
use nfnetlink_queue::Packet;
use nfnetlink_queue::Summary;
use nfnetlink_queue::Verdict;
use nldemo::hexdump::Hexdump;

use super::links::Name;
use super::links::Names;
use super::seen::Seen;
use crate::digits::address;
use crate::digits::decimal;
use crate::digits::hexadecimal;
use crate::digits::written;
use crate::output::Output;

/// Makes the lines about packets.
pub(super) struct Text {
    hexdump: bool,
    /// The control sequences before and after a verdict: `dropping` for a verdict that drops the
    /// packet, `passing` for any other verdict.
    dropping: [String; 2],
    passing: [String; 2],
}

impl Text {
    /// If `hexdump` is set, the bytes of each packet are printed below its line.
    pub(super) fn new(output: &Output, hexdump: bool) -> Self {
        Self {
            hexdump,
            dropping: output.around(AnsiColor::Red),
            passing: output.around(AnsiColor::Green),
        }
    }

    /// Appends the line about a packet, and the packet's hexdump if hexdumps are on.
    pub(super) fn append(&self, line: &mut Vec<u8>, seen: &Seen<'_>) {
        append_packet(line, &seen.packet, &seen.names);
        match &seen.ip {
            Some(ip) => append_ip(line, ip),
            None => line.extend_from_slice(b" unparsable"),
        }
        line.extend_from_slice(b" length=");
        decimal(line, seen.packet.length);
        line.push(b' ');
        let [before, behind] = match seen.decision.verdict() {
            Verdict::Drop => &self.dropping,
            _ => &self.passing,
        };
        line.extend_from_slice(before.as_bytes());
        append_decision(line, seen.decision);
        line.extend_from_slice(behind.as_bytes());
        if !seen.decided {
            line.extend_from_slice(b" undecided");
        }
        match &seen.rewriting {
            Some(Ok(())) => line.extend_from_slice(b" rewritten"),
            Some(Err(reason)) => written(write!(line, " not rewritten: {reason}")),
            None => {}
        }
        line.push(b'\n');
        if self.hexdump {
            written(write!(line, "{}", Hexdump(seen.packet.payload)));
        }
    }
}

/// Appends a decision in the form of the policy language.
#[inline]
pub(super) fn append_decision(line: &mut Vec<u8>, decision: Decision) {
    match (decision.verdict(), decision.mark()) {
        (verdict @ (Verdict::Accept | Verdict::Drop), None) => {
            line.extend_from_slice(verdict.name().as_bytes());
        }
        _ => written(write!(line, "{decision}")),
    }
}

fn append_packet(line: &mut Vec<u8>, packet: &Packet<'_>, names: &Names) {
    line.push(b'#');
    decimal(line, packet.id);
    line.push(b' ');
    match packet.hook.name() {
        Some(name) => line.extend_from_slice(name.as_bytes()),
        None => written(write!(line, "{}", packet.hook)),
    }
    line.extend_from_slice(b" in=");
    append_name(line, names.indev.as_ref());
    line.extend_from_slice(b" out=");
    append_name(line, names.outdev.as_ref());
    line.extend_from_slice(b" mark=");
    hexadecimal(line, packet.mark);
    if let Some(vlan) = &packet.vlan {
        line.extend_from_slice(b" vlan=");
        decimal(line, vlan.id());
    }
    if let Some(conntrack) = &packet.conntrack {
        line.extend_from_slice(b" ct=");
        line.extend_from_slice(conntrack.state().unwrap_or("invalid").as_bytes());
    }
    if let Some(uid) = packet.uid {
        line.extend_from_slice(b" uid=");
        decimal(line, uid);
    }
    line.push(b' ');
    line.extend_from_slice(packet.family_name().as_bytes());
}

#[inline]
fn append_name(line: &mut Vec<u8>, name: Option<&Rc<Name>>) {
    let text = name.map_or("-", |name| name.escaped.as_str());
    line.extend_from_slice(text.as_bytes());
}

fn append_ip(line: &mut Vec<u8>, ip: &Summary) {
    line.push(b' ');
    address(line, ip.source);
    line.extend_from_slice(b" > ");
    address(line, ip.destination);
    line.push(b' ');
    line.extend_from_slice(ip.protocol_name().as_bytes());
    if ip.fragment {
        line.extend_from_slice(b" fragment");
    }
    if let Some(icmp) = &ip.icmp {
        append_icmp(line, icmp);
    }
}

fn append_icmp(line: &mut Vec<u8>, icmp: &Icmp) {
    if let Some(name) = icmp.name {
        line.push(b' ');
        line.extend_from_slice(name.as_bytes());
    }
    line.extend_from_slice(b" type=");
    decimal(line, icmp.kind);
    line.extend_from_slice(b" code=");
    decimal(line, icmp.code);
    if let (Some(id), Some(seq)) = (icmp.id, icmp.seq) {
        line.extend_from_slice(b" id=");
        decimal(line, id);
        line.extend_from_slice(b" seq=");
        decimal(line, seq);
    }
    line.extend_from_slice(b" data=");
    decimal(line, icmp.data_length);
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use clap::ColorChoice;
    use linux_names::hook::Hook;
    use nfnetlink_queue::Unwritable;
    use nfnetlink_queue::Vlan;

    use super::super::seen::tests::message;
    use super::super::seen::tests::seen;
    use super::*;
    use crate::output::Format;

    fn line(color: ColorChoice, seen: &Seen<'_>) -> String {
        let output = Output::new(Format::Plain, color);
        let mut line = b"before\n".to_vec();
        Text::new(&output, false).append(&mut line, seen);
        String::from_utf8(line.split_off(7)).unwrap()
    }

    #[test]
    fn line_has_the_packet_and_its_verdict() {
        let message = message();
        assert_eq!(
            line(ColorChoice::Never, &seen(&message)),
            "#5 prerouting in=ho\\x1bst0 out=- mark=0x0 ipv4 10.9.0.2 > 10.9.0.1 icmp echo-request \
             type=8 code=0 id=156 seq=1 data=10 length=38 accept\n"
        );
    }

    #[test]
    fn line_has_further_fields_if_the_packet_has_them() {
        let message = message();
        let mut seen = seen(&message);
        seen.packet.hook = Hook(9);
        seen.packet.mark = 0x1f;
        seen.packet.vlan = Some(Vlan {
            protocol: 0x8100,
            tci: 0x2005,
        });
        seen.packet.conntrack = Some(nfnetlink_queue::Conntrack::default());
        seen.packet.uid = Some(1000);
        seen.ip = None;
        seen.decision = Decision::repeat(NonZero::<u32>::MIN);
        seen.decided = false;
        seen.rewriting = Some(Err(Unwritable::Gso));
        let told = "#5 hook9 in=ho\\x1bst0 out=- mark=0x1f vlan=5 ct=invalid uid=1000 ipv4 unparsable \
                    length=38 repeat mark=0x1 undecided not rewritten: ";
        assert_eq!(
            line(ColorChoice::Never, &seen),
            format!("{told}{}\n", Unwritable::Gso)
        );
        seen.decision = Decision::DROP;
        assert!(line(ColorChoice::Always, &seen).contains(" \u{1b}[31mdrop\u{1b}[0m undecided"));
    }
}
