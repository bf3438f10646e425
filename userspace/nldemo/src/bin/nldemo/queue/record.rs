// SPDX-License-Identifier: GPL-2.0

//! What `nldemo queue run` prints about a packet.

use std::fmt;
use std::io;
use std::io::Write;

use anstyle::AnsiColor;
use linux_names::text::Escaped;
use nfnetlink_queue::Conntrack;
use nfnetlink_queue::Decision;
use nfnetlink_queue::Icmp;
use nfnetlink_queue::Packet;
use nfnetlink_queue::Summary;
use nfnetlink_queue::Verdict;
use nfnetlink_queue::Vlan;
use nldemo::hex::Hex;
use nldemo::hexdump::Hexdump;
use serde::Serialize;

use super::seen::Seen;
use crate::output::Output;

/// First JSON object: the queue is bound, packets will be seen from now on.
#[derive(Serialize)]
pub(super) struct Ready {
    pub(super) event: &'static str,
    pub(super) queue: u16,
    pub(super) portid: u32,
}

/// A packet and its verdict; `nldemo queue run --help` describes the JSON keys.
#[derive(Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the JSON object"
)]
pub(super) struct Record<'a> {
    event: &'static str,
    queue: u16,
    packet_id: u32,
    hook: String,
    #[serde(rename = "in")]
    indev: Option<&'a str>,
    #[serde(rename = "out")]
    outdev: Option<&'a str>,
    physical_in: Option<&'a str>,
    physical_out: Option<&'a str>,
    hardware_address: Option<String>,
    timestamp: Option<f64>,
    mark: u32,
    priority: u32,
    vlan: Option<Vlan>,
    conntrack: Option<Conntrack>,
    uid: Option<u32>,
    gid: Option<u32>,
    gso: bool,
    checksum_ready: bool,
    family: &'static str,
    src: Option<String>,
    dst: Option<String>,
    protocol: Option<String>,
    fragment: bool,
    icmp: Option<Icmp>,
    length: usize,
    captured: usize,
    verdict: &'static str,
    undecided: bool,
    to_queue: Option<u16>,
    set_mark: Option<u32>,
    rewritten: bool,
    unwritable: Option<String>,
    #[serde(skip)]
    decision: Decision,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

impl<'a> Record<'a> {
    pub(super) fn new(seen: &Seen<'a>) -> Self {
        let Seen {
            packet,
            ip,
            names,
            decision,
            decided,
            rewriting,
            ..
        } = *seen;
        Self {
            event: "packet",
            queue: packet.queue,
            packet_id: packet.id,
            hook: packet.hook.to_string(),
            indev: names.indev.as_deref(),
            outdev: names.outdev.as_deref(),
            physical_in: names.physical_in.as_deref(),
            physical_out: names.physical_out.as_deref(),
            hardware_address: packet.hardware_address.map(hardware_address),
            timestamp: packet.timestamp.map(|time| time.as_secs_f64()),
            mark: packet.mark,
            priority: packet.priority,
            vlan: packet.vlan,
            conntrack: packet.conntrack,
            uid: packet.uid,
            gid: packet.gid,
            gso: packet.offload.gso(),
            checksum_ready: !packet.offload.checksum_not_ready(),
            family: packet.family_name(),
            src: ip.map(|ip| ip.source.to_string()),
            dst: ip.map(|ip| ip.destination.to_string()),
            protocol: ip.map(Summary::protocol_name),
            fragment: ip.is_some_and(|ip| ip.fragment),
            icmp: ip.and_then(|ip| ip.icmp),
            length: packet.length,
            captured: packet.payload.len(),
            verdict: decision.verdict().name(),
            undecided: !decided,
            to_queue: match decision.verdict() {
                Verdict::Queue { number, .. } => Some(number),
                _ => None,
            },
            set_mark: decision.mark(),
            rewritten: rewriting == Some(&Ok(())),
            unwritable: match rewriting {
                Some(Err(reason)) => Some(reason.to_string()),
                _ => None,
            },
            decision,
            payload: None,
        }
    }

    /// Adds what is printed of the packet: a JSON object, or a line and perhaps its bytes.
    pub(super) fn append_to(
        &mut self,
        buffer: &mut Vec<u8>,
        packet: &Packet<'_>,
        hexdump: bool,
        output: &Output,
    ) {
        let appended = if output.is_json() {
            self.payload = hexdump.then(|| Hex::new(packet.payload).to_string());
            output.append_json(buffer, self)
        } else {
            self.append_text(buffer, packet, hexdump, output)
        };
        // A vector takes everything, and all keys are strings.
        debug_assert!(appended.is_ok(), "{appended:?}");
    }

    fn append_text(
        &self,
        buffer: &mut Vec<u8>,
        packet: &Packet<'_>,
        hexdump: bool,
        output: &Output,
    ) -> io::Result<()> {
        write!(buffer, "{self} {}", self.painted_verdict(output))?;
        if self.undecided {
            buffer.extend(b" undecided");
        }
        if self.rewritten {
            buffer.extend(b" rewritten");
        }
        if let Some(reason) = &self.unwritable {
            write!(buffer, " as it was: {reason}")?;
        }
        buffer.push(b'\n');
        if hexdump {
            write!(buffer, "{}", Hexdump(packet.payload))?;
        }
        Ok(())
    }

    fn painted_verdict(&self, output: &Output) -> impl fmt::Display {
        let color = match self.decision.verdict() {
            Verdict::Drop => AnsiColor::Red,
            _ => AnsiColor::Green,
        };
        output.paint(color, self.decision)
    }
}

/// The plain line without the verdict.
impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [indev, outdev] =
            [&self.indev, &self.outdev].map(|name| Escaped(name.unwrap_or("-").as_bytes()));
        write!(
            f,
            "#{} {} in={indev} out={outdev} ",
            self.packet_id, self.hook
        )?;
        write!(f, "mark={:#x} ", self.mark)?;
        if let Some(vlan) = &self.vlan {
            write!(f, "vlan={} ", vlan.id())?;
        }
        if let Some(conntrack) = &self.conntrack {
            write!(f, "ct={} ", conntrack.state().unwrap_or("invalid"))?;
        }
        if let Some(uid) = self.uid {
            write!(f, "uid={uid} ")?;
        }
        write!(f, "{} ", self.family)?;
        match (&self.src, &self.dst, &self.protocol) {
            (Some(src), Some(dst), Some(protocol)) => write!(f, "{src} > {dst} {protocol} ")?,
            _ => f.write_str("unparsable ")?,
        }
        if self.fragment {
            f.write_str("fragment ")?;
        }
        if let Some(icmp) = &self.icmp {
            if let Some(name) = icmp.name {
                write!(f, "{name} ")?;
            }
            write!(f, "type={} code={} ", icmp.kind, icmp.code)?;
            if let (Some(id), Some(seq)) = (icmp.id, icmp.seq) {
                write!(f, "id={id} seq={seq} ")?;
            }
            write!(f, "data={} ", icmp.data_length)?;
        }
        write!(f, "length={}", self.length)
    }
}

fn hardware_address(bytes: &[u8]) -> String {
    let between = ":";
    Hex { bytes, between }.to_string()
}
