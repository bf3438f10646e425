// SPDX-License-Identifier: GPL-2.0

//! The summary that `nldemo queue run` prints at its end.

use std::fmt;
use std::io;

use nfnetlink_queue::Closed;
use nfnetlink_queue::Decision;
use nfnetlink_queue::KernelLosses;
use nfnetlink_queue::Verdict;
use nldemo::durations::Durations;
use nldemo::durations::Figures;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;

/// The counts of one queue, or of several; `nldemo queue run --help` describes the JSON keys.
#[derive(Default, Serialize)]
pub(super) struct Totals {
    event: &'static str,
    queue: u16,
    queues: u32,
    pub(super) packets: u64,
    accepted: u64,
    dropped: u64,
    repeated: u64,
    requeued: u64,
    pub(super) rewritten: u64,
    pub(super) unwritable: u64,
    pub(super) undecided: u64,
    pub(super) pending: u64,
    /// The number of verdicts that could not be sent. The packets of these verdicts are also
    /// counted as accepted, dropped and so on.
    unsent: u64,
    flushed: u64,
    errors: u64,
    pub(super) gone: u64,
    pub(super) refused: u64,
    pub(super) malformed: u64,
    pub(super) overruns: u64,
    pub(super) foreign: u64,
    /// The number of packets whose line was left out.
    pub(super) unprinted: u64,
    /// The number of packets that are missing in the capture.
    pub(super) uncaptured: u64,
    pub(super) lost: Option<KernelLosses>,
    seconds: f64,
    packets_per_second: f64,
    latency_ns: Option<Figures>,
    /// The times from the receipt of a packet until its verdict was sent. Of packets whose verdicts
    /// were sent together, only the first packet is timed.
    #[serde(skip)]
    pub(super) latencies: Durations,
}

impl Totals {
    pub(super) fn of_queue(queue: u16) -> Self {
        Self {
            event: "summary",
            queue,
            queues: 1,
            ..Self::default()
        }
    }

    /// Counts `packets` packets that got this decision.
    pub(super) fn count(&mut self, decision: Decision, packets: u64) {
        self.packets += packets;
        *match decision.verdict() {
            Verdict::Accept => &mut self.accepted,
            Verdict::Drop => &mut self.dropped,
            Verdict::Repeat => &mut self.repeated,
            Verdict::Queue { .. } => &mut self.requeued,
        } += packets;
    }

    /// Adds the counts that closing the queue returned.
    pub(super) fn close(&mut self, closed: &Closed) {
        self.flushed += closed.flushed;
        self.unsent += closed.unsent;
        self.gone += closed.gone;
        self.refused += closed.refused;
        self.malformed += closed.malformed;
    }

    /// Adds the counts of another queue.
    pub(super) fn add(&mut self, other: &Self) {
        self.queues += other.queues;
        for (sum, count) in [
            (&mut self.packets, other.packets),
            (&mut self.accepted, other.accepted),
            (&mut self.dropped, other.dropped),
            (&mut self.repeated, other.repeated),
            (&mut self.requeued, other.requeued),
            (&mut self.rewritten, other.rewritten),
            (&mut self.unwritable, other.unwritable),
            (&mut self.undecided, other.undecided),
            (&mut self.pending, other.pending),
            (&mut self.unsent, other.unsent),
            (&mut self.flushed, other.flushed),
            (&mut self.gone, other.gone),
            (&mut self.refused, other.refused),
            (&mut self.malformed, other.malformed),
            (&mut self.overruns, other.overruns),
            (&mut self.foreign, other.foreign),
        ] {
            *sum += count;
        }
        self.lost = match (self.lost, other.lost) {
            (Some(one), Some(two)) => Some(KernelLosses {
                queue_full: one.queue_full.saturating_add(two.queue_full),
                socket_full: one.socket_full.saturating_add(two.socket_full),
            }),
            (one, two) => one.or(two),
        };
        self.latencies.merge(&other.latencies);
    }

    /// The totals, and the values that can be computed only at the end. The program has run for
    /// `seconds`.
    pub(super) fn finished(mut self, seconds: f64) -> Self {
        self.errors = self.gone + self.refused + self.malformed + self.overruns;
        self.seconds = seconds;
        #[expect(clippy::cast_precision_loss, reason = "the rate is rounded anyway")]
        let packets = self.packets as f64;
        self.packets_per_second = (packets / seconds.max(1e-9) * 10.0).round() / 10.0;
        self.latency_ns = self.latencies.summary();
        self
    }

