// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers in text form.

use std::ops::RangeInclusive;

/// Reads a number that fits its type: decimal, or hexadecimal with the prefix `0x`. A decimal
/// number may have a minus sign. A plus sign is not allowed.
#[must_use]
pub fn number<T: TryFrom<i128>>(text: &str) -> Option<T> {
    let (radix, digits) = match text.strip_prefix("0x") {
        Some(digits) => (16, digits),
        None => (10, text.strip_prefix('-').unwrap_or(text)),
    };
    // `from_str_radix` below would accept a sign before the digits. This check excludes it.
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    let number = if text.starts_with('-') {
        -number
    } else {
        number
    };
    T::try_from(number).ok()
}

/// Reads a range of numbers, `N-M`, or a single number, `N`.
#[must_use]
pub fn range<T: TryFrom<i128> + PartialOrd>(text: &str) -> Option<RangeInclusive<T>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_and_hexadecimal_numbers_are_read_if_they_fit() {
        for (text, expected) in [
            ("0", Some(0)),
            ("255", Some(255)),
            ("007", Some(7)),
            ("0xfF", Some(255)),
            ("-0", Some(0)),
            ("256", None),
            ("0x100", None),
            ("-1", None),
        ] {
            assert_eq!(number::<u8>(text), expected, "{text}");
        }
        assert_eq!(number::<u64>("18446744073709551615"), Some(u64::MAX));
        assert_eq!(number::<i32>("-2147483648"), Some(i32::MIN));
        assert_eq!(number::<i32>("-2147483649"), None);
    }

    #[test]
    fn nothing_else_is_a_number() {
        for text in [
            "",
            "x",
            "+1",
            "--1",
            "-",
            "1 ",
            " 1",
            "1_000",
            "1.0",
            "1e3",
            "0x",
            "0x+1",
            "0x-1",
            "-0x1",
            "0X1",
            "0b1",
            "\u{661}",
            "999999999999999999999999999999999999999999",
        ] {
            assert_eq!(number::<i64>(text), None, "{text:?}");
        }
    }

    #[test]
    fn ranges_go_up() {
        assert_eq!(range("7"), Some(7_u16..=7));
        assert_eq!(range("7-0xffff"), Some(7_u16..=65535));
        for text in ["", "-", "7-", "-7", "8-7", "0-65536", "1-2-3", "1-+2"] {
            assert_eq!(range::<u16>(text), None, "{text}");
        }
    }
}
