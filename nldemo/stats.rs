// SPDX-License-Identifier: GPL-2.0

//! The statistics of a network namespace.

use kernel::{
    cpu::CpuId,
    prelude::*, //
};

use crate::net::{
    netfilter::Family,
    netlink::{
        Header,
        Outcome, //
    },
    percpu::Counters, //
};

// The indices of the counters of netlink messages. These counters come first.
const MESSAGES_SERVED: usize = 0;
const MESSAGE_BYTES: usize = 1;
const ACKS: usize = 2;
const ERRORS: usize = 3;
const REFUSED: usize = 4;
/// The number of counters of netlink messages.
pub(super) const MESSAGES: usize = 5;

/// The counters of one family's packets.
#[derive(Clone, Copy)]
pub(crate) enum Packets {
    /// ICMP packets, and the packets that count as `Unparsable`.
    Seen,
    /// ICMP packets of a type that is queued.
    Matched,
    /// Matched packets that passed because of their mark, or because they met the same hook a
    /// second time in a VRF.
    Skipped,
    /// Matched packets that went to a queue.
    Queued,
    /// Packets whose headers end early or contradict themselves.
    Unparsable,
}

/// The number of [`Packets`].
pub(super) const PACKETS: usize = 5;
/// The number of families. The counters of IPv4 come after those of messages. The counters of IPv6
/// come last.
pub(super) const FAMILIES: usize = 2;

pub(super) const COUNTERS: usize = MESSAGES + FAMILIES * PACKETS;

/// The counters of a network namespace.
pub(crate) struct Statistics(Counters<COUNTERS>);

impl Statistics {
    /// Makes counters that start from zero. Context: process, may sleep.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Counters::new()?))
    }

    /// Counts a packet. Context: any.
    #[inline]
    pub(crate) fn count_packet(&self, family: Family, what: Packets) {
        let family = match family {
            Family::Ipv4 => 0,
            Family::Ipv6 => 1,
        };
        self.0
            .increment(MESSAGES + family * PACKETS + what as usize);
    }

    /// Counts a message and its outcome. Context: any.
    #[inline]
    pub(crate) fn count_message(&self, header: &Header, outcome: Outcome) {
        self.0.increment(MESSAGES_SERVED);
        self.0.add(MESSAGE_BYTES, header.len.into());
        match outcome {
            Outcome::Quiet => {}
            Outcome::Acknowledged => self.0.increment(ACKS),
            Outcome::Failed(EPERM) => self.0.increment(REFUSED),
            Outcome::Failed(_) => self.0.increment(ERRORS),
        }
    }

    /// The counts of all CPUs together. Context: any.
    pub(super) fn total(&self) -> [u64; COUNTERS] {
        self.0.total()
    }

    /// The counts of each CPU that the machine can have. Context: any.
    pub(super) fn per_cpu(&self) -> impl Iterator<Item = (CpuId, [u64; COUNTERS])> + '_ {
        self.0.per_cpu()
    }
}

#[kunit_tests(rust_nldemo_stats)]
mod tests {
    use super::{
        super::messages::ECHO,
        *, //
    };

    #[test]
    fn counts_are_told_under_their_own_attribute() -> Result {
        let statistics = Statistics::new()?;
        for (times, what) in [
            (1, Packets::Seen),
            (2, Packets::Matched),
            (3, Packets::Skipped),
            (4, Packets::Queued),
            (5, Packets::Unparsable),
        ] {
            for _ in 0..times {
                statistics.count_packet(Family::Ipv6, what);
            }
        }
        let counts = statistics.total();
        assert!(counts[MESSAGES..] == [0, 0, 0, 0, 0, 1, 2, 3, 4, 5]);
        let header = Header {
            len: 100,
            msg_type: ECHO,
            flags: 0,
            seq: 0,
            pid: 0,
        };
        statistics.count_message(&header, Outcome::Quiet);
        statistics.count_message(&header, Outcome::Acknowledged);
        statistics.count_message(&header, Outcome::Failed(EPERM));
        statistics.count_message(&header, Outcome::Failed(EINVAL));
        statistics.count_message(&header, Outcome::Failed(ENOMEM));
        assert!(statistics.total()[..MESSAGES] == [5, 500, 1, 2, 1]);
        Ok(())
    }
}
