// SPDX-License-Identifier: MIT OR Apache-2.0

//! Verdicts that wait to be sent. The queue gathers verdicts, so that one message decides several
//! packets and one datagram carries several messages.
//!
//! A batch message decides *all* packets of the queue up to an id. So packets may share a batch
//! message only if they directly follow one another in the queue, no undecided packet is before
//! them, and their decision is the same. These packets are called a run. Any other decision ends
//! the run, and gets a message of its own after the message of the run. The kernel handles the
//! messages of a datagram in order.

use std::collections::VecDeque;

use knetlink::Messages;

use crate::verdict::Decision;
use crate::verdict::append_batch;
use crate::verdict::append_verdict;
use crate::wire::MAX_PAYLOAD;
use crate::wire::MSG_VERDICT_BATCH;

/// When the waiting verdicts take more bytes than this, they are sent, even if they are few.
const ENOUGH_BYTES: usize = 64 << 10;

/// The length of the longest datagram: the bytes of verdicts that can wait, then a verdict with the
/// longest content. Such a datagram fits a send buffer of the default size.
pub(crate) const DATAGRAM_LEN: usize = ENOUGH_BYTES + MAX_PAYLOAD + 256;

/// Verdicts that have not been sent.
pub(crate) struct Outbox {
    queue: u16,
    messages: Vec<u8>,
    /// The latest run of packets with the same decision. It has no message yet.
    run: Option<Run>,
    /// For each batch message in `messages`, the number of its decisions.
    batches: VecDeque<usize>,
    /// The ids of the packets that came and wait for their verdict, in the order of the queue.
    undecided: VecDeque<u32>,
    decisions: usize,
}

/// Packets that follow one another and have the same verdict.
struct Run {
    decision: Decision,
    last: u32,
    length: usize,
}

impl Outbox {
    pub(crate) fn new(queue: u16) -> Self {
        Self {
            queue,
            messages: Vec::new(),
            run: None,
            batches: VecDeque::new(),
            undecided: VecDeque::new(),
            decisions: 0,
        }
    }

    /// Notes that a packet came. The caller notes packets in the order in which the kernel queued
    /// them.
    #[inline]
    pub(crate) fn arrived(&mut self, id: u32) {
        self.undecided.push_back(id);
    }

    /// Adds a decision on a packet.
    #[inline]
    pub(crate) fn decide(&mut self, id: u32, decision: Decision, content: Option<&[u8]>) {
        self.decisions += 1;
        let in_turn = self.undecided.front() == Some(&id);
        if in_turn {
            self.undecided.pop_front();
        } else if let Some(place) = self.undecided.iter().position(|&other| other == id) {
            self.undecided.remove(place);
        }
        if in_turn && content.is_none() {
            self.add_to_run(id, 1, decision);
        } else {
            self.end_run();
            append_verdict(&mut self.messages, self.queue, id, decision, content);
        }
    }

    /// Whether all packets that came have their verdict.
    pub(crate) fn has_no_undecided(&self) -> bool {
        self.undecided.is_empty()
    }

    /// Adds the same decision for each of the next `length` packets of the queue, up to `last`. The
    /// caller has not called [`arrived`](Self::arrived) for these packets, and no other packet is
    /// undecided.
    #[inline]
    pub(crate) fn decide_next(&mut self, last: u32, length: usize, decision: Decision) {
        self.decisions += length;
        self.add_to_run(last, length, decision);
    }

    #[inline]
    fn add_to_run(&mut self, last: u32, length: usize, decision: Decision) {
        match &mut self.run {
            Some(run) if run.decision == decision => {
                run.last = last;
                run.length += length;
            }
            _ => {
                self.end_run();
                self.run = Some(Run {
                    decision,
                    last,
                    length,
                });
            }
        }
    }

    /// Adds a decision on all packets of the queue up to `last`, including packets that were not
    /// received yet.
    pub(crate) fn decide_up_to(&mut self, last: u32, decision: Decision) {
        self.decisions += 1;
        self.end_run();
        self.append_batch(last, 1, decision);
        self.undecided.retain(|&id| is_after(id, last));
    }

    #[inline]
    fn end_run(&mut self) {
        match self.run.take() {
            // A run of one packet gets a message for one packet, not a batch message. So a refusal
            // of the message is about this packet only.
            Some(run) if run.length == 1 => {
                append_verdict(&mut self.messages, self.queue, run.last, run.decision, None);
            }
            Some(run) => self.append_batch(run.last, run.length, run.decision),
            None => {}
        }
    }

    #[inline]
    fn append_batch(&mut self, last: u32, decisions: usize, decision: Decision) {
        append_batch(&mut self.messages, self.queue, last, decision);
        self.batches.push_back(decisions);
    }

    /// The number of decisions that wait to be sent.
    #[inline]
    pub(crate) fn decisions(&self) -> usize {
        self.decisions
    }

