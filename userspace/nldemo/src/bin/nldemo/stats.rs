// SPDX-License-Identifier: GPL-2.0

//! `nldemo stats`.

use std::os::fd::AsFd;
use std::time::Duration;
use std::time::Instant;

use knetlink::Wake;
use knetlink::wait;
use nldemo::control::COUNTERS;
use nldemo::control::Control;
use nldemo::control::Stats;
use nldemo::stop::Stop;
use serde::Serialize;

use crate::arguments::Module;
use crate::arguments::count;
use crate::arguments::time;
use crate::clock;
use crate::config::NOT_HOOKED;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::Cell;
use crate::table::Table;

const DETAILS: &str = "\
What is counted:
  netlink messages     netlink messages handled, and their bytes
  acks, errors         acknowledgements; errors that the module reported, without refused requests
  refused              requests refused because the sender lacks CAP_NET_ADMIN
  ipv4, ipv6 seen      ICMP and ICMPv6 packets that the hooks saw. Some are also counted as:
    unparsable         packets whose headers end early or contradict themselves
    matched            packets of a type that is queued. Each of them is also counted as one of:
      skipped          packets that passed because of their mark, or because they met the same hook
                       a second time in a VRF
      queued           packets that went to a queue

Examples:
  nldemo stats
  nldemo stats --per-cpu --watch
  nldemo -j stats --watch 10 --count 6 | jq .per_second.ipv4.queued

JSON keys (-j), an object for each reading:
  time                     time of the reading (RFC 3339)
  hooked                   whether the module's hooks are registered; not with --per-cpu
  messages, bytes, acks, errors, refused
  ipv4, ipv6               objects: seen, matched, skipped, queued, unparsable
  per_second               null in the first reading, then an object with the same keys from
                           messages to ipv6
  cpus                     only with --per-cpu, when the object has only time and cpus: a list of
                           objects with cpu and the keys from messages to per_second

Exit status: 0 done, or ended by SIGINT; 1 no answer, 2 error";

/// Show the module's counters
#[derive(clap::Args)]
#[command(after_long_help = DETAILS)]
pub(crate) struct Args {
    /// Show the counters of each CPU
    #[arg(long)]
    per_cpu: bool,
    /// Read the counters again after each TIME, and show rates
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        default_missing_value = "1",
        value_parser = time
    )]
    watch: Option<Duration>,
    /// Stop watching after N readings
    #[arg(long, value_name = "N", requires = "watch", value_parser = count())]
    count: Option<u64>,
    #[command(flatten)]
    module: Module,
}

/// The counters of one CPU or of all CPUs, and their rates since the previous reading.
#[derive(Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hooked: Option<bool>,
    #[serde(flatten)]
    stats: Stats,
    per_second: Option<Stats<f64>>,
}

/// The counters that were read at one time.
struct Reading {
    time: String,
    at: Instant,
    rows: Vec<Row>,
}

/// The JSON of a reading; `nldemo stats --help` describes its keys.
#[derive(Serialize)]
struct Report<'a> {
    time: &'a str,
    #[serde(flatten)]
    rows: Rows<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case", untagged)]
enum Rows<'a> {
    Total(&'a Row),
    Cpus { cpus: &'a [Row] },
}

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    let mut control = Control::open(args.module.protocol)?;
    let mut earlier = None;
    let mut left = if args.watch.is_some() {
        args.count
    } else {
        Some(1)
    };
    loop {
        let reading = Reading::new(&mut control, args.per_cpu, earlier.as_ref())?;
        if output.is_json() {
            output.json(&reading.report(args.per_cpu))?;
        } else {
            let text = reading.plain(args, output);
            output.frame(&text)?;
        }
        left = left.map(|left| left - 1);
        let (Some(interval), true) = (args.watch, left != Some(0)) else {
            return Ok(());
        };
        if wait(None, Some(reading.at + interval), Some(stop.as_fd()))? == Wake::Stopped {
            return Ok(());
        }
        earlier = Some(reading);
    }
}

impl Reading {
    fn new(
        control: &mut Control,
        per_cpu: bool,
        earlier: Option<&Self>,
    ) -> Result<Self, nldemo::Error> {
        let all: Vec<_> = if per_cpu {
            let cpus = control.stats_per_cpu()?.into_iter();
            cpus.map(|cpu| (Some(cpu.cpu), None, cpu.stats)).collect()
        } else {
            let totals = control.stats()?;
            vec![(None, Some(totals.hooked), totals.stats)]
        };
        let at = Instant::now();
        let rows = all.into_iter().map(|(cpu, hooked, stats)| Row {
            cpu,
            hooked,
            stats,
            per_second: earlier.and_then(|earlier| {
                let before = earlier.rows.iter().find(|row| row.cpu == cpu)?;
                Some(stats.per_second(before.stats, at - earlier.at))
            }),
        });
        Ok(Self {
            time: clock::now(),
            at,
            rows: rows.collect(),
        })
    }

