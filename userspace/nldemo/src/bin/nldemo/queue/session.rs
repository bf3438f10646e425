// SPDX-License-Identifier: GPL-2.0

//! One queue while `nldemo queue run` listens to it.

use std::os::fd::AsFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use knetlink::RECEIVE_LEN;
use knetlink::Wake;
use nfnetlink_queue::Decision;
use nfnetlink_queue::Error;
use nfnetlink_queue::Event;
use nfnetlink_queue::Packet;
use nfnetlink_queue::Queue;
use nfnetlink_queue::Queued;
use nfnetlink_queue::Summary;
use nfnetlink_queue::Verdict;
use nix::errno::Errno;
use nldemo::policy::Policy;
use nldemo::replacement::Replacement;
use nldemo::stop::Stop;

use super::links::Links;
use super::seen::Seen;
use super::sink::Sink;
use super::totals::Totals;
use crate::failure::Failure;

/// How long stopping may take while packets keep coming.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Of so many packets that come without a pause the time of one is taken: looking at the clock can
/// take longer than deciding a packet.
const SAMPLE: u64 = 16;

/// Of so many packets that come without a pause one is a reason to look whether interfaces have new
/// names. A packet of a new interface is always one.
const LOOK_EVERY: u64 = 64;

/// What becomes of a packet that the policy cannot decide: the rule that it would take may be one
/// that drops it.
const UNDECIDED: Decision = Decision::DROP;

/// What all queues have in common.
pub(super) struct Shared<'a> {
    pub(super) policy: &'a Policy,
    /// If anybody wants to know of interfaces.
    pub(super) links: Option<Links<'a>>,
    pub(super) replacements: &'a [Replacement],
    pub(super) sink: Sink<'a>,
    pub(super) stop: &'a Stop,
    pub(super) deadline: Option<Instant>,
    /// How many packets there may be, of all queues.
    pub(super) limit: Option<u64>,
    /// How many there were, if that is limited.
    pub(super) packets: AtomicU64,
}

/// Makes it time to stop for the other queues when one has seen all that is to be seen, or when
/// something is wrong with it, a panic included.
struct StopOthers<'a>(&'a Stop);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

pub(super) struct Session<'s, 'a> {
    queue: Queue,
    /// Place of the queue among all.
    index: u32,
    shared: &'s Shared<'a>,
    /// What becomes of every packet, if nobody looks at any.
    unseen: Option<Decision>,
    totals: Totals,
    /// How many packets came since there was a pause.
    without_pause: u64,
    /// When the packet came whose time is taken, while its verdict was not sent yet.
    timed: Option<Instant>,
    /// For what is told of a packet.
    buffer: Vec<u8>,
}

impl<'s, 'a> Session<'s, 'a> {
    pub(super) fn new(queue: Queue, index: u32, shared: &'s Shared<'a>) -> Self {
        let looked_at = shared.sink.is_used() || !shared.replacements.is_empty();
        Self {
            totals: Totals::of_queue(queue.number()),
            queue,
            index,
            shared,
            unseen: shared.policy.constant().filter(|_| !looked_at),
            without_pause: 0,
            timed: None,
            buffer: Vec::new(),
        }
    }

    /// Decides packets until it is time to stop, then those that are pending, and gives the queue
    /// back.
    pub(super) fn run(mut self) -> (Totals, Result<(), Failure>) {
        let served = self.serve();
        // Also after an error: the socket may work all the same.
        let mut served = served.and(self.drain());
        // To look at the losses takes long. What comes meanwhile has its verdict, too, before the
        // queue is unbound at once.
        self.totals.lost = self.queue.losses();
        served = served.and(self.drain());
        let Self {
            queue, mut totals, ..
        } = self;
        totals.foreign = queue.foreign();
        match queue.close() {
            Ok(closed) => totals.close(&closed),
            Err(error) => served = served.and(Err(error.into())),
        }
        (totals, served)
    }

