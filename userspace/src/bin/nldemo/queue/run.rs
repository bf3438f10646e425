// SPDX-License-Identifier: GPL-2.0

//! `nldemo queue run`.

use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nldemo::Error;
use nldemo::netlink::RECEIVE_LEN;
use nldemo::queue::Decision;
use nldemo::queue::Event;
use nldemo::queue::Packet;
use nldemo::queue::Policy;
use nldemo::queue::Queue;
use nldemo::queue::Summary;
use nldemo::queue::Verdict;
use nldemo::stop::Stop;
use nldemo::wait::Wake;

use super::record::Ready;
use super::record::Record;
use super::record::Totals;
use crate::Failure;
use crate::output::Output;

/// How long stopping may take while packets keep coming.
const DRAIN_TIME: Duration = Duration::from_secs(1);

const DETAILS: &str = "\
Policies:
  accept          accept every packet
  drop            drop every packet
  echo-size=N     the rule of the old demo: accept an ICMP or ICMPv6 echo request with exactly N
                  data bytes (`ping -s N`), drop every other packet, echo replies included. Where
                  replies pass the same hook (a ping to oneself over lo), they are dropped.

The first line says that the queue is bound: packets are seen from then on. On SIGINT, SIGTERM,
--count or --timeout, packets that still wait get their verdict unprinted, and a summary follows.

Examples:
  nldemo queue run
  nldemo queue run --policy echo-size=32 --hexdump
  nldemo -j queue run --count 10 --timeout 60 | jq 'select(.event == \"packet\").src'

JSON keys (-j): every object has `event` and `queue`.
  event ready     portid: address of the socket that holds the queue
  event packet    packet_id, hook, in, out (interface names or null), mark, family,
                  src, dst, protocol (null if unparsable), fragment,
                  icmp (null or type, code, name, id, seq, data_length),
                  length, captured (bytes of it seen), verdict,
                  payload (hexadecimal, only with --hexdump)
  event summary   packets, accepted, dropped, pending (verdicts given while stopping),
                  flushed (too late for that), errors, being the sum of gone (packet gone before
                  its verdict), refused (other refusals), malformed, overruns (ENOBUFS);
                  foreign (messages not from the kernel), seconds,
                  lost (null or queue_full, socket_full: packets dropped by the kernel)";

/// Bind a queue, print every packet and set its verdict
#[derive(clap::Args)]
#[command(after_long_help = DETAILS)]
pub(crate) struct Args {
    /// Number of the queue: the module's parameter `queue`
    #[arg(long, value_name = "N", default_value_t = 0)]
    queue: u16,
    /// What to accept: accept, drop or echo-size=N
    #[arg(long, default_value = "accept")]
    policy: Policy,
    /// Print the bytes of every packet as well
    #[arg(long)]
    hexdump: bool,
    /// Stop after N packets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Stop after S seconds
    #[arg(long, value_name = "S", value_parser = crate::seconds)]
    timeout: Option<Duration>,
}

pub(crate) fn run(args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
    let mut session = Session {
        queue: Queue::bind(args.queue)?,
        policy: args.policy.clone(),
        totals: Totals {
            event: "summary",
            queue: args.queue,
            ..Totals::default()
        },
    };
    let start = Instant::now();
    let served = session.serve(args, output, stop);
    if let Err(failure) = &served {
        if !failure.is_closed_pipe() {
            return served;
        }
    }
    let mut totals = session.close()?;
    served?;
    totals.seconds = start.elapsed().as_secs_f64();
    Ok(totals.print(output)?)
}

struct Session {
    queue: Queue,
    policy: Policy,
    totals: Totals,
}

impl Session {
    /// Decides and prints packets until it is time to stop.
    fn serve(&mut self, args: &Args, output: &mut Output, stop: &Stop) -> Result<(), Failure> {
        let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
        let (number, portid) = (self.queue.number(), self.queue.portid());
        if output.is_json() {
            output.json(&Ready {
                event: "ready",
                queue: number,
                portid,
            })?;
        } else {
            output.text(format!("listening on queue {number} (portid {portid})\n"))?;
        }
        let mut buffer = vec![0; RECEIVE_LEN];
        // Time and signals are looked at between packets, too: under load there is no waiting.
        while !stop.requested() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            let received = self.receive(&mut buffer, |totals, packet, ip, decision| {
                totals.packets += 1;
                match decision.verdict() {
                    Verdict::Drop => totals.dropped += 1,
                    _ => totals.accepted += 1,
                }
                Record::new(packet, ip, decision).print(packet, args.hexdump, output)?;
                Ok(())
            })?;
            if args.count.is_some_and(|count| self.totals.packets >= count) {
                return Ok(());
            }
            if !received && self.queue.wait(deadline, Some(stop))? != Wake::Readable {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives verdicts on what is pending, then unbinds the queue.
    fn close(mut self) -> Result<Totals, Failure> {
        let deadline = Instant::now() + DRAIN_TIME;
        let mut buffer = vec![0; RECEIVE_LEN];
        while Instant::now() < deadline {
            let received = self.receive(&mut buffer, |totals, _, _, _| {
                totals.pending += 1;
                Ok(())
            })?;
            if !received {
                break;
            }
        }
        let mut totals = self.totals;
        totals.lost = self.queue.losses();
        totals.foreign = self.queue.foreign();
        let closed = self.queue.close()?;
        totals.flushed = closed.flushed;
        totals.gone += closed.gone;
        totals.refused += closed.refused;
        totals.malformed += closed.malformed;
        Ok(totals)
    }

    /// Receives one datagram, if there is any, decides its packets and passes them to `seen`.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        mut seen: impl FnMut(
            &mut Totals,
            &Packet<'_>,
            Option<&Summary>,
            Decision,
        ) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let totals = &mut self.totals;
        let events = match self.queue.receive(buffer) {
            Ok(Some(events)) => events,
            Ok(None) => return Ok(false),
            Err(Error::Overrun { .. }) => {
                totals.overruns += 1;
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        for event in events {
            match event {
                Ok(Event::Packet(packet)) => {
                    let ip = Summary::parse(&packet);
                    let decision = self.policy.decide(&packet, ip.as_ref());
                    // Before printing, which may take long or fail.
                    match self.queue.decide(packet.id, decision) {
                        Err(error) if error.errno() == Some(Errno::ENOBUFS) => totals.overruns += 1,
                        decided => decided?,
                    }
                    seen(totals, &packet, ip.as_ref(), decision)?;
                }
                Ok(Event::VerdictRefused { status, .. }) => {
                    if status.errno == Some(Errno::ENOENT) {
                        totals.gone += 1;
                    } else {
                        totals.refused += 1;
                    }
                }
                Ok(Event::Configured(_) | Event::Other) => {}
                Err(_) => totals.malformed += 1,
            }
        }
        Ok(true)
    }
}
