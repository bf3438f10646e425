// SPDX-License-Identifier: GPL-2.0

//! `nldemo filter count`.

use std::os::fd::AsFd;
use std::time::Duration;
use std::time::Instant;

use anstyle::AnsiColor;
use knetlink::Wake;
use knetlink::wait;
use linux_names::interface::Interface;
use linux_names::text::Escaped;
use nldemo::stop::Stop;
use serde::Serialize;
use sockfilter::Counter;
use sockfilter::Counts;

use crate::arguments::count;
use crate::arguments::interface;
use crate::arguments::time;
use crate::clock;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::Cell;
use crate::table::Table;

const DETAILS: &str = "\
A BPF program in the kernel counts packets, and their bytes from the IP header on. No packet is
copied to nldemo. On lo every packet is both sent and received.

What is counted:
  tcp, udp      over IPv4 and IPv6, behind VLAN tags and extension headers
  icmp          over IPv4
  icmpv6        over IPv6
  other         other protocols, ARP, packets that end early

Examples:
  nldemo filter count eth0
  nldemo -j filter count lo --interval 10 --count 6 | jq .per_second.received.tcp.bytes

JSON keys (-j), an object for each reading, then a summary:
  event         ready (when counting starts: only event, time and interface), counts, then summary
  time          time of the reading (RFC 3339)
  interface     name of the interface
  seconds       time since counting started
  received, sent    objects: tcp, udp, icmp, icmpv6, other; each has packets and bytes
  per_second    received and sent as rates: since the previous reading, in the summary since the
                start

If the interface is removed, the command prints the summary and ends with an error. If the interface
goes down, counting goes on when the interface comes up again.

Exit status: 0 ended by --count or SIGINT; 2 error";

/// Count the packets that an interface receives and sends, by protocol
#[derive(clap::Args)]
#[command(after_long_help = DETAILS)]
pub(crate) struct Args {
    /// The interface, by name or number as `ip link` shows them
    #[arg(value_name = "IFACE", value_parser = interface())]
    interface: Interface,
    /// Show the counts after each TIME
    #[arg(long, value_name = "TIME", default_value = "1", value_parser = time)]
    interval: Duration,
    /// Stop after showing the counts N times
    #[arg(long, value_name = "N", value_parser = count())]
    count: Option<u64>,
}

/// A line of output; `nldemo filter count --help` describes the JSON keys.
#[derive(Serialize)]
struct Record<'a> {
    event: Event,
    time: String,
    interface: &'a str,
    #[serde(flatten)]
    reading: Option<&'a Reading>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Ready,
    Counts,
    Summary,
}

/// The counts of one reading, and the rates since the previous reading.
#[derive(Serialize)]
struct Reading {
    seconds: f64,
    #[serde(flatten)]
    counts: Counts,
    per_second: Counts<f64>,
}

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    let counter = Counter::open(args.interface.clone())?;
    let interface = counter.interface();
    let start = Instant::now();
    print(interface, Event::Ready, None, output)?;
    let mut earlier = (start, Counts::default());
    let mut left = args.count;
    while left != Some(0)
        && wait(None, Some(earlier.0 + args.interval), Some(stop.as_fd()))? != Wake::Stopped
        && counter.check().is_ok()
    {
        let latest = (Instant::now(), counter.read()?);
        let reading = Reading::new(start, earlier, latest);
        print(interface, Event::Counts, Some(&reading), output)?;
        earlier = latest;
        left = left.map(|left| left - 1);
    }
    let latest = (Instant::now(), counter.read()?);
    let all = Reading::new(start, (start, Counts::default()), latest);
    print(interface, Event::Summary, Some(&all), output)?;
    Ok(counter.check()?)
}

impl Reading {
    fn new(start: Instant, earlier: (Instant, Counts), latest: (Instant, Counts)) -> Self {
        let ((before, already), (now, counts)) = (earlier, latest);
        Self {
            seconds: (now - start).as_secs_f64(),
            counts,
            per_second: (counts - already).per_second(now - before),
        }
    }

