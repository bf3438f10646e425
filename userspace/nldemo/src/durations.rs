// SPDX-License-Identifier: GPL-2.0

//! Statistics of how long things take.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// An hour, in nanoseconds; whatever takes longer counts as this.
const LONGEST: u64 = 3_600_000_000_000;

/// A histogram of durations with three significant digits.
pub struct Durations {
    nanoseconds: Histogram<u64>,
}

/// The figures of a [`Durations`], in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// The shortest.
    pub min: u64,
    /// Arithmetic mean.
    pub avg: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

/// In microseconds, with what they are before them.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("min/avg/p50/p99/max = ")?;
        let figures = [self.min, self.avg, self.p50, self.p99, self.max];
        for (index, nanoseconds) in figures.into_iter().enumerate() {
            let slash = if index == 0 { "" } else { "/" };
            let (whole, tenth) = (nanoseconds / 1000, nanoseconds % 1000 / 100);
            write!(f, "{slash}{whole}.{tenth}")?;
        }
        f.write_str(" us")
    }
}

impl Durations {
    /// Adds one.
    pub fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.saturating_record(nanoseconds);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.nanoseconds.len()
    }

    /// Adds all of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.nanoseconds += &other.nanoseconds;
    }

    /// The figures; `None` without any.
    #[must_use]
    pub fn summary(&self) -> Option<Figures> {
        let times = &self.nanoseconds;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a mean of u64 values is a u64 value"
        )]
        let avg = times.mean().round() as u64;
        (!times.is_empty()).then(|| Figures {
            min: times.min(),
            avg,
            p50: times.value_at_quantile(0.5),
            p99: times.value_at_quantile(0.99),
            max: times.max(),
        })
    }
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            nanoseconds: Histogram::new_with_bounds(1, LONGEST, 3)
                .expect("the bounds are apart and 3 digits are within 0 to 5"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_right_to_three_digits() {
        let mut durations = Durations::default();
        assert_eq!(durations.summary(), None);
        for microseconds in 1..=100 {
            durations.record(Duration::from_micros(microseconds));
        }
        assert_eq!(durations.count(), 100);
        let summary = durations.summary().unwrap();
        for (value, expected) in [
            (summary.min, 1_000),
            (summary.avg, 50_500),
            (summary.p50, 50_000),
            (summary.p99, 99_000),
            (summary.max, 100_000),
        ] {
            assert!(value.abs_diff(expected) <= expected / 1000, "{summary:?}");
        }
    }

    #[test]
    fn figures_are_microseconds_with_one_decimal() {
        let figures = Figures {
            min: 99,
            avg: 12_345,
            p50: 12_000,
            p99: 1_000_000,
            max: 1_234_567_890,
        };
        assert_eq!(
            figures.to_string(),
            "min/avg/p50/p99/max = 0.0/12.3/12.0/1000.0/1234567.8 us"
        );
    }
}