    fn report(&self, per_cpu: bool) -> Report<'_> {
        let rows = match &self.rows[..] {
            [total] if !per_cpu => Rows::Total(total),
            cpus => Rows::Cpus { cpus },
        };
        Report {
            time: &self.time,
            rows,
        }
    }

    fn plain(&self, args: &Args, output: &Output) -> String {
        let table = match &self.rows[..] {
            [total] if !args.per_cpu => total.table(),
            cpus => cpu_table(cpus),
        };
        let mut table = table.render(output);
        if self.rows.iter().any(|row| row.hooked == Some(false)) {
            table += NOT_HOOKED;
            table.push('\n');
        }
        match args.watch {
            Some(_) => format!("{}\n{table}", self.time),
            None => table,
        }
    }
}

impl Row {
    /// A table with a line for each counter.
    fn table(&self) -> Table {
        let rates = self.per_second.map(Stats::counters);
        let mut table = Table::default();
        let mut heading = vec![Cell::left(""), Cell::right("total")];
        heading.extend(rates.map(|_| Cell::right("per second")));
        table.row(heading);
        let counters = COUNTERS.into_iter().zip(self.stats.counters());
        for (index, ((group, name), total)) in counters.enumerate() {
            let mut row = vec![
                Cell::left(format!("{group} {name}")),
                Cell::right(total.to_string()),
            ];
            row.extend(rates.map(|rates| Cell::rate(rates[index])));
            table.row(row);
        }
        table
    }
}

/// A table with a line for the counters of each CPU. A second line below it has the CPU's rates.
fn cpu_table(cpus: &[Row]) -> Table {
    let mut table = Table::default();
    let mut group = "";
    let groups = COUNTERS.into_iter().map(|(name, _)| {
        let first = std::mem::replace(&mut group, name) != name;
        Cell::right(if first { name } else { "" })
    });
    table.row([Cell::right("")].into_iter().chain(groups));
    let names = COUNTERS.into_iter().map(|(_, name)| Cell::right(name));
    table.row([Cell::right("CPU")].into_iter().chain(names));
    for row in cpus {
        let label = row.cpu.map_or_else(String::new, |cpu| cpu.to_string());
        let totals = row.stats.counters();
        let totals = totals.map(|total| Cell::right(total.to_string()));
        table.row([Cell::right(label)].into_iter().chain(totals));
        if let Some(rates) = row.per_second {
            let rates = rates.counters().map(Cell::rate);
            table.row([Cell::right("/s")].into_iter().chain(rates));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;

    use super::*;
    use crate::output::Format;

    fn row(cpu: Option<u32>, per_second: Option<Stats<f64>>) -> Row {
        Row {
            cpu,
            hooked: cpu.is_none().then_some(true),
            stats: Stats {
                messages: 12,
                ..Stats::default()
            },
            per_second,
        }
    }

    fn reading(rows: Vec<Row>) -> Reading {
        Reading {
            time: "now".to_owned(),
            at: Instant::now(),
            rows,
        }
    }

    #[test]
    fn json_has_the_documented_keys() {
        let zero = r#"{"seen":0,"matched":0,"skipped":0,"queued":0,"unparsable":0}"#;
        let counters = format!(
            r#""messages":12,"bytes":0,"acks":0,"errors":0,"refused":0,"ipv4":{zero},"ipv6":{zero}"#
        );
        let json = |rows, per_cpu| {
            let reading = reading(rows);
            serde_json::to_string(&reading.report(per_cpu)).unwrap()
        };
        assert_eq!(
            json(vec![row(None, None)], false),
            format!(r#"{{"time":"now","hooked":true,{counters},"per_second":null}}"#)
        );
        assert_eq!(
            json(vec![row(Some(3), None)], true),
            format!(r#"{{"time":"now","cpus":[{{"cpu":3,{counters},"per_second":null}}]}}"#)
        );
        let rates = json(vec![row(None, Some(Stats::default()))], false);
        assert!(
            rates.contains(r#""per_second":{"messages":0.0,"#),
            "{rates}"
        );
    }

    #[test]
    fn tables_have_a_line_for_each_counter_or_cpu_and_rates_when_known() {
        let output = Output::new(Format::Plain, ColorChoice::Never);
        let total = row(None, None).table().render(&output);
        assert!(
            total.starts_with("                  total\nnetlink messages     12\n"),
            "{total}"
        );
        assert_eq!(total.lines().count(), 16);

        let rates = Some(Stats {
            messages: 1.5,
            ..Stats::default()
        });
        let watched = row(None, rates).table().render(&output);
        assert!(
            watched.contains("netlink messages     12         1.5\n"),
            "{watched}"
        );
        let cpus = cpu_table(&[row(Some(0), rates), row(Some(1), None)]).render(&output);
        let firsts: Vec<_> = cpus
            .lines()
            .map(|line| {
                line.split_ascii_whitespace()
                    .take(2)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        assert_eq!(
            firsts,
            ["netlink ipv4", "CPU messages", "0 12", "/s 1.5", "1 12"]
        );
    }
}
