// SPDX-License-Identifier: GPL-2.0

//! The counters of a network namespace.

use std::time::Duration;

use knetlink::Malformed;
use knetlink::attr::Attribute;
use knetlink::attr::Attributes;
use serde::Serialize;

use crate::protocol;

/// The counters of the module in a network namespace; or rates, with `N` = [`f64`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats<N = u64> {
    /// Netlink messages that the module handled.
    pub messages: N,
    /// Bytes of the handled messages, including their headers.
    pub bytes: N,
    /// Acknowledgements without an error.
    pub acks: N,
    /// Errors that the module reported, except the errors for requests in `refused`.
    pub errors: N,
    /// Requests that the module refused because the sender lacks `CAP_NET_ADMIN`.
    pub refused: N,
    /// ICMP packets that the hooks saw.
    pub ipv4: Packets<N>,
    /// ICMPv6 packets that the hooks saw.
    pub ipv6: Packets<N>,
}

/// ICMP packets of one family that the hooks saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Packets<N = u64> {
    /// All packets: unparsable packets, packets of a type that is not queued, and matched packets.
    pub seen: N,
    /// Packets of a type that is queued. Each of them was skipped or queued.
    pub matched: N,
    /// Matched packets that passed because of their mark, or because they met the same hook a
    /// second time in a VRF.
    pub skipped: N,
    /// Matched packets that went to a queue.
    pub queued: N,
    /// Packets whose headers end early or contradict themselves.
    pub unparsable: N,
}

/// The totals of all CPUs, and whether the hooks are registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Whether the hooks are registered, see [`Config::hooked`](super::Config::hooked).
    pub hooked: bool,
    /// The counters.
    #[serde(flatten)]
    pub stats: Stats,
}

/// The counters of one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CpuStats {
    /// Number of the CPU.
    pub cpu: u32,
    /// The counters of this CPU.
    #[serde(flatten)]
    pub stats: Stats,
}

/// The group and the name of every counter, in the order of [`Stats::counters`].
pub const COUNTERS: [(&str, &str); 15] = [
    ("netlink", "messages"),
    ("netlink", "bytes"),
    ("netlink", "acks"),
    ("netlink", "errors"),
    ("netlink", "refused"),
    ("ipv4", "seen"),
    ("ipv4", "matched"),
    ("ipv4", "skipped"),
    ("ipv4", "queued"),
    ("ipv4", "unparsable"),
    ("ipv6", "seen"),
    ("ipv6", "matched"),
    ("ipv6", "skipped"),
    ("ipv6", "queued"),
    ("ipv6", "unparsable"),
];

impl<N> Stats<N> {
    /// All counters.
    #[must_use]
    pub fn counters(self) -> [N; COUNTERS.len()] {
        let (v4, v6) = (self.ipv4, self.ipv6);
        [
            self.messages,
            self.bytes,
            self.acks,
            self.errors,
            self.refused,
            v4.seen,
            v4.matched,
            v4.skipped,
            v4.queued,
            v4.unparsable,
            v6.seen,
            v6.matched,
            v6.skipped,
            v6.queued,
            v6.unparsable,
        ]
    }

    fn from_counters(counters: [N; COUNTERS.len()]) -> Self {
        let [
            messages,
            bytes,
            acks,
            errors,
            refused,
            seen4,
            matched4,
            skipped4,
            queued4,
            unparsable4,
            seen6,
            matched6,
            skipped6,
            queued6,
            unparsable6,
        ] = counters;
        Self {
            messages,
            bytes,
            acks,
            errors,
            refused,
            ipv4: Packets {
                seen: seen4,
                matched: matched4,
                skipped: skipped4,
                queued: queued4,
                unparsable: unparsable4,
            },
            ipv6: Packets {
                seen: seen6,
                matched: matched6,
                skipped: skipped6,
                queued: queued6,
                unparsable: unparsable6,
            },
        }
    }
}

