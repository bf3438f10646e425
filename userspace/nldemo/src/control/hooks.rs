// SPDX-License-Identifier: GPL-2.0

//! Sets of hook points.

use std::fmt;

use serde::Serialize;
use serde::Serializer;

/// A set of hook points, bit n for `NF_INET_*` number n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookSet(pub u8);

impl HookSet {
    /// The names of the points, by their number.
    pub const NAMES: [&str; 5] = [
        "pre-routing",
        "local-in",
        "forward",
        "local-out",
        "post-routing",
    ];

    /// The numbers of the points in this set.
    pub fn points(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |point| self.0 & (1 << point) != 0)
    }

    /// Reads names with commas between them; dashes and case do not matter.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let plain = |name: &str| name.to_ascii_lowercase().replace(['-', '_'], "");
        let mut set = Self::default();
        for name in text.split(',') {
            let name = match plain(name).as_str() {
                // What nftables calls them.
                "input" => "localin".to_owned(),
                "output" => "localout".to_owned(),
                other => other.to_owned(),
            };
            set.0 |= 1 << Self::NAMES.iter().position(|known| plain(known) == name)?;
        }
        Some(set)
    }

    fn names(self) -> impl Iterator<Item = String> {
        self.points()
            .map(|point| match Self::NAMES.get(usize::from(point)) {
                Some(&name) => name.to_owned(),
                None => format!("hook{point}"),
            })
    }
}

/// Names with commas between them, or the number if there is none or not each has a name.
impl fmt::Display for HookSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 || usize::from(self.0) >> Self::NAMES.len() != 0 {
            return write!(f, "{:#x}", self.0);
        }
        f.write_str(&self.names().collect::<Vec<_>>().join(","))
    }
}

impl Serialize for HookSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_understood() {
        for (text, bits) in [
            ("pre-routing", 1),
            ("prerouting,localin,forward,localout,postrouting", 31),
            ("PRE_ROUTING,POST_ROUTING", 17),
            ("input,output", 10),
            ("forward,forward", 4),
        ] {
            assert_eq!(HookSet::named(text), Some(HookSet(bits)), "{text}");
        }
        for text in ["", ",", "pre-routing,", "ingress", "all"] {
            assert_eq!(HookSet::named(text), None, "{text}");
        }
    }

    #[test]
    fn nameless_points_are_numbers() {
        assert_eq!(HookSet(6).to_string(), "local-in,forward");
        assert_eq!(HookSet(0x21).to_string(), "0x21");
        assert_eq!(HookSet(0).to_string(), "0x0");
        let json = serde_json::to_string(&HookSet(0x21)).unwrap();
        assert_eq!(json, r#"["pre-routing","hook5"]"#);
    }
}
