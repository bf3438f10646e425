// SPDX-License-Identifier: GPL-2.0

//! Requests for the statistics.

use kernel::{
    cpu::CpuId,
    prelude::*, //
};

use super::super::{
    messages::STATS,
    netns::{
        hooked,
        NetNs, //
    },
    stats::{
        self,
        COUNTERS, //
    },
    uapi::{
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

use crate::net::{
    netlink::{
        Attribute,
        Attributes,
        Dump,
        Full,
        Nest,
        Page,
        Payload,
        Policy,
        Refusal,
        Request,
        Uint, //
    },
    pernet::Instance, //
};

/// Room for the attributes of one message, in bytes.
const LEN_MAX: usize = 320;

const CPU: Attribute<u32> = Attribute::new(NLDEMO_STATS_A_CPU);
const HOOKED: Attribute<u8> = Attribute::new(NLDEMO_STATS_A_HOOKED);

/// The attributes for counters of netlink messages, in the order of the counters.
const MESSAGES: [Attribute<Uint>; stats::MESSAGES] = [
    Attribute::new(NLDEMO_STATS_A_MESSAGES),
    Attribute::new(NLDEMO_STATS_A_BYTES),
    Attribute::new(NLDEMO_STATS_A_ACKS),
    Attribute::new(NLDEMO_STATS_A_ERRORS),
    Attribute::new(NLDEMO_STATS_A_REFUSED),
];
/// The attributes for counters of packets, in the order of [`Packets`](stats::Packets).
const PACKETS: [Attribute<Uint>; stats::PACKETS] = [
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
const FAMILIES: [Attribute<Nest>; stats::FAMILIES] = [
    Attribute::nest(NLDEMO_STATS_A_IPV4, &PACKETS_POLICY),
    Attribute::nest(NLDEMO_STATS_A_IPV6, &PACKETS_POLICY),
];

/// The attributes of a message with `counts`: the counts of `cpu`, or of all CPUs together
/// if there is no `cpu`.
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
    let mut payload = attributes(None, instance.statistics.total());
    payload.put(&HOOKED, hooked(instance).into());
    Ok(request.reply(STATS, payload.bytes()?)?.send()?)
}

/// The dump of the counts of each CPU that the machine can have.
///
/// The counters can rise during the dump. The kernel marks a dump as inconsistent only if the
/// configuration changed between two messages of the dump.
pub(crate) enum PerCpu {}

impl Dump<NetNs> for PerCpu {
    /// The number of the next CPU.
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
        let cpus = instance.statistics.per_cpu();
        for (cpu, counts) in cpus.skip_while(|(cpu, _)| cpu.as_u32() < next) {
            let payload = attributes(Some(cpu), counts);
            page.put(STATS, payload.bytes().map_err(|_| Full)?)?;
            *cursor = cpu.as_u32() + 1;
        }
        Ok(())
    }
}

#[kunit_tests(rust_nldemo_serve_stats)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_counts_fit_a_message() {
        let cpu = CpuId::from_u32(0);
        assert!(cpu.is_some());
        assert!(attributes(cpu, [u64::MAX; COUNTERS]).bytes().is_ok());
    }
}