    fn serve(&mut self) -> Result<(), Failure> {
        let _others = StopOthers(self.shared.stop);
        let Shared {
            stop,
            deadline,
            ref sink,
            ..
        } = *self.shared;
        let mut buffer = vec![0; RECEIVE_LEN];
        // Time and signals are looked at between packets, too: under load there is no waiting.
        while !stop.requested() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            if self.receive(&mut buffer, true)? {
                if self.is_enough() {
                    break;
                }
                continue;
            }
            sink.flush();
            let waited = self.queue.wait(deadline, Some(stop.as_fd()));
            self.note_sent();
            self.without_pause = 0;
            if let Some(links) = &self.shared.links {
                links.look();
            }
            match waited {
                Ok(Wake::Readable) => {}
                Ok(_) => break,
                Err(error) => self.tolerate(error)?,
            }
        }
        sink.flush();
        Ok(())
    }

    fn is_enough(&self) -> bool {
        let packets = &self.shared.packets;
        let limit = self.shared.limit;
        limit.is_some_and(|limit| packets.load(Ordering::Relaxed) >= limit)
    }

    /// Gives verdicts on what is pending.
    fn drain(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + DRAIN_TIME;
        let mut buffer = vec![0; RECEIVE_LEN];
        if self.queue.options().fails_open() {
            self.queue
                .let_pass()
                .or_else(|error| self.tolerate(error))?;
        }
        loop {
            let mut none = true;
            while Instant::now() < deadline && self.receive(&mut buffer, false)? {
                none = false;
            }
            let flushed = self.queue.flush();
            self.note_sent();
            flushed.or_else(|error| self.tolerate(error))?;
            // More may have come while verdicts were sent.
            if none || Instant::now() >= deadline {
                return Ok(());
            }
        }
    }

    /// Receives one datagram, if there is any, and decides its packets. Those that are not `told`
    /// of count as pending.
    fn receive(&mut self, buffer: &mut [u8], told: bool) -> Result<bool, Failure> {
        let events = match self.queue.receive(buffer) {
            Ok(Some(events)) => events,
            Ok(None) => return Ok(false),
            Err(Error::Netlink(knetlink::Error::Overrun { .. })) => {
                self.totals.overruns += 1;
                return Ok(true);
            }
            // The packet is lost, the queue is not.
            Err(Error::Netlink(knetlink::Error::Truncated { .. })) => {
                self.totals.malformed += 1;
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        for event in events {
            match event {
                Ok(Event::Packet(queued)) => self.packet(&queued, told)?,
                Ok(Event::VerdictRefused { status, .. }) => {
                    if status.errno == Some(Errno::ENOENT) {
                        self.totals.gone += 1;
                    } else {
                        self.totals.refused += 1;
                    }
                }
                Ok(_) => {}
                Err(_) => self.totals.malformed += 1,
            }
        }
        Ok(true)
    }

    fn packet(&mut self, queued: &Queued<'_>, told: bool) -> Result<(), Failure> {
        if self.timed.is_none() && self.without_pause % SAMPLE == 0 {
            self.timed = Some(Instant::now());
        }
        if self.without_pause % LOOK_EVERY == LOOK_EVERY - 1 {
            if let Some(links) = &self.shared.links {
                links.look();
            }
        }
        self.without_pause += 1;
        if let Some(decision) = self.unseen {
            let decided = self.queue.decide(queued.id, decision);
            self.decided(decided, decision, told)
        } else if let Ok(packet) = queued.packet() {
            self.look_at(&packet, told)
        } else {
            self.totals.malformed += 1;
            Ok(())
        }
    }

    /// Decides a packet by what it is, and tells of it.
    fn look_at(&mut self, packet: &Packet<'_>, told: bool) -> Result<(), Failure> {
        let Shared {
            policy,
            replacements,
            ref links,
            ref sink,
            ..
        } = *self.shared;
        let ip = Summary::parse(packet);
        let names = links.as_ref().map(|links| links.of(packet));
        let decided = policy.decide(packet, ip.as_ref());
        self.totals.undecided += u64::from(decided.is_none());
        let decision = decided.unwrap_or(UNDECIDED);
        let wanted = !replacements.is_empty() && decision.verdict() != Verdict::Drop;
        let rewritten = wanted.then(|| Replacement::apply(replacements, packet));
        let sent = match &rewritten {
            Some(Ok(rewritten)) => {
                self.totals.rewritten += 1;
                self.queue.decide_rewritten(decision, rewritten)
            }
            other => {
                self.totals.unwritable += u64::from(other.is_some());
                self.queue.decide(packet.id, decision)
            }
        };
        self.decided(sent, decision, told)?;
        if !told {
            return Ok(());
        }
        let rewriting = rewritten.map(|rewritten| rewritten.map(drop));
        let seen = Seen {
            packet,
            ip: ip.as_ref(),
            names: &names.unwrap_or_default(),
            decision,
            decided: decided.is_some(),
            rewriting: rewriting.as_ref(),
            queue_index: self.index,
        };
        sink.packet(&seen, &mut self.buffer);
        Ok(())
    }

    /// Counts a packet that was decided.
    fn decided(
        &mut self,
        result: Result<(), Error>,
        decision: Decision,
        told: bool,
    ) -> Result<(), Failure> {
        if let Err(error) = result {
            self.tolerate(error)?;
        }
        self.note_sent();
        if !told {
            self.totals.pending += 1;
            return Ok(());
        }
        self.totals.count(decision);
        if self.shared.limit.is_some() {
            self.shared.packets.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Counts a lack of buffer space instead of failing.
    #[cold]
    fn tolerate(&mut self, error: Error) -> Result<(), Failure> {
        if error.errno() != Some(Errno::ENOBUFS) {
            return Err(error.into());
        }
        self.totals.overruns += 1;
        Ok(())
    }

    /// Notes how long it took if the verdict was sent of the packet whose time is taken.
    fn note_sent(&mut self) {
        if self.queue.unsent() == 0 {
            if let Some(received) = self.timed.take() {
                self.totals.latencies.record(received.elapsed());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn panic_of_one_queue_makes_the_others_stop() {
        let stop = Stop::on_signals().unwrap();
        let others = stop.clone();
        let panicking = thread::spawn(move || {
            let _others = StopOthers(&others);
            panic!("as in a queue's thread");
        });
        panicking.join().unwrap_err();
        assert!(stop.requested());
    }
}
