// SPDX-License-Identifier: MIT OR Apache-2.0

//! The points at which netfilter catches packets.

use std::fmt;

/// By `NF_INET_*` number.
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
    /// The hook point of a name, which is that of nftables.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        (0..)
            .zip(NAMES)
            .find_map(|(number, known)| (known == name).then_some(Self(number)))
    }

    /// All names.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        &NAMES
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "hook{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for &name in Hook::names() {
            assert_eq!(
                Hook::named(name).map(|hook| hook.to_string()),
                Some(name.into())
            );
        }
        assert_eq!(Hook::named("hook7"), None);
        assert_eq!(Hook(7).to_string(), "hook7");
    }
}
