// SPDX-License-Identifier: GPL-2.0

//! Statistics.

use kernel::{
    cpu::CpuId,
    prelude::*, //
};

use super::{
    control,
    uapi::{
        NLDEMO_MSG_STATS,
        NLDEMO_PACKETS_A_MATCHED,
        NLDEMO_PACKETS_A_QUEUED,
        NLDEMO_PACKETS_A_SEEN,
        NLDEMO_PACKETS_A_SKIPPED,
        NLDEMO_PACKETS_A_UNPARSABLE,
        NLDEMO_STATS_A_ACKS,
        NLDEMO_STATS_A_BYTES,
        NLDEMO_STATS_A_CPU,
        NLDEMO_STATS_A_ERRORS,
        NLDEMO_STATS_A_HOOKED,
        NLDEMO_STATS_A_IPV4,
        NLDEMO_STATS_A_IPV6,
        NLDEMO_STATS_A_MESSAGES,
        NLDEMO_STATS_A_REFUSED, //
    }, //
};

use crate::{
    net::{
        netfilter::Family,
        netlink::{
            Attribute,
            Attributes,
            Dump,
            Full,
            Header,
            Nest,
            Outcome,
            Page,
            Payload,
            Policy,
            Refusal,
            Request,
            Uint, //
        },
        percpu::Counters,
        pernet::Instance, //
    },
    NetNs, //
};

/// Room for the attributes of one message.
const LEN_MAX: usize = 320;

const CPU: Attribute<u32> = Attribute::new(NLDEMO_STATS_A_CPU);
const HOOKED: Attribute<u8> = Attribute::new(NLDEMO_STATS_A_HOOKED);

/// What is counted of netlink messages, in the order of their counters.
const MESSAGES: [Attribute<Uint>; 5] = [
    Attribute::new(NLDEMO_STATS_A_MESSAGES),
    Attribute::new(NLDEMO_STATS_A_BYTES),
    Attribute::new(NLDEMO_STATS_A_ACKS),
    Attribute::new(NLDEMO_STATS_A_ERRORS),
    Attribute::new(NLDEMO_STATS_A_REFUSED),
];
const MESSAGES_SERVED: usize = 0;
const MESSAGE_BYTES: usize = 1;
const ACKS: usize = 2;
const ERRORS: usize = 3;
const REFUSED: usize = 4;

/// What is counted of a family's packets.
#[derive(Clone, Copy)]
pub(crate) enum Packets {
    /// All that are ICMP.
    Seen,
    /// Of a type that is queued.
    Matched,
    /// Of those, passed for their mark.
    Skipped,
    /// Of those, all others.
    Queued,
    /// With headers cut short or contradictory.
    Unparsable,
}

/// What is counted of packets, in the order of [`Packets`].
const PACKETS: [Attribute<Uint>; 5] = [
    Attribute::new(NLDEMO_PACKETS_A_SEEN),
    Attribute::new(NLDEMO_PACKETS_A_MATCHED),
    Attribute::new(NLDEMO_PACKETS_A_SKIPPED),
    Attribute::new(NLDEMO_PACKETS_A_QUEUED),
    Attribute::new(NLDEMO_PACKETS_A_UNPARSABLE),
];
static PACKETS_POLICY: Policy = Policy::new(&[
    PACKETS[0].rule(),
    PACKETS[1].rule(),
    PACKETS[2].rule(),
    PACKETS[3].rule(),
    PACKETS[4].rule(),
]);

/// The families, in the order of their counters.
const FAMILIES: [Attribute<Nest>; 2] = [
    Attribute::nest(NLDEMO_STATS_A_IPV4, &PACKETS_POLICY),
    Attribute::nest(NLDEMO_STATS_A_IPV6, &PACKETS_POLICY),
];

const COUNTERS: usize = MESSAGES.len() + FAMILIES.len() * PACKETS.len();

/// The counters of a network namespace.
pub(crate) struct Statistics(Counters<COUNTERS>);

