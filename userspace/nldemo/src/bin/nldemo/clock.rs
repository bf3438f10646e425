// SPDX-License-Identifier: GPL-2.0

//! The time of day.

use std::time::SystemTime;

/// The current time in the form of RFC 3339: UTC, with milliseconds.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_of_fixed_width_and_read_back() {
        let text = now();
        assert_eq!(text.len(), "2025-01-01T00:00:00.000Z".len(), "{text}");
        let time = humantime::parse_rfc3339(&text).unwrap();
        // The time is cut to milliseconds, not rounded, so that it is never in the future.
        // `elapsed` would fail for a time in the future.
        assert!(time.elapsed().unwrap().as_secs() < 10, "{text}");
    }
}
