// SPDX-License-Identifier: GPL-2.0

//! `nldemo monitor`.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::AsFd;
use std::time::Duration;
use std::time::Instant;

use anstyle::AnsiColor;
use nldemo::control::Change;
use nldemo::control::Config;
use nldemo::control::Monitor;
use nldemo::control::Notice;
use nldemo::stop::Stop;
use serde::Serialize;

use crate::arguments::Module;
use crate::arguments::count;
use crate::arguments::time;
use crate::clock;
use crate::failure::Failure;
use crate::output::Output;

const DETAILS: &str = "\
The first line says that the program listens. From then on, the program prints each event, or
reports that the event was lost.

Examples:
  nldemo monitor
  nldemo -j monitor --count 1 --timeout 60 | jq 'select(.event == \"config\").changed'

JSON keys (-j): every object has `event` and `time` (RFC 3339).
  event ready     number (of the latest event before), config, portid
  event config    number, changed (an object: each key that changed has from and to), config;
                  nldemo config show --help describes the keys of changed and config
  event netns     number, cookie (of the network namespace that was deleted, as SO_NETNS_COOKIE
                  reads it); in the initial network namespace only
  event filtered  events (the number of events that a filter dropped); only with
                  nldemo filter attach --events
  event lost      events (the number of lost events); if the configuration changed, event config
                  follows

Exit status: 0 ended by --count, --timeout or SIGINT; 1 no answer, 2 error";

/// Print changes of the configuration and deletions of network namespaces, as soon as they happen
#[derive(clap::Args)]
#[command(after_long_help = DETAILS)]
pub(crate) struct Args {
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    module: Module,
}

/// The limits at which the command stops by itself.
#[derive(clap::Args)]
pub(crate) struct Limits {
    /// Stop after N events
    #[arg(long, value_name = "N", value_parser = count())]
    pub(crate) count: Option<u64>,
    /// Stop after TIME
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) timeout: Option<Duration>,
}

/// A line of output; `nldemo monitor --help` describes the JSON keys.
#[derive(Serialize)]
struct Record {
    time: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum What {
    Ready {
        number: u32,
        config: Config,
        portid: u32,
    },
    Config {
        number: u32,
        changed: Changed,
        config: Config,
    },
    Netns {
        number: u32,
        cookie: u64,
    },
    Filtered {
        events: u32,
    },
    Lost {
        events: u32,
    },
}

/// Changes of the configuration. In JSON they are an object with the changed keys.
struct Changed(Vec<Change>);

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    let mut monitor = Monitor::open(args.module.protocol)?;
    follow(&mut monitor, &args.limits, output, stop)
}

/// Prints the notices of a monitor until a limit is reached.
pub(crate) fn follow(
    monitor: &mut Monitor,
    limits: &Limits,
    output: &mut Output,
    stop: &Stop,
) -> Result<(), Failure> {
    let deadline = limits.timeout.map(|timeout| Instant::now() + timeout);
    let config = *monitor.config();
    let ready = What::Ready {
        number: config.event,
        config,
        portid: monitor.portid(),
    };
    print(ready, output)?;
    let mut left = limits.count;
    // The loop checks the time and the signals after each event. `next` checks them only while it
    // waits for an event. If events come without a pause, `next` never waits.
    while left != Some(0)
        && !stop.requested()
        && deadline.is_none_or(|deadline| Instant::now() < deadline)
    {
        let Some(notice) = monitor.next(deadline, Some(stop.as_fd()))? else {
            break;
        };
        // Notices about missing events do not count towards `limits.count`.
        if !matches!(notice, Notice::Lost { .. } | Notice::Filtered { .. }) {
            left = left.map(|left| left - 1);
        }
        print(notice.into(), output)?;
    }
    Ok(())
}

fn print(what: What, output: &mut Output) -> Result<(), Failure> {
    let record = Record {
        time: clock::now(),
        what,
    };
    if output.is_json() {
        output.json(&record)?;
    } else {
        let color = match record.what {
            What::Ready { .. } => AnsiColor::Green,
            What::Config { .. } => AnsiColor::Cyan,
            What::Netns { .. } => AnsiColor::Blue,
            What::Filtered { .. } => AnsiColor::Yellow,
            What::Lost { .. } => AnsiColor::Red,
        };
        let what = output.paint(color, &record.what);
        output.text(format!("{} {what}\n", record.time))?;
    }
    Ok(())
}

impl From<Notice> for What {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Lost { events } => Self::Lost { events },
            Notice::Filtered { events } => Self::Filtered { events },
            Notice::Config { config, changes } => Self::Config {
                number: config.event,
                changed: Changed(changes),
                config,
            },
            Notice::NetnsGone { number, cookie } => Self::Netns { number, cookie },
        }
    }
}

/// The text of a line of output, without the time at the start of the line.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { number, portid, .. } => {
                write!(f, "listening after event {number} (portid {portid})")
            }
            Self::Config {
                number, changed, ..
            } => write!(f, "#{number} config {changed}"),
            Self::Netns { number, cookie } => {
                write!(
                    f,
                    "#{number} network namespace with cookie {cookie} is gone"
                )
            }
            Self::Filtered { events: 1 } => f.write_str("1 event was filtered out"),
            Self::Filtered { events } => write!(f, "{events} events were filtered out"),
            Self::Lost { events: 1 } => f.write_str("1 event was lost"),
            Self::Lost { events } => write!(f, "{events} events were lost"),
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("as before");
        }
        for (index, Change { from, to }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let key = from.key();
            write!(f, "{comma}{key} {} -> {}", from.value(), to.value())?;
        }
        Ok(())
    }
}

impl Serialize for Changed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = |change: &Change| (change.from.key().name().replace('-', "_"), *change);
        let by_key: BTreeMap<_, _> = self.0.iter().map(named).collect();
        by_key.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use nldemo::control::Setting;

    use super::*;

    fn change(from: &str, to: &str) -> Change {
        let [from, to] = [from, to].map(|text| text.parse::<Setting>().unwrap());
        Change { from, to }
    }

    #[test]
    fn changes_are_told_by_key() {
        let changed = Changed(vec![
            change("queue=0", "queue=5"),
            change("ipv6-types=none", "ipv6-types=echo"),
            change("skip-mark=0", "skip-mark=16"),
        ]);
        assert_eq!(
            changed.to_string(),
            "queue 0 -> 5, ipv6-types none -> 128-129, skip-mark 0x0 -> 0x10"
        );
        assert_eq!(
            serde_json::to_string(&changed).unwrap(),
            r#"{"ipv6_types":{"from":"none","to":"128-129"},"queue":{"from":0,"to":5},"#.to_owned()
                + r#""skip_mark":{"from":0,"to":16}}"#
        );
        assert_eq!(Changed(vec![]).to_string(), "as before");
    }

    #[test]
    fn events_are_lines_and_objects() {
        let record = |what| Record {
            time: "now".to_owned(),
            what,
        };
        for (what, line, json) in [
            (
                What::Lost { events: 3 },
                "3 events were lost",
                r#"{"time":"now","event":"lost","events":3}"#,
            ),
            (
                What::Filtered { events: 1 },
                "1 event was filtered out",
                r#"{"time":"now","event":"filtered","events":1}"#,
            ),
            (
                What::Netns {
                    number: 8,
                    cookie: 4097,
                },
                "#8 network namespace with cookie 4097 is gone",
                r#"{"time":"now","event":"netns","number":8,"cookie":4097}"#,
            ),
        ] {
            assert_eq!(what.to_string(), line);
            assert_eq!(serde_json::to_string(&record(what)).unwrap(), json);
        }
    }
}
