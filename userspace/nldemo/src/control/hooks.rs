// SPDX-License-Identifier: GPL-2.0

//! Sets of hook points.

use std::fmt;

use linux_names::hook::Hook;
use serde::Serialize;
use serde::Serializer;

/// A set of hook points. Bit n stands for the hook point with `NF_INET_*` number n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookSet(pub u8);

impl HookSet {
    /// The points at which the module can have hooks.
    pub const POINTS: [Hook; 5] = [Hook(0), Hook(1), Hook(2), Hook(3), Hook(4)];

    /// The points in this set.
    pub fn points(self) -> impl Iterator<Item = Hook> {
        (0..8)
            .filter(move |number| self.0 & (1 << number) != 0)
            .map(Hook)
    }

    /// Reads a list of names of [`POINTS`](Self::POINTS), separated by commas. The names are those
    /// that [`Hook::named`] accepts.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let mut set = Self::default();
        for name in text.split(',') {
            let hook = Hook::named(name).filter(|hook| Self::POINTS.contains(hook))?;
            set.0 |= 1 << hook.0;
        }
        Some(set)
    }
}

/// Shows the names of the points, separated by commas. If the set is empty, or has points that are
/// not in [`POINTS`](HookSet::POINTS), shows the number instead.
impl fmt::Display for HookSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 || !self.points().all(|hook| Self::POINTS.contains(&hook)) {
            return write!(f, "{:#x}", self.0);
        }
        let names: Vec<_> = self.points().map(|hook| hook.to_string()).collect();
        f.write_str(&names.join(","))
    }
}

impl Serialize for HookSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.points().map(|hook| hook.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_names_with_commas_between_them() {
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
    fn points_of_other_modules_are_numbers() {
        assert_eq!(HookSet(6).to_string(), "input,forward");
        assert_eq!(HookSet(0x21).to_string(), "0x21");
        assert_eq!(HookSet(0).to_string(), "0x0");
        let json = serde_json::to_string(&HookSet(0x61)).unwrap();
        assert_eq!(json, r#"["prerouting","ingress","hook6"]"#);
    }
}
