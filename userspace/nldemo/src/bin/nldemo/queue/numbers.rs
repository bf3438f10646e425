// SPDX-License-Identifier: GPL-2.0

//! Option values of `nldemo queue run` that contain numbers.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::str::FromStr;

use linux_names::number::number;
use linux_names::number::range;
use nfnetlink_queue::Batching;
use nfnetlink_queue::CopyMode;

use crate::arguments::duration;

/// A range of queues: `N` or `N-M`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queues(pub(super) RangeInclusive<u16>);

impl FromStr for Queues {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let queues = range(text).map(Self);
        queues.ok_or("expected a queue N, or queues N-M with N <= M, from 0 to 65535")
    }
}

/// Parses `none`, `meta`, `packet` or `packet:RANGE`.
pub(super) fn copy_mode(text: &str) -> Result<CopyMode, &'static str> {
    let range = |text| NonZero::new(number(text)?);
    match (text, text.strip_prefix("packet:").and_then(range)) {
        ("none", _) => Ok(CopyMode::None),
        ("meta", _) => Ok(CopyMode::Meta),
        ("packet", _) => Ok(CopyMode::Packet { range: None }),
        (_, range @ Some(_)) => Ok(CopyMode::Packet { range }),
        _ => Err("expected none, meta, packet or packet:RANGE with RANGE in bytes, at least 1"),
    }
}

/// Parses `COUNT` or `COUNT,TIME`.
pub(super) fn batching(text: &str) -> Result<Batching, &'static str> {
    let (count, time) = text.split_once(',').unwrap_or((text, "0"));
    let count = number(count).and_then(NonZero::new);
    match (count, duration(time)) {
        (Some(count), Some(time)) => Ok(Batching { count, time }),
        _ => Err("expected COUNT or COUNT,TIME, such as 64 or 64,5ms"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn queues_are_one_or_a_range() {
        assert_eq!("7".parse(), Ok(Queues(7..=7)));
        assert_eq!("7-65535".parse(), Ok(Queues(7..=65535)));
        for text in ["", "-", "7-", "-7", "8-7", "0-65536", "x", "+7", "1-+7"] {
            assert!(text.parse::<Queues>().is_err(), "{text}");
        }
    }

    #[test]
    fn copy_modes_are_named() {
        assert_eq!(copy_mode("meta"), Ok(CopyMode::Meta));
        let range = NonZero::new(96);
        assert_eq!(copy_mode("packet:96"), Ok(CopyMode::Packet { range }));
        for text in ["", "packet:", "packet:0", "packet:+9", "packet:x", "meta:1"] {
            assert!(copy_mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn batches_have_a_count_and_a_time() {
        let batch = |count, time| {
            Ok(Batching {
                count: NonZero::new(count).unwrap(),
                time,
            })
        };
        assert_eq!(batching("64"), batch(64, Duration::ZERO));
        assert_eq!(batching("64,5ms"), batch(64, Duration::from_millis(5)));
        assert_eq!(batching("1,20us"), batch(1, Duration::from_micros(20)));
        assert_eq!(batching("2,0.5"), batch(2, Duration::from_millis(500)));
        for text in [
            "", "0", "+5", "5,", "5,ms", "5,-1s", "5,32y", "x,1s", "5,1s,1s",
        ] {
            assert!(batching(text).is_err(), "{text}");
        }
    }
}