impl Statistics {
    /// Starts from zero. Context: process, may sleep.
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
            .add(MESSAGES.len() + family * PACKETS.len() + what as usize, 1);
    }

    /// Counts a message and its outcome. Context: any.
    #[inline]
    pub(crate) fn count_message(&self, header: &Header, outcome: Outcome) {
        self.0.add(MESSAGES_SERVED, 1);
        self.0.add(MESSAGE_BYTES, header.len.into());
        match outcome {
            Outcome::Quiet => {}
            Outcome::Acknowledged => self.0.add(ACKS, 1),
            Outcome::Failed(EPERM) => self.0.add(REFUSED, 1),
            Outcome::Failed(_) => self.0.add(ERRORS, 1),
        }
    }
}

/// The attributes that tell of these counts.
fn attributes(cpu: Option<CpuId>, counts: [u64; COUNTERS]) -> Payload<LEN_MAX> {
    let mut payload = Payload::new();
    if let Some(cpu) = cpu {
        payload.put(&CPU, cpu.as_u32());
    }
    let (messages, packets) = counts.split_at(MESSAGES.len());
    for (attribute, &count) in MESSAGES.iter().zip(messages) {
        payload.put(attribute, Uint(count));
    }
    for (family, counts) in FAMILIES.iter().zip(packets.chunks(PACKETS.len())) {
        payload.nest(family, |nest| {
            for (attribute, &count) in PACKETS.iter().zip(counts) {
                nest.put(attribute, Uint(count));
            }
        });
    }
    payload
}

/// Answers with the totals.
///
/// Context: process, may sleep.
pub(crate) fn get(
    instance: &Instance<'_, NetNs>,
    request: &Request<'_>,
    _attributes: &Attributes<'_>,
) -> Result<(), Refusal> {
    let mut payload = attributes(None, instance.statistics.0.total());
    payload.put(&HOOKED, control::hooked(instance).into());
    Ok(request
        .reply(NLDEMO_MSG_STATS as u16, payload.bytes()?)?
        .send()?)
}

/// The counts of each CPU that the machine can have.
///
/// Counts go on while they are listed. What makes two messages a bad match is a change of the
/// configuration between them.
pub(crate) enum PerCpu {}

impl Dump<NetNs> for PerCpu {
    /// The next CPU.
    type Cursor = u32;

    fn start(
        _instance: &Instance<'_, NetNs>,
        _attributes: &Attributes<'_>,
    ) -> Result<u32, Refusal> {
        Ok(0)
    }

    fn generation(instance: &Instance<'_, NetNs>) -> u32 {
        instance.control.generation()
    }

    fn fill(
        instance: &Instance<'_, NetNs>,
        cursor: &mut u32,
        page: &mut Page<'_>,
    ) -> Result<(), Full> {
        let next = *cursor;
        let cpus = instance.statistics.0.per_cpu();
        for (cpu, counts) in cpus.skip_while(|(cpu, _)| cpu.as_u32() < next) {
            let payload = attributes(Some(cpu), counts);
            page.put(NLDEMO_MSG_STATS as u16, payload.bytes().map_err(|_| Full)?)?;
            *cursor = cpu.as_u32() + 1;
        }
        Ok(())
    }
}

#[kunit_tests(rust_nldemo_stats)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_counts_fit_a_message() {
        let cpu = CpuId::from_u32(0);
        assert!(cpu.is_some());
        assert!(attributes(cpu, [u64::MAX; COUNTERS]).bytes().is_ok());
    }

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
        let counts = statistics.0.total();
        assert!(counts[MESSAGES.len()..] == [0, 0, 0, 0, 0, 1, 2, 3, 4, 5]);
        let header = Header {
            len: 100,
            msg_type: 16,
            flags: 0,
            seq: 0,
            pid: 0,
        };
        statistics.count_message(&header, Outcome::Quiet);
        statistics.count_message(&header, Outcome::Acknowledged);
        statistics.count_message(&header, Outcome::Failed(EPERM));
        statistics.count_message(&header, Outcome::Failed(EINVAL));
        statistics.count_message(&header, Outcome::Failed(EOPNOTSUPP));
        assert!(statistics.0.total()[..MESSAGES.len()] == [5, 500, 1, 2, 1]);
        Ok(())
    }
}
