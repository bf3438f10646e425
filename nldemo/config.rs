// SPDX-License-Identifier: GPL-2.0

//! The configuration of one network namespace, and the module parameters it is initialized from.

use core::{
    num::NonZero,
    ops::RangeInclusive, //
};

use kernel::{
    fmt,
    prelude::*, //
};

use super::uapi::{
    NLDEMO_PROTOCOL_MAX,
    NLDEMO_PROTOCOL_MIN,
    NLDEMO_SPREAD_CPU,
    NLDEMO_SPREAD_FLOW,
    NLDEMO_TYPES_LEN, //
};

use crate::net::{
    netfilter::{
        Family,
        Hooknum,
        Point,
        Priority, //
    },
    netlink::Protocol, //
};

/// The netlink protocol numbers that the kernel itself does not use.
const PROTOCOLS: RangeInclusive<i64> = NLDEMO_PROTOCOL_MIN as i64..=NLDEMO_PROTOCOL_MAX as i64;
/// The numbers of NFQUEUE queues.
const QUEUE: RangeInclusive<i64> = 0..=65535;
/// The number of queues. The number of the last queue must not be above 65535.
const QUEUES: RangeInclusive<i64> = 1..=65535;
/// The bit masks of inet hook points, bit `n` for `NF_INET_*` number `n`. At least one bit must be
/// set.
pub(crate) const HOOKS: RangeInclusive<i64> = 1..=31;
/// The priorities of hooks. At one hook point, a hook with a lower priority runs earlier.
const PRIORITY: RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
/// The marks of packets.
const SKIP_MARK: RangeInclusive<i64> = 0..=u32::MAX as i64;

/// Echo request and reply: a network works without these types of ICMPv6, but not without others.
/// By default, no other type of ICMPv6 is queued.
const ICMPV6_ECHO: [u8; 2] = [128, 129];

/// The parameters as the user gave them, before any check. They are wide integers: a narrow integer
/// would cut a value that is far out of range, before the value is checked and reported.
pub(crate) struct Parameters {
    pub(crate) protocol: i64,
    pub(crate) enabled: bool,
    pub(crate) queue: i64,
    pub(crate) queues: i64,
    pub(crate) bypass: bool,
    pub(crate) ipv6: bool,
    pub(crate) hooks: i64,
    pub(crate) priority: i64,
    pub(crate) skip_mark: i64,
}

/// How packets are spread over several queues.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Spread {
    /// Packets with the same two addresses go to the same queue, so packets of a flow stay in
    /// order.
    Flow = NLDEMO_SPREAD_FLOW as u8,
    /// Packets that the same CPU handles go to the same queue.
    Cpu = NLDEMO_SPREAD_CPU as u8,
}

/// A set of ICMP types, with the layout that it has in messages: bit `n % 8` of byte `n / 8` is
/// type `n`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeSet(pub(crate) [u8; NLDEMO_TYPES_LEN as usize]);

impl TypeSet {
    const ALL: Self = Self([0xff; NLDEMO_TYPES_LEN as usize]);
    const NONE: Self = Self([0; NLDEMO_TYPES_LEN as usize]);

    /// The set of these types.
    fn of(types: &[u8]) -> Self {
        let mut set = Self::NONE;
        for &icmp_type in types {
            set.0[usize::from(icmp_type / 8)] |= 1 << (icmp_type % 8);
        }
        set
    }

    /// Whether a type is in the set.
    pub(crate) fn contains(&self, icmp_type: u8) -> bool {
        self.0[usize::from(icmp_type / 8)] & 1 << (icmp_type % 8) != 0
    }

    fn is_empty(&self) -> bool {
        *self == Self::NONE
    }
}

/// The configuration of a network namespace: the packets that are queued, and their queues.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Config {
    /// Whether packets are queued. If not, there are no hooks.
    pub(crate) enabled: bool,
    /// The first queue.
    pub(crate) queue: u16,
    /// The number of queues. Their numbers are consecutive and start at `queue`.
    pub(crate) queues: NonZero<u16>,
    /// How packets are spread over the queues.
    pub(crate) spread: Spread,
    /// Whether packets pass if their queue has no consumer.
    pub(crate) bypass: bool,
    /// The hook points, bit `n` for `NF_INET_*` number `n`.
    pub(crate) hooks: u8,
    /// The priority of the hooks. At one hook point, a hook with a lower priority runs earlier.
    pub(crate) priority: i32,
    /// Packets with this mark pass. 0 means that no mark makes packets pass.
    pub(crate) skip_mark: u32,
    /// The types of ICMP that are queued.
    pub(crate) ipv4: TypeSet,
    /// The types of ICMPv6 that are queued.
    pub(crate) ipv6: TypeSet,
}

