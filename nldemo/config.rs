// SPDX-License-Identifier: GPL-2.0

//! The module's parameters, checked.

use core::ops::RangeInclusive;

use kernel::{
    fmt,
    prelude::*, //
};

use super::uapi::{
    NLDEMO_PROTOCOL_MAX,
    NLDEMO_PROTOCOL_MIN, //
};

use crate::net::{
    netfilter::{
        Hooknum,
        Verdict, //
    },
    netlink::Protocol, //
};

/// The netlink protocol numbers that no protocol of the kernel's own uses.
const PROTOCOLS: RangeInclusive<i64> = NLDEMO_PROTOCOL_MIN as i64..=NLDEMO_PROTOCOL_MAX as i64;
/// The numbers of NFQUEUE queues.
const QUEUES: RangeInclusive<i64> = 0..=65535;
/// The bit masks of inet hook points, bit `n` for `NF_INET_*` number `n`; at least one.
const HOOKS: RangeInclusive<i64> = 1..=31;

/// The parameters as they were given. All are wide integers, so that values far out of range get
/// here, to be reported with their range.
pub(crate) struct Parameters {
    pub(crate) protocol: i64,
    pub(crate) queue: i64,
    pub(crate) bypass: bool,
    pub(crate) hooks: i64,
}

/// What an instance of the module goes by.
pub(crate) struct Config {
    /// The netlink protocol to serve.
    pub(crate) protocol: Protocol,
    /// What happens to ICMP packets.
    pub(crate) verdict: Verdict,
    hooks: u8,
}

impl Config {
    /// Checks all parameters, in the order of their declaration.
    pub(crate) fn new(parameters: &Parameters) -> Result<Self, OutOfRange> {
        let protocol = check::<u8>("protocol", parameters.protocol, PROTOCOLS)?;
        let queue = check::<u16>("queue", parameters.queue, QUEUES)?;
        let hooks = check::<u8>("hooks", parameters.hooks, HOOKS)?;
        Ok(Self {
            protocol: Protocol::new(protocol).ok_or(OutOfRange {
                parameter: "protocol",
                value: parameters.protocol,
                range: PROTOCOLS,
            })?,
            verdict: Verdict::queue(queue, parameters.bypass),
            hooks,
        })
    }

    /// The hook points that the mask selects.
    pub(crate) fn hooknums(&self) -> impl Iterator<Item = Hooknum> + '_ {
        Hooknum::ALL
            .into_iter()
            .filter(|&hooknum| self.hooks & (1 << hooknum as u8) != 0)
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

/// Converts a value within `range`, all of which must fit `T`.
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
        queue: 0,
        bypass: true,
        hooks: 1,
    };

    /// The parameter that is complained about, if any.
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
        for hooks in [1, 31] {
            assert!(complaint(&Parameters { hooks, ..VALID }).is_none());
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
        for hooks in [i64::MIN, -1, 0, 32, 256 + 1, i64::MAX] {
            let parameters = Parameters { hooks, ..VALID };
            assert!(complaint(&parameters) == Some("hooks"));
        }
    }

    #[test]
    fn parameters_become_protocol_verdict_and_points() -> Result {
        let parameters = Parameters {
            protocol: 29,
            queue: 700,
            bypass: false,
            hooks: 0b10010,
        };
        let config = Config::new(&parameters).map_err(|_| EINVAL)?;
        assert_eq!(config.protocol.number(), 29);
        assert!(config.verdict == Verdict::queue(700, false));
        assert!(config
            .hooknums()
            .eq([Hooknum::LocalIn, Hooknum::PostRouting]));
        Ok(())
    }
}
