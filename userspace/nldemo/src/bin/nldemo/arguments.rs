// SPDX-License-Identifier: GPL-2.0

//! Arguments that several commands share.

use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::builder::OsStringValueParser;
use clap::builder::TypedValueParser;
use linux_names::interface::Interface;
use linux_names::number;
use nldemo::protocol;

/// The longest time that an option accepts. A deadline is the current time plus the time of an
/// option. This sum always fits in an [`Instant`](std::time::Instant).
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

/// The option for the netlink protocol of the module.
#[derive(clap::Args)]
pub(crate) struct Module {
    /// Netlink protocol number: the module's parameter `protocol`
    #[arg(
        long,
        value_name = "N",
        default_value_t = protocol::PROTOCOL_DEFAULT,
        value_parser = number(protocol::PROTOCOL_MIN..=protocol::PROTOCOL_MAX)
    )]
    pub(crate) protocol: u8,
}

/// A parser of numbers in a range.
pub(crate) fn number<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: TryFrom<i128> + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = number::number(text).filter(|number| range.contains(number));
        let (first, last) = (range.start(), range.end());
        number.ok_or_else(|| format!("expected a number from {first} to {last}"))
    }
}

/// A parser of counts. The smallest count is 1.
pub(crate) fn count() -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    number(1..=u64::MAX)
}

/// A parser of interfaces. The name of an interface need not be valid UTF-8.
pub(crate) fn interface() -> impl TypedValueParser<Value = Interface> {
    OsStringValueParser::new().try_map(|name: OsString| Interface::try_from(name.as_os_str()))
}

/// Parses a time to wait, which is at least one millisecond.
pub(crate) fn time(text: &str) -> Result<Duration, &'static str> {
    duration(text)
        .filter(|time| *time >= Duration::from_millis(1))
        .ok_or("expected a time such as 5, 0.5, 250ms or 1m30s, from 1ms to 1000000000 seconds")
}

/// Reads a duration of at most [`LONGEST`]. The text is a number of seconds, or numbers with units.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let bare = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let duration = if bare {
        humantime::parse_duration(&format!("{text}s"))
    } else {
        humantime::parse_duration(text)
    };
    duration.ok().filter(|duration| *duration <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        for (text, milliseconds) in [
            ("0", 0),
            ("5", 5_000),
            ("5s", 5_000),
            ("0.25", 250),
            ("250ms", 250),
            ("1.5s", 1_500),
            ("5000us", 5),
            ("1m30s", 90_000),
            ("1h 1m", 3_660_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        assert_eq!(duration("20us"), Some(Duration::from_micros(20)));
        for text in [
            "", "x", "s", "ms", ".5", "5.", "1.2.3", "-1", "-1s", "+1", "+1s", "1s ago", "NaN",
            "inf", "1e3", "0x5", "PT5S", "5 6", "5 eons", "32y",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn times_to_wait_are_bounded() {
        assert_eq!(time("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(time("1000000000"), Ok(LONGEST));
        for text in ["0", "0.0009", "999us", "1000000001", "300000h"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_bounded() {
        let parse = number(23..=31_u8);
        assert_eq!((parse("23"), parse("0x1f")), (Ok(23), Ok(31)));
        for text in ["22", "32", "+23", "-1", "x", ""] {
            assert_eq!(
                parse(text),
                Err("expected a number from 23 to 31".to_owned()),
                "{text}"
            );
        }
        assert_eq!((count()("1"), count()("0").is_err()), (Ok(1), true));
    }
}