    /// A table with a line for each protocol in each direction.
    fn table(&self) -> Table {
        let mut table = Table::default();
        let headings = ["packets", "bytes", "packets/s", "bytes/s"].map(Cell::right);
        table.row([Cell::left("")].into_iter().chain(headings));
        let (counts, rates) = (self.counts, self.per_second);
        for (direction, total, rate) in [
            ("received", counts.received, rates.received),
            ("sent", counts.sent, rates.sent),
        ] {
            for ((protocol, total), (_, rate)) in total.named().into_iter().zip(rate.named()) {
                table.row([
                    Cell::left(format!("{direction} {protocol}")),
                    Cell::right(total.packets.to_string()),
                    Cell::right(total.bytes.to_string()),
                    Cell::rate(rate.packets),
                    Cell::rate(rate.bytes),
                ]);
            }
        }
        table
    }
}

fn print(
    interface: &str,
    event: Event,
    reading: Option<&Reading>,
    output: &mut Output,
) -> Result<(), Failure> {
    let record = Record {
        event,
        time: clock::now(),
        interface,
        reading,
    };
    if output.is_json() {
        output.json(&record)?;
    } else if let Some(reading) = reading {
        let table = reading.table().render(output);
        let seconds = reading.seconds;
        let interface = Escaped(interface.as_bytes());
        if event == Event::Summary {
            output.text(format!("{interface} in {seconds:.3} s:\n{table}"))?;
        } else {
            output.frame(&format!("{}\n{table}", record.time))?;
        }
    } else {
        let interface = Escaped(interface.as_bytes());
        let text = output.paint(AnsiColor::Green, format!("counting on {interface}"));
        output.text(format!("{} {text}\n", record.time))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;

    use super::*;
    use crate::output::Format;

    fn reading() -> Reading {
        let start = Instant::now();
        let mut counts = Counts::default();
        counts.received.tcp.packets = 4;
        counts.received.tcp.bytes = 4000;
        let now = (start + Duration::from_secs(2), counts);
        Reading::new(start, (start, Counts::default()), now)
    }

    #[test]
    fn json_has_the_documented_keys() {
        let record = |event, reading| Record {
            event,
            time: "now".to_owned(),
            interface: "lo",
            reading,
        };
        let json = |record: Record| serde_json::to_string(&record).unwrap();
        assert_eq!(
            json(record(Event::Ready, None)),
            r#"{"event":"ready","time":"now","interface":"lo"}"#
        );
        let none = r#""udp":{"packets":0,"bytes":0},"icmp":{"packets":0,"bytes":0},"#.to_owned()
            + r#""icmpv6":{"packets":0,"bytes":0},"other":{"packets":0,"bytes":0}}"#;
        let received = format!(r#""received":{{"tcp":{{"packets":4,"bytes":4000}},{none}"#);
        let sent = format!(r#""sent":{{"tcp":{{"packets":0,"bytes":0}},{none}"#);
        let rate = |text: &str| {
            let text = text.replace(":4,", ":2.0,").replace(":4000", ":2000.0");
            text.replace(":0", ":0.0")
        };
        assert_eq!(
            json(record(Event::Counts, Some(&reading()))),
            r#"{"event":"counts","time":"now","interface":"lo","seconds":2.0,"#.to_owned()
                + &format!(
                    r#"{received},{sent},"per_second":{{{},{}}}}}"#,
                    rate(&received),
                    rate(&sent)
                )
        );
    }

    #[test]
    fn table_has_a_line_for_each_protocol_and_direction() {
        let output = Output::new(Format::Plain, ColorChoice::Never);
        let table = reading().table().render(&output);
        assert!(
            table.starts_with(
                "                 packets  bytes  packets/s  bytes/s\n\
                 received tcp           4   4000        2.0   2000.0\n"
            ),
            "{table}"
        );
        assert_eq!(table.lines().count(), 11);
    }
}
