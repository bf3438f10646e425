// SPDX-License-Identifier: GPL-2.0

//! `nldemo queue show`.

use anstyle::AnsiColor;
use linux_names::process::Process;
use nfnetlink_queue::QueueState;
use nfnetlink_queue::bound_queues;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;
use crate::table::Cell;
use crate::table::Table;

const DETAILS: &str = "\
The queues of the network namespace, from /proc/net/netfilter/nfnetlink_queue.

Examples:
  nldemo queue show
  nldemo -N blue -j queue show | jq '.queues[] | select(.waiting > 100)'

JSON keys (-j): queues, each with
  queue, portid (address of the socket), process (null or pid, name),
  waiting (packets without a verdict), copy_mode (0 none, 1 meta, 2 packet), copy_range,
  lost (queue_full, socket_full: packets dropped by the kernel), last_id";

/// Show the queues that have a consumer, and the consumers
#[derive(clap::Args)]
#[command(after_long_help = DETAILS)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Report {
    queues: Vec<QueueState>,
}

pub(crate) fn run(output: &mut Output) -> Result<(), Failure> {
    let report = Report {
        queues: bound_queues()?,
    };
    if output.is_json() {
        return Ok(output.json(&report)?);
    }
    let text = table(&report.queues).render(output);
    Ok(output.text(text)?)
}

fn table(queues: &[QueueState]) -> Table {
    let mut table = Table::default();
    let title = |text| Cell::right(text).painted(AnsiColor::Cyan);
    table.row([
        title("queue"),
        title("portid"),
        title("waiting"),
        Cell::left("copy").painted(AnsiColor::Cyan),
        title("queue full"),
        title("socket full"),
        title("last id"),
        Cell::left("process").painted(AnsiColor::Cyan),
    ]);
    for queue in queues {
        let process = queue.process.as_ref();
        table.row([
            Cell::right(queue.queue.to_string()),
            Cell::right(queue.portid.to_string()),
            Cell::right(queue.waiting.to_string()),
            Cell::left(copy(queue)),
            Cell::right(queue.lost.queue_full.to_string()),
            Cell::right(queue.lost.socket_full.to_string()),
            Cell::right(queue.last_id.to_string()),
            Cell::left(process.map_or("?".to_owned(), Process::to_string)),
        ]);
    }
    table
}

fn copy(queue: &QueueState) -> String {
    match queue.copy_mode {
        0 => "none".into(),
        1 => "meta".into(),
        2 => format!("packet:{}", queue.copy_range),
        other => other.to_string(),
    }
}
