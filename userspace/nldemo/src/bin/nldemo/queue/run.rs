// SPDX-License-Identifier: GPL-2.0

//! `nldemo queue run`.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use linux_names::Error;
use nfnetlink_queue::Batching;
use nfnetlink_queue::CopyMode;
use nfnetlink_queue::Options;
use nfnetlink_queue::Queue;
use nldemo::control::Control;
use nldemo::policy::Policy;
use nldemo::replacement::Replacement;
use nldemo::stop::Stop;

use super::links::Links;
use super::memory;
use super::numbers::Queues;
use super::numbers::batching;
use super::numbers::copy_mode;
use super::session::Session;
use super::session::Shared;
use super::sink;
use super::sink::Sink;
use super::sink::Telling;
use super::threads::Threads;
use super::totals::Totals;
use crate::arguments::Module;
use crate::arguments::count;
use crate::arguments::number;
use crate::arguments::time;
use crate::failure::Failure;
use crate::output::Output;

const DETAILS: &str = "\
Policies (--policy): rules with ; between them. A rule matches a packet if all its conditions are
true. The first rule that matches decides. If no rule matches, the packet is accepted.
  conditions  icmp, icmp6, ipv4, ipv6, echo-request, echo-reply, type N|NAME,
              from NETWORK, to NETWORK, size OP N (data bytes of ICMP; OP is = != < <= > >=),
              in IFACE, out IFACE, hook prerouting|input|forward|output|postrouting|ingress,
              mark N[/MASK], fragment, unparsable, rate N/s (true for N packets a second, over
              all queues), not CONDITION
  actions     accept, drop, queue N [bypass], each optionally after `set mark=N`;
              repeat mark=N (the packet passes the hook once more, and the hook must skip this
              mark: nldemo config set skip-mark=N)
  IFACE is the interface that has this name when the packet comes. The interface need not exist at
  the start. If a condition needs more bytes than --copy copies of any packet, the command refuses
  the policy. If fewer bytes of a packet were copied than a condition needs, the packet is dropped
  and counted (undecided).
  echo-size=N is short for `echo-request size=N accept; drop`, the rule of the old demo

Rewriting (--set): packets that are not dropped get the new value. Lengths and checksums are
updated. payload is the data of echo messages and UDP packets. The kernel would drop some packets,
or their new content would be wrong: fragments, packets that were copied in part or will be
segmented later, packets with broken headers or wrong checksums. The program does not rewrite these
packets, and counts them (unwritable). In the network namespace of a container the kernel accepts no
rewriting.

If packets wait, up to 64 of them are received together, and their verdicts are sent together. Each
packet has its own verdict message.

Batching (--batch): packets that follow one another and have the same verdict get one verdict
message. COUNT is the number of verdicts that may wait, TIME the time that they may wait (64,5ms).
Without TIME, verdicts wait only while there are packets to decide. Batching changes no verdict, and
keeps the order of the queue.

Output never delays a verdict. If standard output or the capture is slow, its data waits in memory
(--buffer). If this memory is full, further packets are left out of the output and counted
(unprinted, uncaptured), and the exit status is 1. If output fails, the program gives verdicts to
all packets that wait, and ends.

The first line says that the queue is bound. From then on, the program receives each queued packet.
At SIGINT, SIGTERM, SIGHUP, --count or --timeout, packets that still wait get their verdict and are
not printed. Then a summary follows. If standard output is stuck for 2 seconds, the summary goes to
standard error.

Examples:
  nldemo queue run
  nldemo queue run --policy echo-size=32 --hexdump
  nldemo queue run --policy 'size>56 drop; from 10.0.0.0/8 accept; rate 100/s accept; drop'
  nldemo queue run --queue 0-3 --batch 64 --quiet
  nldemo queue run --set ttl=9 --set payload=hello
  nldemo queue run --pcap seen.pcapng --quiet & ping -c 3 ::1; tshark -r seen.pcapng
  nldemo -j queue run --count 10 --timeout 60 | jq 'select(.event == \"packet\").src'

JSON keys (-j): every object has `event` and `queue`.
  event ready     portid (of the socket that holds the queue)
  event packet    packet_id, hook, in, out (interface names or null), physical_in, physical_out
                  (bridge ports), hardware_address (of the sender), timestamp (null or seconds),
                  mark, priority, vlan (null or protocol, tci), conntrack (null or id, info), uid,
                  gid, gso, checksum_ready,
                  family, src, dst, protocol (null if unparsable), fragment,
                  icmp (null or type, code, name, id, seq, data_length),
                  length, captured (bytes that were copied), verdict (accept, drop, repeat, queue),
                  undecided (whether the packet was dropped because too few bytes were copied),
                  to_queue, set_mark (null or a number), rewritten, unwritable (null or the reason),
                  payload (hexadecimal, only with --hexdump)
  event summary   queues (their number), packets, accepted, dropped, repeated, requeued, rewritten,
                  unwritable, undecided, pending (verdicts given during the stop), unsent (verdicts
                  that could not be sent: the kernel dropped these packets; they are counted above,
                  too), flushed (packets that came too late for a verdict: the kernel dropped them),
                  errors: the sum of gone (packet gone before its verdict), refused (other
                  refusals), malformed, overruns (ENOBUFS);
                  foreign (messages not from the kernel), unprinted, uncaptured (packets that are
                  missing from standard output and from the capture), seconds, packets_per_second,
                  latency_ns (null or min, avg, p50, p99, max: the time from receipt to the sent
                  verdict; of packets that were received together, only the first counts),
                  lost (null or queue_full, socket_full: packets dropped by the kernel)";