impl Config {
    /// Checks all parameters, in the order of their declaration.
    pub(crate) fn new(parameters: &Parameters) -> Result<(Protocol, Self), OutOfRange> {
        let protocol = check::<u8>("protocol", parameters.protocol, PROTOCOLS)?;
        let protocol = Protocol::new(protocol).ok_or(OutOfRange {
            parameter: "protocol",
            value: parameters.protocol,
            range: PROTOCOLS,
        })?;
        let queue = check("queue", parameters.queue, QUEUE)?;
        let most = (*QUEUE.end() - i64::from(queue) + 1).min(*QUEUES.end());
        let queues = check("queues", parameters.queues, *QUEUES.start()..=most)?;
        let config = Self {
            enabled: parameters.enabled,
            queue,
            queues: NonZero::new(queues).unwrap_or(NonZero::<u16>::MIN),
            spread: Spread::Flow,
            bypass: parameters.bypass,
            hooks: check("hooks", parameters.hooks, HOOKS)?,
            priority: check("priority", parameters.priority, PRIORITY)?,
            skip_mark: check("skip_mark", parameters.skip_mark, SKIP_MARK)?,
            ipv4: TypeSet::ALL,
            ipv6: if parameters.ipv6 {
                TypeSet::of(&ICMPV6_ECHO)
            } else {
                TypeSet::NONE
            },
        };
        Ok((protocol, config))
    }

    /// Whether the last queue has a valid number.
    pub(crate) fn queues_exist(&self) -> bool {
        i64::from(self.queue) + i64::from(self.queues.get()) - 1 <= *QUEUE.end()
    }

    /// The types of a family that are queued.
    pub(crate) fn types(&self, family: Family) -> &TypeSet {
        match family {
            Family::Ipv4 => &self.ipv4,
            Family::Ipv6 => &self.ipv6,
        }
    }

    /// Whether packets are queued at this hook point.
    pub(crate) fn covers(&self, point: &Point) -> bool {
        self.enabled
            && self.hooks & 1 << point.hooknum as u8 != 0
            && self.priority == point.priority.0
    }

    /// The points that need a hook. If no type of a family is queued, there is no hook for the
    /// family.
    pub(crate) fn points(self) -> impl Iterator<Item = Point> + Clone {
        let priority = Priority(self.priority);
        let of = |family| {
            let is_hooked = self.enabled && !self.types(family).is_empty();
            let hooks = if is_hooked { self.hooks } else { 0 };
            Hooknum::ALL
                .into_iter()
                .filter(move |hooknum| hooks & 1 << *hooknum as u8 != 0)
                .map(move |hooknum| Point {
                    family,
                    hooknum,
                    priority,
                })
        };
        Iterator::chain(of(Family::Ipv4), of(Family::Ipv6))
    }
}

/// A parameter that is out of its range.
pub(crate) struct OutOfRange {
    parameter: &'static str,
    value: i64,
    range: RangeInclusive<i64>,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (self.range.start(), self.range.end());
        write!(
            f,
            "parameter {}={} is out of range, allowed are {min} to {max}",
            self.parameter, self.value
        )
    }
}

/// Converts a value that must be within `range`. Every value of `range` must fit `T`.
fn check<T: TryFrom<i64>>(
    parameter: &'static str,
    value: i64,
    range: RangeInclusive<i64>,
) -> Result<T, OutOfRange> {
    match T::try_from(value) {
        Ok(converted) if range.contains(&value) => Ok(converted),
        _ => Err(OutOfRange {
            parameter,
            value,
            range,
        }),
    }
}

#[kunit_tests(rust_nldemo_config)]
mod tests {
    use super::*;

    const VALID: Parameters = Parameters {
        protocol: 23,
        enabled: true,
        queue: 0,
        queues: 1,
        bypass: true,
        ipv6: true,
        hooks: 1,
        priority: 0,
        skip_mark: 0,
    };

