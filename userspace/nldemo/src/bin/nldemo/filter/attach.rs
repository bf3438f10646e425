// SPDX-License-Identifier: GPL-2.0

//! `nldemo filter attach`.

use std::time::Duration;

use anstyle::AnsiColor;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use nldemo::Error;
use nldemo::control::EventKind;
use nldemo::control::Monitor;
use nldemo::echo::Client;
use nldemo::echo::Options;
use nldemo::echo::Parity;
use nldemo::echo::Payload;
use nldemo::echo::RoundTrips;
use nldemo::echo::echoes;
use nldemo::stop::Stop;
use serde::Serialize;

use crate::arguments::Module;
use crate::arguments::count;
use crate::arguments::time;
use crate::failure::Failure;
use crate::monitor;
use crate::output::Output;

/// The number of messages that are sent by default.
const DEFAULT_COUNT: u64 = 10;
/// The length of each message, in bytes.
const SIZE: usize = 64;

const DETAILS: &str = "\
The kernel runs the filter of a socket before it delivers a netlink message. A message that the
filter drops takes no room in the receive buffer. The kernel reports the drop neither to the socket
(ENOBUFS) nor to the module that sent the message.

With --parity, the command sends numbered messages to the module, and receives the replies whose
sequence numbers pass the filter. With --events, the command does the same as nldemo monitor, and
the numbers of dropped events are missing. The kernel reports lost events. So the command prints all
other missing numbers as \"filtered\".

Examples:
  nldemo filter attach --parity even
  nldemo filter attach --events config --count 5

JSON keys (-j) with --parity; for --events see nldemo monitor --help:
  protocol, portid    netlink protocol number, portid of this socket
  parity              even or odd
  sent                messages sent
  received            sequence numbers of the replies, in the order of their arrival
  ok                  whether exactly the replies that pass the filter arrived

Exit status: 0 done; 1 a reply is missing, or a reply came that does not pass the filter; 2 error";

/// Attach a filter to a socket of the module's netlink protocol, and print the messages that pass
#[derive(clap::Args)]
#[command(after_long_help = DETAILS)]
#[group(id = "what", required = true, multiple = false, args = ["parity", "events"])]
pub(crate) struct Args {
    /// Pass echo replies with even or odd sequence numbers
    #[arg(long, value_parser = parity())]
    parity: Option<Parity>,
    /// Pass these events: config, netns
    #[arg(long, value_name = "KIND,...", value_delimiter = ',')]
    events: Vec<EventKind>,
    /// Send N messages [default: 10], or stop after N events
    #[arg(long, value_name = "N", value_parser = count())]
    count: Option<u64>,
    /// Stop listening to events after TIME
    #[arg(long, value_name = "TIME", requires = "events", value_parser = time)]
    timeout: Option<Duration>,
    #[command(flatten)]
    module: Module,
}

/// The JSON object for `--parity`; `nldemo filter attach --help` describes its keys.
#[derive(Serialize)]
struct Report<'a> {
    protocol: u8,
    portid: u32,
    parity: Parity,
    sent: u64,
    received: &'a [u32],
    ok: bool,
}

fn parity() -> impl TypedValueParser<Value = Parity> {
    PossibleValuesParser::new(Parity::ALL.map(Parity::name))
        .try_map(|text| Parity::named(&text).ok_or("expected even or odd"))
}

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    let Some(parity) = args.parity else {
        let mut monitor = Monitor::open_filtered(args.module.protocol, &args.events)?;
        let limits = monitor::Limits {
            count: args.count,
            timeout: args.timeout,
        };
        return monitor::follow(&mut monitor, &limits, output, stop);
    };
    echo(args, parity, output, stop)
}

fn echo(args: &Args, parity: Parity, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    let mut client = Client::open(Options {
        protocol: args.module.protocol,
        // The kernel answers before a send returns. So a reply that is not in the socket after the
        // send will never come.
        timeout: Duration::ZERO,
        ..Options::default()
    })?;
    let mut filter = echoes(parity)?;
    filter.attach(&client)?;

    let (mut sent, mut missing, mut surplus, mut received) = (0, 0, 0, Vec::new());
    let count = args.count.unwrap_or(DEFAULT_COUNT);
    let mut round_trips = RoundTrips::default();
    while sent < count && !stop.requested() {
        let sequence = client.next_sequence();
        let payload = Payload::Generated(SIZE);
        let came = match client.exchange(&payload, 1, None, &mut round_trips) {
            Ok(_) => true,
            Err(Error::NoReply { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        sent += 1;
        received.extend(came.then_some(sequence));
        match (came, parity.has(sequence)) {
            (false, true) => missing += 1,
            (true, false) => surplus += 1,
            _ => {}
        }
    }
    client.finish()?;
    let ok = missing + surplus == 0;
    if output.is_json() {
        output.json(&Report {
            protocol: args.module.protocol,
            portid: client.portid(),
            parity,
            sent,
            received: &received,
            ok,
        })?;
    } else {
        let numbers: Vec<_> = received.iter().map(u32::to_string).collect();
        let passed = match &*numbers.join(" ") {
            "" => String::new(),
            numbers => format!(": {}", output.paint(AnsiColor::Green, numbers)),
        };
        let replies = if received.len() == 1 {
            "reply"
        } else {
            "replies"
        };
        output.text(format!(
            "{sent} sent, {} {replies} passed the filter{passed}\n",
            received.len()
        ))?;
    }
    if ok {
        Ok(())
    } else {
        Err(Error::Unfiltered { missing, surplus }.into())
    }
}
