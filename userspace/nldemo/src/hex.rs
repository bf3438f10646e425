// SPDX-License-Identifier: GPL-2.0

//! Bytes as hexadecimal digits.

use std::fmt;

/// Displays each byte as two hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads bytes that are written as two hexadecimal digits each.
#[must_use]
pub fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match *pair {
            [high, low] => u8::try_from((digit(high)? << 4) | digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_back() {
        let all: Vec<_> = (0..=u8::MAX).collect();
        assert_eq!(bytes(&Hex(&all).to_string()), Some(all));
        assert_eq!(bytes("00fF"), Some(vec![0, 255]));
        assert_eq!(bytes(""), Some(vec![]));
        for text in ["0", "000", "0x", "+1", " 1", "0g", "\u{e4}"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