    /// The name of the parameter that `Config::new` refuses; `None` if it accepts all
    /// parameters.
    fn complaint(parameters: &Parameters) -> Option<&'static str> {
        Config::new(parameters).err().map(|error| error.parameter)
    }

    #[test]
    fn ends_of_the_ranges_are_valid() {
        for protocol in [23, 31] {
            assert!(complaint(&Parameters { protocol, ..VALID }).is_none());
        }
        for queue in [0, 65535] {
            assert!(complaint(&Parameters { queue, ..VALID }).is_none());
        }
        for queues in [1, 65535] {
            assert!(complaint(&Parameters { queues, ..VALID }).is_none());
        }
        for hooks in [1, 31] {
            assert!(complaint(&Parameters { hooks, ..VALID }).is_none());
        }
        for priority in [i32::MIN.into(), i32::MAX.into()] {
            assert!(complaint(&Parameters { priority, ..VALID }).is_none());
        }
        for skip_mark in [0, u32::MAX.into()] {
            assert!(complaint(&Parameters { skip_mark, ..VALID }).is_none());
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        for protocol in [i64::MIN, -1, 0, 22, 32, 256 + 23, i64::MAX] {
            let parameters = Parameters { protocol, ..VALID };
            assert!(complaint(&parameters) == Some("protocol"));
        }
        for queue in [i64::MIN, -1, 65536, 1 << 32, i64::MAX] {
            let parameters = Parameters { queue, ..VALID };
            assert!(complaint(&parameters) == Some("queue"));
        }
        for queues in [i64::MIN, -1, 0, 65536, i64::MAX] {
            let parameters = Parameters { queues, ..VALID };
            assert!(complaint(&parameters) == Some("queues"));
        }
        for hooks in [i64::MIN, -1, 0, 32, 256 + 1, i64::MAX] {
            let parameters = Parameters { hooks, ..VALID };
            assert!(complaint(&parameters) == Some("hooks"));
        }
        for priority in [i64::MIN, i64::from(i32::MIN) - 1, 1 << 31, i64::MAX] {
            let parameters = Parameters { priority, ..VALID };
            assert!(complaint(&parameters) == Some("priority"));
        }
        for skip_mark in [i64::MIN, -1, 1 << 32, i64::MAX] {
            let parameters = Parameters { skip_mark, ..VALID };
            assert!(complaint(&parameters) == Some("skip_mark"));
        }
    }

    #[test]
    fn no_queue_is_beyond_the_last() {
        for (queue, queues, fits) in [
            (65535, 1, true),
            (65535, 2, false),
            (1, 65535, true),
            (2, 65535, false),
        ] {
            let parameters = Parameters {
                queue,
                queues,
                ..VALID
            };
            assert!(complaint(&parameters) == (!fits).then_some("queues"));
        }
    }

    #[test]
    fn parameters_become_protocol_and_config() -> Result {
        let parameters = Parameters {
            protocol: 29,
            enabled: false,
            queue: 700,
            queues: 4,
            bypass: false,
            ipv6: false,
            hooks: 0b10010,
            priority: -5,
            skip_mark: 7,
        };
        let (protocol, config) = Config::new(&parameters).map_err(|_| EINVAL)?;
        assert_eq!(protocol.number(), 29);
        let expected = Config {
            enabled: false,
            queue: 700,
            queues: NonZero::new(4).ok_or(EINVAL)?,
            spread: Spread::Flow,
            bypass: false,
            hooks: 0b10010,
            priority: -5,
            skip_mark: 7,
            ipv4: TypeSet::ALL,
            ipv6: TypeSet::NONE,
        };
        assert!(config == expected);
        Ok(())
    }

    #[test]
    fn points_are_where_something_is_queued() -> Result {
        let (_, config) = Config::new(&VALID).map_err(|_| EINVAL)?;
        let point = |family, hooknum| Point {
            family,
            hooknum,
            priority: Priority(-3),
        };
        let config = Config {
            hooks: 0b10010,
            priority: -3,
            ..config
        };
        assert!(config.points().eq([
            point(Family::Ipv4, Hooknum::LocalIn),
            point(Family::Ipv4, Hooknum::PostRouting),
            point(Family::Ipv6, Hooknum::LocalIn),
            point(Family::Ipv6, Hooknum::PostRouting),
        ]));
        let only_ipv6 = Config {
            ipv4: TypeSet::NONE,
            ..config
        };
        assert!(only_ipv6.points().all(|point| point.family == Family::Ipv6));
        assert_eq!(only_ipv6.points().count(), 2);
        let disabled = Config {
            enabled: false,
            ..config
        };
        assert_eq!(disabled.points().count(), 0);
        Ok(())
    }

    #[test]
    fn type_sets_hold_what_they_were_made_of() {
        for icmp_type in 0..=255 {
            assert!(TypeSet::ALL.contains(icmp_type));
            assert!(!TypeSet::NONE.contains(icmp_type));
            let echo = TypeSet::of(&ICMPV6_ECHO);
            assert!(echo.contains(icmp_type) == matches!(icmp_type, 128 | 129));
        }
        assert!(TypeSet::of(&[0, 9]).0[..3] == [1, 2, 0]);
    }
}
