// SPDX-License-Identifier: GPL-2.0

//! Statistics of round trip times.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// An hour, in nanoseconds; whatever takes longer counts as this.
const LONGEST: u64 = 3_600_000_000_000;

/// A histogram of round trip times with three significant digits.
pub struct RoundTrips {
    nanoseconds: Histogram<u64>,
}

/// The figures of a [`RoundTrips`], in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Shortest round trip.
    pub min: u64,
    /// Arithmetic mean.
    pub avg: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Longest round trip.
    pub max: u64,
}

impl RoundTrips {
    /// Adds one round trip.
    pub fn record(&mut self, round_trip: Duration) {
        let nanoseconds = u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.saturating_record(nanoseconds);
    }

    /// How many round trips there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.nanoseconds.len()
    }

    /// The figures; `None` without any round trip.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let times = &self.nanoseconds;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a mean of u64 values is a u64 value"
        )]
        let avg = times.mean().round() as u64;
        (!times.is_empty()).then(|| Summary {
            min: times.min(),
            avg,
            p50: times.value_at_quantile(0.5),
            p99: times.value_at_quantile(0.99),
            max: times.max(),
        })
    }
}

impl Default for RoundTrips {
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
        let mut round_trips = RoundTrips::default();
        assert_eq!(round_trips.summary(), None);
        for microseconds in 1..=100 {
            round_trips.record(Duration::from_micros(microseconds));
        }
        assert_eq!(round_trips.count(), 100);
        let summary = round_trips.summary().unwrap();
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
}
