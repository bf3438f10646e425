// SPDX-License-Identifier: MIT OR Apache-2.0

//! The points at which netfilter calls hooks.

use std::fmt;

/// The names. The index of a name is the `NF_INET_*` number of the hook point.
const NAMES: [&str; 6] = [
    "prerouting",
    "input",
    "forward",
    "output",
    "postrouting",
    "ingress",
];

/// A netfilter hook point, by its `NF_INET_*` number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook(pub u8);

impl Hook {
    /// The hook point with this name: the name in nftables, or the name in C without `NF_INET_`
    /// (`PRE_ROUTING`, `LOCAL_IN`...). Case, dashes and underscores do not matter.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let plain = name.to_ascii_lowercase().replace(['-', '_'], "");
        let name = match plain.as_str() {
            "localin" => "input",
            "localout" => "output",
            plain => plain,
        };
        (0..)
            .zip(NAMES)
            .find_map(|(number, known)| (known == name).then_some(Self(number)))
    }

    /// The name of this hook point, if it has one.
    #[inline]
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.get(usize::from(self.0)).copied()
    }

    /// All names of hook points.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        &NAMES
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "hook{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_understood() {
        for (name, number) in [
            ("pre-routing", 0),
            ("PRE_ROUTING", 0),
            ("local-in", 1),
            ("LocalIn", 1),
            ("FORWARD", 2),
            ("LOCAL_OUT", 3),
            ("post_routing", 4),
        ] {
            assert_eq!(Hook::named(name), Some(Hook(number)), "{name}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for &name in Hook::names() {
            assert_eq!(
                Hook::named(name).map(|hook| hook.to_string()),
                Some(name.into())
            );
        }
        for name in ["hook7", "", "local", "prerouting "] {
            assert_eq!(Hook::named(name), None, "{name}");
        }
        assert_eq!(Hook(7).to_string(), "hook7");
    }
}
