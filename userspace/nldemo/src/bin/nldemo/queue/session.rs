// SPDX-License-Identifier: GPL-2.0

//! One queue while `nldemo queue run` listens to it.

use std::num::NonZero;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use knetlink::Wake;
use nfnetlink_queue::AGAIN;
use nfnetlink_queue::Decision;
use nfnetlink_queue::Error;
use nfnetlink_queue::Event;
use nfnetlink_queue::Inbox;
use nfnetlink_queue::Packet;
use nfnetlink_queue::Queue;
use nfnetlink_queue::Queued;
use nfnetlink_queue::Summary;
use nfnetlink_queue::Verdict;
use nix::errno::Errno;
use nldemo::policy::Policy;
use nldemo::replacement::Replacement;
use nldemo::stop::Stop;

use super::links::Known;
use super::links::Links;
use super::seen::Seen;
use super::sink::Sink;
use super::sink::Untold;
use super::totals::Totals;
use crate::failure::Failure;

/// After a request to stop, the longest time in which a session still decides packets that keep
/// coming.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The largest number of packets that are received, decided and printed together. The verdict on
/// the first of these packets is sent only after the last packet is decided.
const TOGETHER: NonZero<usize> = NonZero::new(64).expect("it is not 0");

/// The decision about a packet if too little of the packet was copied for the policy. The rule that
/// matches the packet is then unknown. It may be a rule that drops packets, so the packet is
/// dropped.
const UNDECIDED: Decision = Decision::DROP;

/// The values that all queues share.
pub(super) struct Shared<'a> {
    pub(super) policy: &'a Policy,
    /// The events about changes to interfaces. `None` if neither the policy nor the output needs
    /// names of interfaces.
    pub(super) links: Option<Links<'a>>,
    pub(super) replacements: &'a [Replacement],
    pub(super) sink: Sink<'a>,
    pub(super) stop: &'a Stop,
    /// The largest number of packets to decide, over all queues.
    pub(super) limit: Option<u64>,
    /// The number of packets, over all queues, that were counted for the limit so far.
    pub(super) packets: AtomicU64,
}

/// Stops the sessions of all queues when this value is dropped. A session drops its value when its
/// loop ends: for example because of the limit of packets, an error or a panic.
struct StopOthers<'a>(&'a Stop);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

pub(super) struct Session<'s, 'a> {
    queue: Queue,
    /// Index of the queue among all queues.
    index: u32,
    shared: &'s Shared<'a>,
    /// The time when the session ends without a signal. It comes from `--timeout`.
    deadline: Option<Instant>,
    /// The decision about every packet. `None` if the session must look at each packet: because the
    /// decisions differ, or because of the output, a rewriting or a limit.
    unseen: Option<Decision>,
    totals: Totals,
    /// The time of receipt of the first packet whose verdict was not sent yet.
    timed: Option<Instant>,
    known: Known,
    untold: Untold,
    /// The vector for packets that were decided and not printed yet. It is kept here, empty, so
    /// that its memory is used again.
    seen: Vec<Seen<'static>>,
}

impl<'s, 'a> Session<'s, 'a> {
    pub(super) fn new(
        queue: Queue,
        index: u32,
        shared: &'s Shared<'a>,
        deadline: Option<Instant>,
    ) -> Self {
        let looked_at =
            shared.sink.is_used() || !shared.replacements.is_empty() || shared.limit.is_some();
        Self {
            totals: Totals::of_queue(queue.number()),
            queue,
            index,
            shared,
            deadline,
            unseen: shared.policy.constant().filter(|_| !looked_at),
            timed: None,
            known: Known::default(),
            untold: Untold::default(),
            seen: Vec::new(),
        }
    }

