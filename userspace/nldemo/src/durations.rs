// SPDX-License-Identifier: GPL-2.0

//! Statistics of durations.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// An hour, in nanoseconds. For the quantiles, a longer duration is treated as an hour.
const LONGEST: u64 = 3_600_000_000_000;

/// The shortest, the longest and the mean of durations, and quantiles with two significant digits.
///
/// Quantiles with three digits would take about 230 KiB more memory for each queue that a consumer
/// reads.
pub struct Durations {
    nanoseconds: Histogram<u64>,
    shortest: u64,
    longest: u64,
    sum: u128,
}

/// The results of a [`Durations`], in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// The shortest duration.
    pub min: u64,
    /// The arithmetic mean.
    pub avg: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// The longest duration.
    pub max: u64,
}

/// Shows the names of the figures, and then the figures in microseconds.
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
    /// Adds a duration.
    pub fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.saturating_record(nanoseconds);
        self.shortest = self.shortest.min(nanoseconds);
        self.longest = self.longest.max(nanoseconds);
        self.sum += u128::from(nanoseconds);
    }

    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.nanoseconds.len()
    }

    /// Adds all durations of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.nanoseconds += &other.nanoseconds;
        self.shortest = self.shortest.min(other.shortest);
        self.longest = self.longest.max(other.longest);
        self.sum += other.sum;
    }

    /// The figures; `None` if there are no durations.
    #[must_use]
    pub fn summary(&self) -> Option<Figures> {
        let times = &self.nanoseconds;
        let count = u128::from(self.count());
        let avg = (self.sum + count / 2).checked_div(count)?;
        // The histogram only knows in which range each duration is. As a quantile it returns the
        // upper end of a range, which can be longer than the longest duration.
        let quantile = |part| {
            times
                .value_at_quantile(part)
                .clamp(self.shortest, self.longest)
        };
        Some(Figures {
            min: self.shortest,
            avg: u64::try_from(avg).unwrap_or(u64::MAX),
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: self.longest,
        })
    }
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            nanoseconds: Histogram::new_with_bounds(1, LONGEST, 2)
                .expect("the bounds are apart and 2 digits are within 0 to 5"),
            shortest: u64::MAX,
            longest: 0,
            sum: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_two_digits_and_the_others_exact() {
        let mut durations = Durations::default();
        assert_eq!(durations.summary(), None);
        for microseconds in 1..=100 {
            durations.record(Duration::from_micros(microseconds));
        }
        assert_eq!(durations.count(), 100);
        let summary = durations.summary().unwrap();
        let exact = (summary.min, summary.avg, summary.max);
        assert_eq!(exact, (1_000, 50_500, 100_000));
        for (value, expected) in [(summary.p50, 50_000_u64), (summary.p99, 99_000)] {
            assert!(value.abs_diff(expected) <= expected / 100, "{summary:?}");
        }
        let mut more = Durations::default();
        more.record(Duration::from_nanos(7));
        more.merge(&durations);
        let summary = more.summary().unwrap();
        assert_eq!((summary.min, summary.max, more.count()), (7, 100_000, 101));
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
