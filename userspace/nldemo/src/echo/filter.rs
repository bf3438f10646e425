// SPDX-License-Identifier: GPL-2.0

//! A filter for echo replies.

use serde::Serialize;
use sockfilter::MessageFilter;
use sockfilter::Result;
use sockfilter::SocketFilter;

use crate::protocol;

/// The parity of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    /// Even numbers.
    Even,
    /// Odd numbers.
    Odd,
}

impl Parity {
    /// Both parities.
    pub const ALL: [Self; 2] = [Self::Even, Self::Odd];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Odd => "odd",
        }
    }

    /// The parity with this name.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|parity| parity.name() == text)
    }

    /// Whether a number has this parity.
    #[must_use]
    pub fn has(self, number: u32) -> bool {
        (number % 2 == 1) == (self == Self::Odd)
    }
}

/// Makes a filter that passes echo replies whose sequence number has this parity, and all messages
/// that are not echo replies.
pub fn echoes(parity: Parity) -> Result<SocketFilter> {
    let other = u16::from(parity == Parity::Even);
    let filter = MessageFilter::new("echoes").drop_sequence(protocol::MSG_ECHO, 1, other);
    filter.load()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_even_or_odd() {
        for (number, parity) in [(0, Parity::Even), (1, Parity::Odd), (u32::MAX, Parity::Odd)] {
            assert_eq!(Parity::Odd.has(number), parity == Parity::Odd);
            assert_eq!(Parity::Even.has(number), parity == Parity::Even);
        }
    }

    #[test]
    fn names_are_those_of_the_json() {
        for parity in Parity::ALL {
            assert_eq!(Parity::named(parity.name()), Some(parity));
            let json = serde_json::to_value(parity).unwrap();
            assert_eq!(json, parity.name());
        }
        assert_eq!(Parity::named("both"), None);
    }
}
