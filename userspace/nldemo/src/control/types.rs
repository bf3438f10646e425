// SPDX-License-Identifier: GPL-2.0

//! Sets of ICMP types.

use std::fmt;
use std::ops::RangeInclusive;

use linux_names::Family;
use linux_names::number::range;
use serde::Serialize;
use serde::Serializer;

use crate::protocol::TYPES_LEN;

/// A set of ICMP types of one family. A family has 256 types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeSet([u8; TYPES_LEN]);

impl TypeSet {
    /// No type.
    pub const NONE: Self = Self([0; TYPES_LEN]);
    /// Every type.
    pub const ALL: Self = Self([0xff; TYPES_LEN]);

    /// The set as it is on the wire: type n is bit n % 8 of byte n / 8.
    #[must_use]
    pub fn from_bytes(bytes: [u8; TYPES_LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes that [`from_bytes`](Self::from_bytes) takes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; TYPES_LEN] {
        self.0
    }

    /// Adds a type.
    pub fn insert(&mut self, kind: u8) {
        self.0[usize::from(kind / 8)] |= 1 << (kind % 8);
    }

    /// Whether a type is in the set.
    #[must_use]
    pub fn contains(self, kind: u8) -> bool {
        self.0[usize::from(kind / 8)] & (1 << (kind % 8)) != 0
    }

    /// The types in the set, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |&kind| self.contains(kind))
    }

    /// Reads a list with commas. Its items are numbers, ranges of numbers, names of the family's
    /// types, `echo` for echo request and echo reply, `all` and `none`.
    #[must_use]
    pub fn parse(text: &str, family: Family) -> Option<Self> {
        let mut set = Self::NONE;
        for item in text.split(',') {
            match item {
                "none" => {}
                "all" => set = Self::ALL,
                "echo" => family
                    .echo_types()
                    .into_iter()
                    .for_each(|kind| set.insert(kind)),
                _ => match family.type_named(item) {
                    Some(kind) => set.insert(kind),
                    None => range(item)?.for_each(|kind| set.insert(kind)),
                },
            }
        }
        Some(set)
    }

    fn ranges(self) -> Vec<RangeInclusive<u8>> {
        let mut ranges: Vec<RangeInclusive<u8>> = Vec::new();
        for kind in self.iter() {
            match ranges.last_mut() {
                Some(last) if last.end() + 1 == kind => *last = *last.start()..=kind,
                _ => ranges.push(kind..=kind),
            }
        }
        ranges
    }
}

/// Shows numbers and ranges, separated by commas, or `all` or `none`.
impl fmt::Display for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => return f.write_str("all"),
            Self::NONE => return f.write_str("none"),
            _ => {}
        }
        for (index, range) in self.ranges().into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (first, last) = range.into_inner();
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

/// Serializes the text form, because a list of up to 256 numbers would be too long to read.
impl Serialize for TypeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str, family: Family) -> String {
        TypeSet::parse(text, family).map_or_else(String::new, |set| set.to_string())
    }

    #[test]
    fn numbers_ranges_and_names_add_up() {
        for (text, ipv4, ipv6) in [
            ("all", "all", "all"),
            ("none", "none", "none"),
            ("echo", "0,8", "128-129"),
            ("echo-request", "8", "128"),
            ("8,0,3-5", "0,3-5,8", "0,3-5,8"),
            ("3,4,5,5", "3-5", "3-5"),
            ("0-255", "all", "all"),
            ("254-255,none", "254-255", "254-255"),
            ("time-exceeded,200", "11,200", "3,200"),
            ("redirect", "5", ""),
            ("mld-listener-query", "", "130"),
        ] {
            assert_eq!(parsed(text, Family::Ipv4), ipv4, "{text}");
            assert_eq!(parsed(text, Family::Ipv6), ipv6, "{text}");
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in [
            "", ",", "8,", "256", "5-3", "-1", "1-", "1-256", "1-2-3", "+8", "ping", "All", " 8",
        ] {
            assert_eq!(TypeSet::parse(text, Family::Ipv4), None, "{text:?}");
        }
    }

    #[test]
    fn bits_are_counted_from_the_lowest_of_the_first_byte() {
        let set = TypeSet::parse("0,8,255", Family::Ipv4).unwrap();
        let mut bytes = [0; TYPES_LEN];
        (bytes[0], bytes[1], bytes[31]) = (1, 1, 0x80);
        assert_eq!(set.to_bytes(), bytes);
    }

    proptest! {
        #[test]
        fn every_set_is_read_back_from_its_text(bytes: [u8; TYPES_LEN]) {
            let set = TypeSet::from_bytes(bytes);
            prop_assert_eq!(TypeSet::parse(&set.to_string(), Family::Ipv6), Some(set));
        }
    }
}
