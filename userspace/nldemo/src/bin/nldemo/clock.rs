// SPDX-License-Identifier: GPL-2.0

//! The time of day.

use jiff::Timestamp;

/// Now, as RFC 3339 has it: UTC, with milliseconds.
pub(crate) fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_of_fixed_width_and_read_back() {
        let text = now();
        assert_eq!(text.len(), "2025-01-01T00:00:00.000Z".len(), "{text}");
        let age = Timestamp::now().duration_since(text.parse().unwrap());
        assert!((0..10_000).contains(&age.as_millis()), "{text}");
    }
}
