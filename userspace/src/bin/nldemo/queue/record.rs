// SPDX-License-Identifier: GPL-2.0

//! What `nldemo queue run` prints about a packet, and its summary.

use std::fmt;
use std::fmt::Write;
use std::io;

use anstyle::AnsiColor;
use nldemo::hexdump::Hexdump;
use nldemo::queue::Decision;
use nldemo::queue::Icmp;
use nldemo::queue::KernelLosses;
use nldemo::queue::Packet;
use nldemo::queue::Summary;
use nldemo::queue::Verdict;
use serde::Serialize;

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
pub(super) struct Record {
    event: &'static str,
    queue: u16,
    packet_id: u32,
    hook: String,
    #[serde(rename = "in")]
    indev: Option<String>,
    #[serde(rename = "out")]
    outdev: Option<String>,
    mark: u32,
    family: &'static str,
    src: Option<String>,
    dst: Option<String>,
    protocol: Option<String>,
    fragment: bool,
    icmp: Option<Icmp>,
    length: usize,
    captured: usize,
    verdict: &'static str,
    #[serde(skip)]
    decision: Decision,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

impl Record {
    pub(super) fn new(packet: &Packet<'_>, ip: Option<&Summary>, decision: Decision) -> Self {
        Self {
            event: "packet",
            queue: packet.queue,
            packet_id: packet.id,
            hook: packet.hook.to_string(),
            indev: packet.indev.map(interface_name),
            outdev: packet.outdev.map(interface_name),
            mark: packet.mark,
            family: packet.family_name(),
            src: ip.map(|ip| ip.source.to_string()),
            dst: ip.map(|ip| ip.destination.to_string()),
            protocol: ip.map(Summary::protocol_name),
            fragment: ip.is_some_and(|ip| ip.fragment),
            icmp: ip.and_then(|ip| ip.icmp),
            length: packet.length,
            captured: packet.payload.len(),
            verdict: decision.verdict().name(),
            decision,
            payload: None,
        }
    }

    pub(super) fn print(
        &mut self,
        packet: &Packet<'_>,
        hexdump: bool,
        output: &mut Output,
    ) -> io::Result<()> {
        if output.is_json() {
            self.payload = hexdump.then(|| hexadecimal(packet.payload));
            return output.json(self);
        }
        let mut text = format!("{self} {}\n", self.painted_verdict(output));
        if hexdump {
            text += &Hexdump(packet.payload).to_string();
        }
        output.text(text)
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
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indev = self.indev.as_deref().unwrap_or("-");
        let outdev = self.outdev.as_deref().unwrap_or("-");
        write!(
            f,
            "#{} {} in={indev} out={outdev} ",
            self.packet_id, self.hook
        )?;
        write!(f, "mark={:#x} {} ", self.mark, self.family)?;
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

/// Last JSON object: what happened; `nldemo queue run --help` describes the keys.
#[derive(Default, Serialize)]
pub(super) struct Totals {
    pub(super) event: &'static str,
    pub(super) queue: u16,
    pub(super) packets: u64,
    pub(super) accepted: u64,
    pub(super) dropped: u64,
    pub(super) pending: u64,
    pub(super) flushed: u64,
    pub(super) errors: u64,
    pub(super) gone: u64,
    pub(super) refused: u64,
    pub(super) malformed: u64,
    pub(super) overruns: u64,
    pub(super) foreign: u64,
    pub(super) lost: Option<KernelLosses>,
    pub(super) seconds: f64,
}

impl Totals {
    pub(super) fn print(&mut self, output: &mut Output) -> io::Result<()> {
        self.errors = self.gone + self.refused + self.malformed + self.overruns;
        if output.is_json() {
            output.json(self)
        } else {
            output.text(self.to_string())
        }
    }
}

/// The plain summary: one line, and one more for each thing out of the ordinary.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} packets, {} accepted, {} dropped, {} errors",
            self.packets, self.accepted, self.dropped, self.errors
        )?;
        let lost = self.lost.unwrap_or_default();
        for (count, what) in [
            (self.gone, "verdicts for packets that were gone"),
            (self.refused, "verdicts refused by the kernel"),
            (self.malformed, "malformed messages"),
            (self.overruns, "overruns of the receive buffer (ENOBUFS)"),
            (
                self.pending,
                "more packets had their verdict while stopping",
            ),
            (
                self.flushed,
                "packets came too late and were dropped by the kernel",
            ),
            (
                self.foreign,
                "messages discarded that the kernel did not send",
            ),
            (
                lost.queue_full.into(),
                "packets dropped by the kernel: queue full",
            ),
            (
                lost.socket_full.into(),
                "packets dropped by the kernel: receive buffer full",
            ),
        ] {
            if count > 0 {
                writeln!(f, "  {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// The name of an interface, or its index if it has gone.
fn interface_name(index: u32) -> String {
    match nix::net::if_::if_indextoname(index) {
        // nix 0.31 returns an empty name where libc reports an error.
        Ok(name) if !name.is_empty() => name.to_string_lossy().into_owned(),
        _ => format!("if{index}"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_named_and_gone_ones_numbered() {
        assert_eq!(interface_name(1), "lo");
        assert_eq!(interface_name(i32::MAX as u32), "if2147483647");
    }

    #[test]
    fn plain_summary_tells_the_unusual_only_when_it_happened() {
        let mut totals = Totals {
            packets: 3,
            accepted: 1,
            dropped: 2,
            ..Totals::default()
        };
        let usual = "3 packets, 1 accepted, 2 dropped, 0 errors\n";
        assert_eq!(totals.to_string(), usual);
        totals.pending = 4;
        assert_eq!(
            totals.to_string(),
            format!("{usual}  4 more packets had their verdict while stopping\n")
        );
    }
}