/// Bind queues, print every packet and set its verdict
#[derive(clap::Args)]
#[command(after_long_help = DETAILS)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate option")]
pub(crate) struct Args {
    /// The number of the queue, or of the first and the last queue: see the module's parameters
    /// `queue` and `queues`
    #[arg(long, value_name = "N[-M]", default_value = "0")]
    queue: Queues,
    /// The rules that decide about packets, such as `echo-request size>56 drop; accept`
    #[arg(long, value_name = "RULES", default_value = "accept")]
    policy: Policy,
    /// Rewrite packets: ttl=N, payload=TEXT, payload=hex:DIGITS
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Replacement>,
    /// The part of packets to copy: none, meta, packet, or packet:RANGE for RANGE bytes [default:
    /// packet, or meta if no content is needed]
    #[arg(long, value_name = "MODE", value_parser = copy_mode)]
    copy: Option<CopyMode>,
    /// Gather up to COUNT verdicts, for up to TIME
    #[arg(long, value_name = "COUNT[,TIME]", num_args = 0..=1, default_missing_value = "64",
          value_parser = batching)]
    batch: Option<Batching>,
    /// The number of packets that may wait in a queue; the kernel's default is 1024
    #[arg(long, value_name = "N", value_parser = number(1..=u32::MAX))]
    max_len: Option<u32>,
    /// Let packets pass if the queue is full
    #[arg(long)]
    fail_open: bool,
    /// Show the connection that packets belong to
    #[arg(long)]
    conntrack: bool,
    /// Show the user that sent a packet, if this machine sent the packet
    #[arg(long)]
    uid: bool,
    /// Receive packets before they are segmented, without the checksums that devices compute
    #[arg(long)]
    gso: bool,
    /// Print the bytes of every packet as well
    #[arg(long)]
    hexdump: bool,
    /// Write packets to a capture file (pcapng), with their verdicts as comments. If FILE is -, the
    /// capture goes to standard output, and text to standard error
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// The number of bytes that may wait to be written to standard output, and to the capture.
    /// Further packets are left out of the output
    #[arg(long, value_name = "BYTES", default_value = "1048576",
          value_parser = number(1..=1_usize << 30))]
    buffer: usize,
    /// Print only the summary
    #[arg(short, long, conflicts_with = "hexdump")]
    quiet: bool,
    /// Stop after N packets
    #[arg(long, value_name = "N", value_parser = count())]
    count: Option<u64>,
    /// Stop after TIME
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    #[command(flatten)]
    module: Module,
}

impl Args {
    fn copy_mode(&self) -> CopyMode {
        let is_told = !self.quiet || self.pcap.is_some();
        let policy = &self.policy;
        let is_decisive = policy.constant().is_none() || policy.check_copied(0).is_err();
        self.copy
            .unwrap_or(if is_told || is_decisive || !self.set.is_empty() {
                CopyMode::Packet { range: None }
            } else {
                CopyMode::Meta
            })
    }

    fn options(&self) -> Options {
        let options = Options::default()
            .copy_mode(self.copy_mode())
            .batching(self.batch.unwrap_or(Batching::OFF))
            .fail_open(self.fail_open)
            .conntrack(self.conntrack)
            .uid_gid(self.uid)
            .gso(self.gso);
        match self.max_len {
            Some(packets) => options.max_length(packets),
            None => options,
        }
    }
}

pub(crate) fn run(args: &Args, output: &Output, stop: &Stop) -> Result<(), Failure> {
    let policy = &args.policy;
    policy
        .check_copied(copied(args.copy_mode()))
        .map_err(|error| Failure::usage(format!("{error}; use --copy packet")))?;
    refuse_loops(args, policy, output)?;
    let named = !args.quiet || policy.names_interfaces();
    let links = named.then(|| {
        Links::follow(policy, |missing| {
            output.warn(format_args!(
                "{missing}; until it exists, conditions `in` and `out` with this name are false"
            ));
        })
    });
    memory::check(args.queue.0.len())?;
    let file = args.pcap.as_deref().map(sink::open).transpose()?;
    let telling = Telling {
        lines: !args.quiet,
        hexdump: args.hexdump,
        buffer: args.buffer,
        aside: args.pcap.as_deref() == Some(Path::new(sink::STANDARD_OUTPUT)),
    };
    let capture = file.as_ref().map(File::try_clone).transpose();
    let capture = capture.map_err(|error| Error::io("duplicate a descriptor", &error))?;
    let shared = Shared {
        policy,
        links: links.transpose()?,
        replacements: &args.set,
        sink: Sink::new(output, telling, file, stop)?,
        stop,
        limit: args.count,
        packets: AtomicU64::new(0),
    };
    let capture = args.pcap.as_deref().zip(capture.as_ref());
    let capture = capture.filter(|_| !telling.aside);
    let ((totals, served), time) = listen(args, capture, &shared)?;
    let told = shared.sink.finish(totals, time.as_secs_f64());
    served.and(told)
}

