// SPDX-License-Identifier: GPL-2.0

//! Arguments that several commands take.

use std::time::Duration;

use nldemo::protocol;

/// Where the module is to be found.
#[derive(clap::Args)]
pub(crate) struct Module {
    /// Netlink protocol number: the module's parameter `protocol`
    #[arg(
        long,
        value_name = "N",
        default_value_t = protocol::PROTOCOL_DEFAULT,
        value_parser = clap::value_parser!(u8).range(
            i64::from(protocol::PROTOCOL_MIN)..=i64::from(protocol::PROTOCOL_MAX)
        )
    )]
    pub(crate) protocol: u8,
}

/// Parses a number of seconds, fractions allowed.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    // The bound keeps deadlines within what a clock can hold.
    text.parse()
        .ok()
        .filter(|seconds| (0.001..=1e9).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected a number of seconds from 0.001 to 1000000000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for text in ["", "x", "0", "-1", "NaN", "inf", "1e30"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
