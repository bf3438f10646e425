// SPDX-License-Identifier: GPL-2.0

//! A limit for the number of packets in a second.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

const SECOND: u64 = 1_000_000_000;

/// The highest rate. The time for a token is a whole number of nanoseconds. At this rate, the
/// rounding error of this time is still below 0.1 %.
pub(super) const MAX: u32 = 1_000_000;

/// A token bucket. It has room for the tokens of one second, and starts full.
///
/// As in the generic cell rate algorithm, the only state is the time when the bucket would be full
/// again. So the bucket needs no lock: a packet changes one atomic number.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    per_second: NonZero<u32>,
    start: Instant,
    /// The time when the bucket would be full again, in nanoseconds since `start`.
    full: Arc<AtomicU64>,
}

impl Rate {
    pub(super) fn new(per_second: NonZero<u32>) -> Self {
        Self {
            per_second,
            start: Instant::now(),
            full: Arc::default(),
        }
    }

    pub(super) fn per_second(&self) -> u32 {
        self.per_second.get()
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self) -> bool {
        self.take_at(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn take_at(&self, now: u64) -> bool {
        let token = SECOND / u64::from(self.per_second.get());
        let update = self
            .full
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full| {
                let full = full.max(now).saturating_add(token);
                (full - now <= SECOND).then_some(full)
            });
        update.is_ok()
    }
}

/// Two rates are equal if their limits are equal. The tokens that were taken do not matter.
impl PartialEq for Rate {
    fn eq(&self, other: &Self) -> bool {
        self.per_second == other.per_second
    }
}

impl Eq for Rate {}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rate: &Rate, times: impl Iterator<Item = u64>) -> usize {
        times.filter(|&time| rate.take_at(time)).count()
    }

    #[test]
    fn full_bucket_is_taken_at_once_and_filled_at_its_rate() {
        for per_second in [1, 3, 7, 100, 999_999, MAX] {
            let rate = Rate::new(NonZero::new(per_second).unwrap());
            let expected = per_second as usize;
            let found = taken(&rate, std::iter::repeat_n(5, expected + 10));
            // The time for a token is rounded down, so there can be a few tokens more than
            // expected.
            assert!(
                (expected..=expected + expected / 1000).contains(&found),
                "{per_second}"
            );
            let ten_seconds = (0..10 * expected as u64 * 2)
                .map(|half| 5 + half * SECOND / u64::from(per_second) / 2);
            let found = taken(&rate, ten_seconds);
            let expected = expected * 10;
            assert!(
                found.abs_diff(expected) <= 1 + expected / 500,
                "{per_second}: {found}"
            );
        }
    }

    #[test]
    fn end_of_time_is_no_overflow() {
        let rate = Rate::new(NonZero::<u32>::MIN);
        assert!(rate.take_at(u64::MAX));
    }
}