    /// Whether the decisions take so many bytes that they should be sent now.
    #[inline]
    pub(crate) fn is_large(&self) -> bool {
        self.messages.len() >= ENOUGH_BYTES
    }

    /// The next datagram for the kernel. It has all decisions that fit a datagram. More than one
    /// datagram can be necessary only if an earlier send has failed.
    #[inline]
    pub(crate) fn datagram(&mut self) -> &[u8] {
        self.end_run();
        let length = if self.messages.len() <= DATAGRAM_LEN {
            self.messages.len()
        } else {
            self.whole_messages()
        };
        &self.messages[..length]
    }

    /// The length in bytes of as many of the first messages as fit a datagram.
    fn whole_messages(&self) -> usize {
        let mut messages = Messages::new(&self.messages);
        let mut length = 0;
        while messages.next().is_some() {
            let end = self.messages.len() - messages.remaining().len();
            if end > DATAGRAM_LEN {
                break;
            }
            length = end;
        }
        length
    }

    /// Forgets the first `length` bytes of messages, because they were sent in a datagram.
    pub(crate) fn sent(&mut self, length: usize) {
        if length == self.messages.len() {
            self.messages.clear();
            self.batches.clear();
            self.decisions = 0;
        } else {
            self.forget_messages(length);
        }
    }

    /// Forgets the first messages, which take `length` bytes, and their decisions.
    #[cold]
    fn forget_messages(&mut self, length: usize) {
        for message in Messages::new(&self.messages[..length]).flatten() {
            self.decisions -= match message.kind {
                MSG_VERDICT_BATCH => self.batches.pop_front().unwrap_or(0),
                _ => 1,
            };
        }
        self.messages.drain(..length);
    }
}