    /// Decides packets until the program must stop. Then decides the packets that still wait in the
    /// queue, and unbinds the queue.
    pub(super) fn run(mut self) -> (Totals, Result<(), Failure>) {
        let mut inbox = self.queue.inbox(TOGETHER);
        let served = self.serve(&mut inbox);
        // The packets that still wait are decided even after an error, because the socket may still
        // work.
        let mut served = served.and(self.drain(&mut inbox));
        // `losses` reads a file of `/proc`, which takes long if there are many queues. So packets
        // may have come in that time. They get their verdict now, right before the queue is
        // unbound.
        self.totals.lost = self.queue.losses();
        served = served.and(self.drain(&mut inbox));
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

    fn serve(&mut self, inbox: &mut Inbox) -> Result<(), Failure> {
        let _others = StopOthers(self.shared.stop);
        let (stop, deadline) = (self.shared.stop, self.deadline);
        let mut served = Ok(());
        let mut soon = false;
        // The loop checks the time and the signals each time it has received packets. `wait` checks
        // them, too, but while packets keep coming, the loop can go on without calling `wait`.
        while served.is_ok()
            && !stop.requested()
            && deadline.is_none_or(|deadline| Instant::now() < deadline)
        {
            let received = if soon {
                self.receive(inbox, Queue::receive_many_soon, true)
            } else {
                self.receive(inbox, Queue::receive_many, true)
            };
            let (came, more) = match received {
                Ok(came) => (came, came && inbox.is_full()),
                Err(failure) => {
                    served = Err(failure);
                    (false, false)
                }
            };
            soon = false;
            if more && !self.is_enough() {
                continue;
            }
            self.shared.sink.give(&mut self.untold);
            if served.is_err() || self.is_enough() {
                break;
            }
            // If packets came, more packets will probably come soon. So the loop does not call
            // `wait`, but `receive_many_soon`. This function itself waits for packets, which saves
            // a system call. It waits at most for the time `SOON`, because it does not check
            // `stop`.
            soon = came && deadline.is_none() && self.queue.unsent() == 0;
            if soon {
                continue;
            }
            match self.wait() {
                Ok(Wake::Readable | Wake::TimedOut) => {}
                Ok(Wake::Stopped) => break,
                Err(error) => served = self.tolerate(error),
            }
        }
        self.shared.sink.give(&mut self.untold);
        served
    }

    /// Waits for a packet, a signal, the time when verdicts must be sent, or the deadline.
    fn wait(&mut self) -> Result<Wake, Error> {
        let first = self.deadline.into_iter().chain(self.queue.due()).min();
        let woken = self.queue.wait(first, Some(self.shared.stop.as_fd()));
        self.note_sent();
        woken
    }

    fn is_enough(&self) -> bool {
        let packets = &self.shared.packets;
        let limit = self.shared.limit;
        limit.is_some_and(|limit| packets.load(Ordering::Relaxed) >= limit)
    }

    /// Decides the packets that still wait in the queue, and sends the verdicts. Fails if the
    /// verdicts cannot be sent within the time [`DRAIN_TIME`].
    fn drain(&mut self, inbox: &mut Inbox) -> Result<(), Failure> {
        let deadline = Instant::now() + DRAIN_TIME;
        if self.queue.options().fails_open() {
            self.queue
                .let_pass()
                .or_else(|error| self.tolerate(error))?;
        }
        // The loop ends when no packet has come since the last verdicts were sent, or at the
        // deadline.
        loop {
            let came = self.receive(inbox, Queue::receive_many, false)?;
            let flushed = self.queue.flush();
            self.note_sent();
            let is_late = Instant::now() >= deadline;
            match flushed {
                Ok(()) if is_late || !came => return Ok(()),
                Ok(()) => {}
                Err(error) if is_late => return Err(error.into()),
                Err(error) => {
                    self.tolerate(error)?;
                    thread::sleep(AGAIN);
                }
            }
        }
    }

    /// Receives packets and decides them. Returns whether any packet came. If `told` is false, the
    /// packets are counted as pending, and are not printed.
    fn receive(
        &mut self,
        inbox: &mut Inbox,
        how: fn(&mut Queue, &mut Inbox) -> nfnetlink_queue::Result<usize>,
        told: bool,
    ) -> Result<bool, Failure> {
        match how(&mut self.queue, inbox) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) => return self.tolerate(error).and(Ok(false)),
        }
        if self.timed.is_none() {
            self.timed = Some(Instant::now());
        }
        if let Some(links) = &self.shared.links {
            links.look(&mut self.known);
        }
        let decided = if let Some(decision) = self.unseen {
            let decided = self.decide_unseen(inbox, decision, told);
            decided.and(self.send(inbox))
        } else {
            let mut seen = empty(std::mem::take(&mut self.seen));
            let decided = self.decide_each(inbox, told, &mut seen);
            let sent = self.send(inbox);
            self.tell(&seen);
            self.seen = empty(seen);
            decided.and(sent)
        };
        decided.and(Ok(true))
    }

    /// Sends the verdicts on the packets that were received together.
    fn send(&mut self, inbox: &Inbox) -> Result<(), Failure> {
        let sent = self.queue.send_gathered(inbox.is_full());
        let sent = sent.or_else(|error| self.tolerate(error));
        self.note_sent();
        sent
    }

    /// Gives all packets in `inbox` the same decision, and does not read them.
    fn decide_unseen(
        &mut self,
        inbox: &Inbox,
        decision: Decision,
        told: bool,
    ) -> Result<(), Failure> {
        let totals = &mut self.totals;
        let (count, sent) = self.queue.decide_all(inbox, decision, |event| {
            note(totals, event);
        });
        if told {
            self.totals.count(decision, count);
        } else {
            self.totals.pending += count;
        }
        sent.or_else(|error| self.tolerate(error))
    }

    /// Decides each packet by its content, and adds packets that must be printed to `seen`.
    fn decide_each<'b>(
        &mut self,
        inbox: &'b Inbox,
        told: bool,
        seen: &mut Vec<Seen<'b>>,
    ) -> Result<(), Failure> {
        let mut all = Ok(());
        // The events come from nested iterators. For nested iterators, `for_each` is faster than a
        // `for` loop.
        self.queue.events(inbox).for_each(|event| {
            let Some(queued) = note(&mut self.totals, event) else {
                return;
            };
            match queued.packet() {
                // After a failure the loop goes on with the next packet, because the queue may
                // still work.
                Ok(packet) => {
                    if let Err(failure) = self.decide(packet, told, seen) {
                        all = Err(failure);
                    }
                }
                Err(_) => self.totals.malformed += 1,
            }
        });
        all
    }

    fn decide<'b>(
        &mut self,
        packet: Packet<'b>,
        told: bool,
        seen: &mut Vec<Seen<'b>>,
    ) -> Result<(), Failure> {
        let Shared {
            policy,
            replacements,
            ..
        } = *self.shared;
        let ip = Summary::parse(&packet);
        let decided = policy.decide(&packet, ip.as_ref());
        self.totals.undecided += u64::from(decided.is_none());
        let decision = decided.unwrap_or(UNDECIDED);
        let wanted = !replacements.is_empty() && decision.verdict() != Verdict::Drop;
        let rewritten = wanted.then(|| Replacement::apply(replacements, &packet));
        let content = match &rewritten {
            Some(Ok(rewritten)) => {
                self.totals.rewritten += 1;
                Some(rewritten)
            }
            other => {
                self.totals.unwritable += u64::from(other.is_some());
                None
            }
        };
        let sent = self.queue.gather(packet.id, decision, content);
        let sent = sent.or_else(|error| self.tolerate(error));
        if !(told && self.is_within_limit()) {
            self.totals.pending += 1;
            return sent;
        }
        self.totals.count(decision, 1);
        if self.shared.sink.is_used() {
            seen.push(Seen {
                names: self.known.names(&packet),
                packet,
                ip,
                decision,
                decided: decided.is_some(),
                rewriting: rewritten.map(|rewritten| rewritten.map(drop)),
            });
        }
        sent
    }

    /// Counts one more packet if there is a limit. Returns whether the packet is within the limit.
    fn is_within_limit(&self) -> bool {
        let packets = &self.shared.packets;
        let limit = self.shared.limit;
        limit.is_none_or(|limit| packets.fetch_add(1, Ordering::Relaxed) < limit)
    }

    /// Adds the records of packets to the output.
    fn tell(&mut self, seen: &[Seen<'_>]) {
        let sink = &self.shared.sink;
        let received = if sink.takes_times() && !seen.is_empty() {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            since.unwrap_or_default()
        } else {
            Duration::ZERO
        };
        for packet in seen {
            sink.packet(packet, self.index, received, &mut self.untold);
        }
    }

    /// Counts an error that is only a temporary lack of buffer space. Returns any other error.
    #[cold]
    fn tolerate(&mut self, error: Error) -> Result<(), Failure> {
        if !error.is_temporary() {
            return Err(error.into());
        }
        self.totals.overruns += 1;
        Ok(())
    }

    /// If no verdict waits to be sent any more, records the time that has passed since the receipt
    /// of the first packet (`timed`).
    fn note_sent(&mut self) {
        if self.queue.unsent() == 0 {
            if let Some(received) = self.timed.take() {
                self.totals.latencies.record(received.elapsed());
            }
        }
    }
}

/// Returns the event if it is a packet. Counts refused verdicts and malformed messages.
fn note<'b>(totals: &mut Totals, event: Result<Event<'b>, knetlink::Error>) -> Option<Queued<'b>> {
    match event {
        Ok(Event::Packet(queued)) => return Some(queued),
        Ok(Event::VerdictRefused { status, .. }) => {
            if status.errno == Some(Errno::ENOENT) {
                totals.gone += 1;
            } else {
                totals.refused += 1;
            }
        }
        Ok(_) => {}
        // The message cannot be read, so its packet gets no verdict. But the queue still works.
        Err(_) => totals.malformed += 1,
    }
    None
}

/// Empties the vector, and keeps its memory for other packets.
fn empty<'b>(mut seen: Vec<Seen<'_>>) -> Vec<Seen<'b>> {
    seen.clear();
    let none = seen.into_iter().map(|_| unreachable!("it is empty"));
    none.collect()
}

#[cfg(test)]
mod tests {
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