    /// The text of the totals.
    ///
    /// After hex dumps, the lines of the totals are comments. Without the comment mark, programs
    /// that read hex dumps, such as `text2pcap`, would mistake a number at the start of a line for
    /// an offset.
    pub(super) fn text(&self, hexdump: bool, output: &Output) -> io::Result<Vec<u8>> {
        if output.is_json() {
            return output.json_text(self);
        }
        let text = self.to_string();
        Ok(if hexdump { commented(&text) } else { text }.into_bytes())
    }

    /// Fails if the output or the capture lacks packets.
    pub(super) fn complete(&self) -> Result<(), Failure> {
        let left_out: Vec<_> = [
            (self.unprinted, "standard output"),
            (self.uncaptured, "the capture"),
        ]
        .into_iter()
        .filter(|&(count, _)| count > 0)
        .map(|(count, from)| format!("{count} packets are missing from {from}"))
        .collect();
        if left_out.is_empty() {
            return Ok(());
        }
        Err(Failure::Negative(format!(
            "{}, because the output was too slow; all packets got their verdicts. Use a larger \
             --buffer, or --quiet",
            left_out.join(" and ")
        )))
    }
}

/// The plain summary: a line with counts, a line with the rate, and a line for each unusual count.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} packets, {} accepted, {} dropped, {} errors",
            self.packets, self.accepted, self.dropped, self.errors
        )?;
        if let Some(latency) = self.latency_ns {
            let rate = self.packets_per_second;
            writeln!(f, "{rate:.1} packets/s, verdict after {latency}")?;
        }
        let lost = self.lost.unwrap_or_default();
        for (count, what) in [
            (self.repeated, "packets sent through the hook once more"),
            (self.requeued, "packets sent to another queue"),
            (self.rewritten, "packets rewritten"),
            (
                self.unwritable,
                "packets could not be rewritten, see --help",
            ),
            (
                self.undecided,
                "packets dropped, because the policy needs bytes that were not copied",
            ),
            (self.gone, "verdicts for packets that were gone"),
            (self.refused, "verdicts refused by the kernel"),
            (self.malformed, "malformed messages"),
            (self.overruns, "overruns of a socket buffer (ENOBUFS)"),
            (
                self.pending,
                "more packets got their verdict during the stop",
            ),
            (
                self.unsent,
                "verdicts could not be sent: the kernel dropped these packets",
            ),
            (
                self.flushed,
                "packets came too late for a verdict: the kernel dropped them",
            ),
            (
                self.foreign,
                "messages discarded, because the kernel did not send them",
            ),
            (
                self.unprinted,
                "packets were not printed: standard output was too slow",
            ),
            (
                self.uncaptured,
                "packets were not captured: the capture file was too slow",
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

/// The lines of `text`, each with `# ` before it.
fn commented(text: &str) -> String {
    text.split_inclusive('\n')
        .flat_map(|line| ["# ", line])
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn plain_summary_tells_the_unusual_only_when_it_happened() {
        let mut totals = Totals {
            packets: 3,
            accepted: 1,
            dropped: 2,
            ..Totals::of_queue(0)
        };
        let usual = "3 packets, 1 accepted, 2 dropped, 0 errors\n";
        assert_eq!(totals.to_string(), usual);
        totals.pending = 4;
        assert_eq!(
            totals.to_string(),
            format!("{usual}  4 more packets got their verdict during the stop\n")
        );
        assert_eq!(
            commented(&totals.to_string()),
            format!("# {usual}#   4 more packets got their verdict during the stop\n")
        );
    }

    #[test]
    fn all_queues_that_there_can_be_are_counted() {
        let mut all = Totals::of_queue(0);
        (1..=u16::MAX).for_each(|queue| all.add(&Totals::of_queue(queue)));
        assert_eq!(all.queues, 65_536);
    }

    #[test]
    fn queues_are_added_up() {
        let mut one = Totals::of_queue(3);
        one.count(Decision::ACCEPT, 1);
        one.latencies.record(Duration::from_micros(1));
        let mut two = Totals::of_queue(4);
        two.count(Decision::DROP, 1);
        two.count(Decision::queue(9, false), 1);
        two.latencies.record(Duration::from_micros(3));
        two.lost = Some(KernelLosses {
            queue_full: 5,
            socket_full: 6,
        });
        one.add(&two);
        assert_eq!((one.queue, one.queues, one.packets), (3, 2, 3));
        assert_eq!((one.accepted, one.dropped, one.requeued), (1, 1, 1));
        assert_eq!((one.lost, one.latencies.count()), (two.lost, 2));
    }
}