/// The attributes of the netlink counters, in the order of [`COUNTERS`].
const NETLINK: [u16; 5] = [
    protocol::STATS_A_MESSAGES,
    protocol::STATS_A_BYTES,
    protocol::STATS_A_ACKS,
    protocol::STATS_A_ERRORS,
    protocol::STATS_A_REFUSED,
];

/// The attributes in the nest of a family, in the order that their counters have in [`COUNTERS`].
const PACKETS: [u16; 5] = [
    protocol::PACKETS_A_SEEN,
    protocol::PACKETS_A_MATCHED,
    protocol::PACKETS_A_SKIPPED,
    protocol::PACKETS_A_QUEUED,
    protocol::PACKETS_A_UNPARSABLE,
];

impl Stats {
    /// Decodes the payload of a message that carries statistics.
    ///
    /// Unknown attributes are ignored. If an attribute comes twice, the last one is used. A missing
    /// attribute is an error.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut counters = [None; COUNTERS.len()];
        let (netlink, packets) = counters.split_at_mut(NETLINK.len());
        let (ipv4, ipv6) = packets.split_at_mut(PACKETS.len());
        for attribute in Attributes::new(payload) {
            let attribute = attribute?;
            match attribute.kind {
                protocol::STATS_A_IPV4 => fill_nest(ipv4, &attribute)?,
                protocol::STATS_A_IPV6 => fill_nest(ipv6, &attribute)?,
                _ => fill(netlink, &NETLINK, &attribute)?,
            }
        }
        if counters.contains(&None) {
            return Err(Malformed("statistics without some of their attributes"));
        }
        Ok(Self::from_counters(counters.map(Option::unwrap_or_default)))
    }

    /// The rate of each counter since earlier statistics; 0 for a counter that was reset.
    #[must_use]
    pub fn per_second(self, earlier: Self, elapsed: Duration) -> Stats<f64> {
        let seconds = elapsed.as_secs_f64().max(f64::EPSILON);
        let (before, after) = (earlier.counters(), self.counters());
        Stats::from_counters(std::array::from_fn(|index| {
            #[expect(clippy::cast_precision_loss, reason = "rates are for reading")]
            let rise = after[index].saturating_sub(before[index]) as f64;
            rise / seconds
        }))
    }
}

impl Totals {
    /// Decodes the payload of the answer to a request for totals.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut hooked = None;
        for attribute in Attributes::new(payload) {
            let attribute = attribute?;
            if attribute.kind == protocol::STATS_A_HOOKED {
                hooked = Some(attribute.octet()? != 0);
            }
        }
        Ok(Self {
            hooked: hooked.ok_or(Malformed("statistics without some of their attributes"))?,
            stats: Stats::parse(payload)?,
        })
    }
}

impl CpuStats {
    /// Decodes the payload of one message of a dump.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut cpu = None;
        for attribute in Attributes::new(payload) {
            let attribute = attribute?;
            if attribute.kind == protocol::STATS_A_CPU {
                cpu = Some(attribute.host32()?);
            }
        }
        Ok(Self {
            cpu: cpu.ok_or(Malformed("statistics of a CPU without its number"))?,
            stats: Stats::parse(payload)?,
        })
    }
}

fn fill_nest(counters: &mut [Option<u64>], family: &Attribute<'_>) -> Result<(), Malformed> {
    for attribute in family.nested() {
        fill(counters, &PACKETS, &attribute?)?;
    }
    Ok(())
}