/// Binds the queues, and empties the capture file when all queues are bound. Then decides packets
/// until the program must stop. Returns the totals, and the time since all queues were bound.
fn listen(
    args: &Args,
    capture: Option<(&Path, &File)>,
    shared: &Shared<'_>,
) -> Result<(Served, Duration), Failure> {
    thread::scope(|scope| {
        let serve =
            |bound: Bound| Session::new(bound.queue, bound.index, shared, bound.deadline).run();
        let threads = Threads::start(scope, args.queue.0.len(), serve)?;
        // After a queue is bound, packets may wait in it. So even after a failure, the threads run
        // and decide these packets.
        let (queues, bound) = bind(args);
        let begun = bound.and_then(|()| {
            if let Some((path, file)) = capture {
                sink::begin(path, file)?;
            }
            shared.sink.ready(&queues)
        });
        if begun.is_err() {
            shared.stop.request();
        }
        let start = Instant::now();
        let deadline = args.timeout.and_then(|timeout| start.checked_add(timeout));
        let bound = (0..).zip(queues).map(|(index, queue)| Bound {
            queue,
            index,
            deadline,
        });
        let served = sum(threads.run(bound));
        begun?;
        Ok((served, start.elapsed()))
    })
}

/// A bound queue, and the values that the thread of this queue needs.
struct Bound {
    queue: Queue,
    index: u32,
    deadline: Option<Instant>,
}

/// The totals of one or more queues, and the first failure.
type Served = (Totals, Result<(), Failure>);

fn sum(all: Vec<Served>) -> Served {
    let sum = all
        .into_iter()
        .reduce(|(mut all, served), (totals, result)| {
            all.add(&totals);
            (all, served.and(result))
        });
    sum.unwrap_or_else(|| (Totals::of_queue(0), Ok(())))
}

/// The number of bytes of each packet that a policy can read.
fn copied(mode: CopyMode) -> usize {
    match mode {
        CopyMode::None | CopyMode::Meta => 0,
        CopyMode::Packet { range } => range.map_or(usize::MAX, |range| range.get() as usize),
    }
}

/// Binds all queues in order. If a queue cannot be bound, returns the queues that were bound
/// before, and the error.
fn bind(args: &Args) -> (Vec<Queue>, Result<(), Failure>) {
    let mut queues = Vec::new();
    for number in args.queue.0.clone() {
        match args.options().bind(number) {
            Ok(queue) => queues.push(queue),
            Err(error) => return (queues, Err(error.into())),
        }
    }
    let rewritable = match queues.first() {
        Some(queue) if !args.set.is_empty() => queue.check_rewriting().map_err(Into::into),
        _ => Ok(()),
    };
    (queues, rewritable)
}

/// Fails if packets would go round for ever. That happens if the policy sends them to a queue that
/// this command reads, or repeats them with a mark that the module does not skip.
fn refuse_loops(args: &Args, policy: &Policy, output: &Output) -> Result<(), Failure> {
    let numbers = &args.queue.0;
    if let Some(queue) = policy.queues().find(|queue| numbers.contains(queue)) {
        return Err(Failure::usage(format!(
            "this command reads queue {queue}, and its policy sends packets to the same queue: the \
             packets would go round for ever; choose the queue of another program"
        )));
    }
    let mut marks = policy.repeat_marks().peekable();
    if marks.peek().is_none() {
        return Ok(());
    }
    let config = Control::open(args.module.protocol).and_then(|mut control| control.config());
    match config {
        Ok(config) => {
            if let Some(mark) = marks.find(|&mark| mark != config.skip_mark) {
                return Err(Failure::usage(format!(
                    "the policy repeats packets with mark {mark:#x}, but the module skips mark {:#x}: \
                     the module would queue the packets again for ever; run `nldemo config set \
                     skip-mark={mark:#x}`",
                    config.skip_mark
                )));
            }
        }
        Err(error) => output.warn(format_args!(
            "the policy repeats packets; if the hook that queues them does not skip their mark, \
             they go round for ever. The mark that the module skips is unknown: {error}"
        )),
    }
    Ok(())
}
