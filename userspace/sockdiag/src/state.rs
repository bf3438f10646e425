// SPDX-License-Identifier: MIT OR Apache-2.0

//! The states of sockets. All protocols use the states of TCP.

use std::borrow::Cow;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error;

/// The kernel's number for a state: a constant `TCP_*` of `include/net/tcp_states.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(pub u8);

impl State {
    /// The socket is connected.
    pub const ESTABLISHED: Self = Self(1);
    /// The socket waits for the last ACK of the TCP handshake.
    pub const SYN_RECV: Self = Self(3);
    /// The socket is neither connected nor listening.
    pub const CLOSE: Self = Self(7);
    /// The socket waits for connections.
    pub const LISTEN: Self = Self(10);

    /// The names of all states, beginning with number 1.
    pub const NAMES: [&str; 11] = [
        "established",
        "syn-sent",
        "syn-recv",
        "fin-wait-1",
        "fin-wait-2",
        "time-wait",
        "close",
        "close-wait",
        "last-ack",
        "listen",
        "closing",
    ];

    /// The name of the state, or its number if it is not in [`NAMES`](Self::NAMES).
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        let index = usize::from(self.0).checked_sub(1);
        match index.and_then(|index| Self::NAMES.get(index)) {
            Some(&name) => name.into(),
            None => self.0.to_string().into(),
        }
    }

    /// Reads the name of a state. The names that `ss` uses are accepted, too.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase().replace('_', "-");
        let name = match text.as_str() {
            "estab" => "established",
            "unconn" | "unconnected" | "closed" => "close",
            "listening" => "listen",
            other => other,
        };
        let index = Self::NAMES.iter().position(|&known| known == name)?;
        Some(Self(u8::try_from(index + 1).ok()?))
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'d> Deserialize<'d> for State {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<'d, str>::deserialize(deserializer)?;
        let state = Self::named(&name).or_else(|| name.parse().ok().map(Self));
        state.ok_or_else(|| D::Error::custom(format!("unknown state '{name}'")))
    }
}

/// A set of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateSet(u32);

impl StateSet {
    /// Every state.
    pub const ALL: Self = Self(u32::MAX);

    /// Whether a state is in this set.
    #[must_use]
    pub fn contains(self, state: State) -> bool {
        1_u32
            .checked_shl(state.0.into())
            .is_some_and(|bit| self.0 & bit != 0)
    }

    /// Whether every state that has a name is in this set.
    pub(crate) fn has_all(self) -> bool {
        (1..)
            .zip(State::NAMES)
            .all(|(number, _)| self.contains(State(number)))
    }

    /// The set as the bit mask of a request.
    ///
    /// A TCP socket that is bound, but neither listens nor is connected, is in [`State::CLOSE`].
    /// But the kernel has another bit for such a socket (`TCPF_BOUND_INACTIVE`).
    pub(crate) fn bits(self) -> u32 {
        const BOUND_INACTIVE: u32 = 1 << 13;
        if self.contains(State::CLOSE) {
            self.0 | BOUND_INACTIVE
        } else {
            self.0
        }
    }
}

impl FromIterator<State> for StateSet {
    fn from_iter<I: IntoIterator<Item = State>>(states: I) -> Self {
        let bits = states.into_iter().map(|state| 1 << state.0);
        Self(bits.fold(0, |set, bit: u32| set | bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for number in 1..=11 {
            let state = State(number);
            assert_eq!(State::named(&state.name()), Some(state));
        }
        assert_eq!(State::named("LISTENING"), Some(State::LISTEN));
        assert_eq!(State::named("TIME_WAIT"), Some(State(6)));
        assert_eq!(State::named("open"), None);
        assert_eq!(
            (State(0).name(), State(99).name()),
            ("0".into(), "99".into())
        );
    }

    #[test]
    fn sets_have_what_was_put_in_and_numbers_beyond_are_in_none() {
        let set: StateSet = [State::LISTEN, State::CLOSE].into_iter().collect();
        assert!(set.contains(State::LISTEN) && set.contains(State::CLOSE));
        assert!(!set.contains(State::ESTABLISHED) && !set.contains(State(255)));
        assert_eq!(set.bits(), (1 << 7) | (1 << 10) | (1 << 13));
        assert!(!set.has_all() && StateSet::ALL.has_all());
        assert_eq!(
            [State::LISTEN].into_iter().collect::<StateSet>().bits(),
            1 << 10
        );
    }
}