/// Decodes a counter, and stores it at the index that its attribute has in `kinds`.
fn fill(
    counters: &mut [Option<u64>],
    kinds: &[u16],
    attribute: &Attribute<'_>,
) -> Result<(), Malformed> {
    let place = kinds.iter().position(|&kind| kind == attribute.kind);
    if let Some(counter) = place.and_then(|place| counters.get_mut(place)) {
        *counter = Some(attribute.counter()?);
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use knetlink::attr;
    use proptest::prelude::*;

    use super::*;

    /// The payload of the kernel's answer.
    pub(in super::super) fn encode(cpu: Option<u32>, stats: Stats) -> Vec<u8> {
        fn counter(payload: &mut Vec<u8>, kind: u16, value: u64) {
            match u32::try_from(value) {
                Ok(value) => attr::append(payload, kind, value.to_ne_bytes()),
                Err(_) => attr::append(payload, kind, value.to_ne_bytes()),
            }
        }
        let mut payload = Vec::new();
        if let Some(cpu) = cpu {
            attr::append(&mut payload, protocol::STATS_A_CPU, cpu.to_ne_bytes());
        }
        let counters = stats.counters();
        for (kind, value) in NETLINK.into_iter().zip(counters) {
            counter(&mut payload, kind, value);
        }
        for (nest, first) in [(protocol::STATS_A_IPV4, 5), (protocol::STATS_A_IPV6, 10)] {
            attr::append_nest(&mut payload, nest, |nest| {
                for (kind, &value) in PACKETS.into_iter().zip(&counters[first..]) {
                    counter(nest, kind, value);
                }
            });
        }
        payload
    }

    /// Statistics with a different number in every counter. Some of the numbers need more than 32
    /// bits.
    pub(in super::super) fn sample() -> Stats {
        Stats::from_counters(std::array::from_fn(|index| 1 << (3 * index)))
    }

    #[test]
    fn every_counter_is_where_its_name_says() {
        let json = serde_json::to_value(sample()).unwrap();
        for ((group, name), value) in COUNTERS.into_iter().zip(sample().counters()) {
            let object = if group == "netlink" {
                &json
            } else {
                &json[group]
            };
            assert_eq!(object[name], value, "{group} {name}");
        }
        assert_eq!(Stats::parse(&encode(None, sample())).unwrap(), sample());
    }

    #[test]
    fn totals_tell_whether_there_are_hooks() {
        for hooked in [false, true] {
            let mut payload = encode(None, sample());
            assert!(Totals::parse(&payload).is_err());
            attr::append(&mut payload, protocol::STATS_A_HOOKED, [u8::from(hooked)]);
            let totals = Totals::parse(&payload).unwrap();
            assert_eq!((totals.hooked, totals.stats), (hooked, sample()));
        }
    }

    #[test]
    fn dump_parts_name_their_cpu() {
        let part = CpuStats::parse(&encode(Some(3), sample())).unwrap();
        assert_eq!((part.cpu, part.stats), (3, sample()));
        assert!(CpuStats::parse(&encode(None, sample())).is_err());
    }

    #[test]
    fn every_truncation_is_an_error() {
        let payload = encode(None, sample());
        for length in 0..payload.len() {
            assert!(Stats::parse(&payload[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn rates_are_rises_over_time() {
        let after = Stats {
            messages: 30,
            errors: 1,
            ..Stats::default()
        };
        let before = Stats {
            messages: 10,
            errors: 5,
            ..Stats::default()
        };
        let rates = after.per_second(before, Duration::from_millis(500));
        let expected = Stats {
            messages: 40.0,
            ..Stats::default()
        };
        assert_eq!(rates, expected);
        assert!(
            after
                .per_second(before, Duration::ZERO)
                .messages
                .is_finite()
        );
    }

    proptest! {
        #[test]
        fn any_counters_are_read_back(counters: [u64; COUNTERS.len()], cpu: u32) {
            let stats = Stats::from_counters(counters);
            let payload = encode(Some(cpu), stats);
            prop_assert_eq!(CpuStats::parse(&payload).unwrap(), CpuStats { cpu, stats });
            prop_assert_eq!(Stats::parse(&payload).unwrap(), stats);
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            kind in 0..10_u16,
        ) {
            let mut payload = bytes.clone();
            let _ = CpuStats::parse(&payload);
            payload.clear();
            attr::append_nest(&mut payload, kind, |nest| nest.extend(bytes));
            let _ = Stats::parse(&payload);
        }
    }
}
