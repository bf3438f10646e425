// SPDX-License-Identifier: GPL-2.0

//! How packets are spread over several queues.

use std::fmt;

use serde::Serialize;
use serde::Serializer;

use crate::protocol;

/// How packets are spread over several queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// By the source and destination address, so that the packets of a flow stay in order.
    Flow,
    /// By the CPU that handles the packet.
    Cpu,
    /// Another way of spreading, which this crate does not know.
    Other(u8),
}

impl Spread {
    /// The ways of spreading that have a name, with their names.
    const NAMES: [(Self, &str); 2] = [(Self::Flow, "flow"), (Self::Cpu, "cpu")];

    /// The way of spreading that has this name.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let mut names = Self::NAMES.into_iter();
        names.find_map(|(spread, name)| (name == text).then_some(spread))
    }
}

impl From<u8> for Spread {
    fn from(number: u8) -> Self {
        match number {
            protocol::SPREAD_FLOW => Self::Flow,
            protocol::SPREAD_CPU => Self::Cpu,
            _ => Self::Other(number),
        }
    }
}

impl From<Spread> for u8 {
    fn from(spread: Spread) -> Self {
        match spread {
            Spread::Flow => protocol::SPREAD_FLOW,
            Spread::Cpu => protocol::SPREAD_CPU,
            Spread::Other(number) => number,
        }
    }
}

/// Shows the name of the way of spreading, or its number if it has no name.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.into_iter().find(|(spread, _)| spread == self) {
            Some((_, name)) => f.write_str(name),
            None => u8::from(*self).fmt(f),
        }
    }
}

impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