/// Whether packet `id` was queued after packet `other`. Ids wrap around.
fn is_after(id: u32, other: u32) -> bool {
    let distance = id.wrapping_sub(other);
    distance != 0 && distance < 1 << 31
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use knetlink::attr::Attributes;
    use proptest::prelude::*;

    use super::*;

    const DECISIONS: [Decision; 4] = [
        Decision::ACCEPT,
        Decision::DROP,
        Decision::queue(3, false),
        Decision::ACCEPT.with_mark(9),
    ];

    /// Decides the packets of a queue as the kernel would, and returns the number of messages.
    fn apply(
        datagram: &[u8],
        queue: &mut Vec<u32>,
        decided: &mut BTreeMap<u32, (u32, Option<u32>)>,
    ) -> usize {
        let mut messages = 0;
        for message in Messages::new(datagram).map(Result::unwrap) {
            messages += 1;
            let attributes: Vec<_> = Attributes::new(&message.payload[4..])
                .map(Result::unwrap)
                .collect();
            let header: &[u8; 8] = attributes[0].prefix().unwrap();
            let code = u32::from_be_bytes(*header.first_chunk().unwrap());
            let id = u32::from_be_bytes(*header.last_chunk().unwrap());
            let mark = attributes
                .iter()
                .find(|a| a.kind == 3)
                .map(|a| a.be32().unwrap());
            let batch = message.kind == MSG_VERDICT_BATCH;
            queue.retain(|&queued| {
                let hit = if batch {
                    !is_after(queued, id)
                } else {
                    queued == id
                };
                if hit {
                    assert_eq!(decided.insert(queued, (code, mark)), None);
                }
                !hit
            });
        }
        messages
    }

    /// Sends the next datagram.
    fn send(
        outbox: &mut Outbox,
        queue: &mut Vec<u32>,
        decided: &mut BTreeMap<u32, (u32, Option<u32>)>,
    ) {
        let datagram = outbox.datagram();
        let length = datagram.len();
        apply(datagram, queue, decided);
        outbox.sent(length);
    }

    fn outbox_with(ids: impl IntoIterator<Item = u32>) -> Outbox {
        let mut outbox = Outbox::new(0);
        ids.into_iter().for_each(|id| outbox.arrived(id));
        outbox
    }

    #[test]
    fn equal_verdicts_in_turn_are_one_message() {
        let mut outbox = outbox_with(1..=100);
        (1..=100).for_each(|id| outbox.decide(id, Decision::ACCEPT, None));
        assert_eq!(outbox.decisions(), 100);
        let (mut queue, mut decided) = ((1..=120).collect(), BTreeMap::new());
        assert_eq!(Messages::new(outbox.datagram()).count(), 1);
        send(&mut outbox, &mut queue, &mut decided);
        assert_eq!(queue, (101..=120).collect::<Vec<_>>());
        send(&mut outbox, &mut queue, &mut decided);
        assert_eq!((outbox.decisions(), outbox.datagram()), (0, &[][..]));
    }

    #[test]
    fn packets_that_were_not_noted_are_decided_by_the_last_of_them() {
        let mut outbox = Outbox::new(0);
        outbox.decide_next(50, 50, Decision::ACCEPT);
        outbox.decide_next(64, 14, Decision::ACCEPT);
        outbox.decide_next(65, 1, Decision::DROP);
        assert_eq!(outbox.decisions(), 65);
        let (mut queue, mut decided) = ((1..=70).collect(), BTreeMap::new());
        assert_eq!(Messages::new(outbox.datagram()).count(), 2);
        send(&mut outbox, &mut queue, &mut decided);
        assert_eq!(queue, (66..=70).collect::<Vec<_>>());
        assert_eq!((decided[&64].0, decided[&65].0), (1, 0));
    }

    #[test]
    fn content_has_a_message_of_its_own_within_a_run() {
        let mut outbox = outbox_with(1..=5);
        for id in 1..=5 {
            let content = (id == 3).then_some(&b"content"[..]);
            outbox.decide(id, Decision::ACCEPT, content);
        }
        let (mut queue, mut decided) = ((1..=5).collect(), BTreeMap::new());
        assert_eq!(apply(outbox.datagram(), &mut queue, &mut decided), 3);
        assert_eq!(decided.len(), 5);
    }

    #[test]
    fn what_could_not_be_sent_for_long_is_sent_in_datagrams_that_fit() {
        let content = vec![7; MAX_PAYLOAD];
        let mut outbox = outbox_with(1..=40);
        for id in 1..=40 {
            let content = (id % 3 == 0).then_some(&content[..]);
            outbox.decide(id, Decision::ACCEPT, content);
        }
        let (mut queue, mut decided) = ((1..=40).collect(), BTreeMap::new());
        let mut datagrams = 0;
        while outbox.decisions() > 0 {
            assert!(outbox.datagram().len() <= DATAGRAM_LEN);
            send(&mut outbox, &mut queue, &mut decided);
            assert_eq!(outbox.decisions(), 40 - decided.len());
            datagrams += 1;
        }
        assert_eq!((queue, decided.len(), datagrams), (vec![], 40, 7));
    }

    #[test]
    fn decision_up_to_a_packet_leaves_those_decided_before_and_those_behind() {
        let first = u32::MAX - 3;
        let ids: Vec<_> = (0..8).map(|place| first.wrapping_add(place)).collect();
        let mut outbox = outbox_with(ids.iter().copied());
        outbox.decide(ids[0], Decision::ACCEPT, None);
        outbox.decide(ids[2], Decision::ACCEPT, None);
        outbox.decide_up_to(ids[5], Decision::DROP);
        // These decisions come in the order of the queue, so no undecided packet is before them.
        outbox.decide(ids[6], Decision::ACCEPT, None);
        outbox.decide(ids[7], Decision::ACCEPT, None);
        let (mut queue, mut decided) = (ids.clone(), BTreeMap::new());
        assert_eq!(apply(outbox.datagram(), &mut queue, &mut decided), 4);
        assert_eq!(queue, []);
        let verdicts = ids.iter().map(|id| decided[id].0);
        assert_eq!(verdicts.collect::<Vec<_>>(), [1, 0, 1, 0, 0, 0, 1, 1]);
    }

    proptest! {
        /// Decides packets in any order, and sends verdicts at any time. The kernel loses some
        /// packets, and has not delivered the last packet yet.
        #[test]
        fn every_packet_gets_its_own_verdict_and_no_other(
            first in prop_oneof![Just(1_u32), Just(u32::MAX - 20), Just(i32::MAX as u32 - 5)],
            delivered in prop::collection::vec(any::<bool>(), 1..60),
            choices in prop::collection::vec(
                (0..4_usize, prop::bool::weighted(0.8), any::<prop::sample::Index>(),
                 prop::bool::weighted(0.1)), 60),
        ) {
            let ids = |wanted: bool| -> Vec<u32> {
                let places = (0..).zip(&delivered).filter(|&(_, &is)| is == wanted);
                places.map(|(place, _)| first.wrapping_add(place)).collect()
            };
            let mut open = ids(true);
            let mut queue = open.clone();
            let late = first.wrapping_add(u32::try_from(delivered.len()).unwrap());
            queue.push(late);
            let mut outbox = outbox_with(open.iter().copied());
            let mut decided = BTreeMap::new();
            let mut expected = BTreeMap::new();
            for (decision, in_turn, place, sent) in choices {
                if open.is_empty() {
                    break;
                }
                let place = if in_turn { 0 } else { place.index(open.len()) };
                let (id, decision) = (open.remove(place), DECISIONS[decision]);
                outbox.decide(id, decision, None);
                expected.insert(id, decision);
                if sent {
                    send(&mut outbox, &mut queue, &mut decided);
                }
            }
            send(&mut outbox, &mut queue, &mut decided);
            open.push(late);
            prop_assert_eq!(queue, open);
            prop_assert_eq!(decided.len(), expected.len());
            for (id, decision) in expected {
                let mut alone = Vec::new();
                append_verdict(&mut alone, 0, id, decision, None);
                let mut one = BTreeMap::new();
                apply(&alone, &mut vec![id], &mut one);
                prop_assert_eq!(decided[&id], one[&id]);
            }
        }
    }
}
