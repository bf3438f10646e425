// SPDX-License-Identifier: GPL-2.0

//! The events of a network namespace.

use std::fmt;
use std::str::FromStr;

use knetlink::Malformed;
use knetlink::Message;
use knetlink::attr::Attributes;

use super::config::Config;
use crate::protocol;

/// An event. The kernel sends it to all sockets that joined the group of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The configuration was changed. The value is the new configuration.
    Config(Config),
    /// A network namespace was deleted. Only listeners in the initial network namespace receive
    /// this event.
    NetnsGone {
        /// The number of this event.
        number: u32,
        /// The cookie that `SO_NETNS_COOKIE` returned in the deleted namespace.
        cookie: u64,
    },
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// [`Event::Config`].
    Config,
    /// [`Event::NetnsGone`].
    Netns,
}

/// The text is not a kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {} or {}", EventKind::Config, EventKind::Netns)]
pub struct ParseEventKindError;

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Config, Self::Netns];

    /// The message type of events of this kind.
    #[must_use]
    pub fn message_kind(self) -> u16 {
        match self {
            Self::Config => protocol::MSG_CONFIG_NTF,
            Self::Netns => protocol::MSG_NETNS_NTF,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Netns => "netns",
        })
    }
}

impl FromStr for EventKind {
    type Err = ParseEventKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |kind: &Self| kind.to_string() == text;
        Self::ALL.into_iter().find(named).ok_or(ParseEventKindError)
    }
}

impl Event {
    /// Decodes a message. Returns `None` if the message is not an event, or is an event that this
    /// crate does not know.
    pub fn parse(message: &Message<'_>) -> Result<Option<Self>, Malformed> {
        match message.kind {
            protocol::MSG_CONFIG_NTF => Config::parse(message.payload).map(Self::Config).map(Some),
            protocol::MSG_NETNS_NTF => Self::parse_netns(message.payload).map(Some),
            _ => Ok(None),
        }
    }

    fn parse_netns(payload: &[u8]) -> Result<Self, Malformed> {
        let (mut cookie, mut number) = (None, None);
        for attribute in Attributes::new(payload) {
            let attribute = attribute?;
            match attribute.kind {
                protocol::NETNS_A_COOKIE => {
                    cookie = Some(u64::from_ne_bytes(*attribute.prefix()?));
                }
                protocol::NETNS_A_EVENT => number = Some(attribute.host32()?),
                _ => {}
            }
        }
        match (cookie, number) {
            (Some(cookie), Some(number)) => Ok(Self::NetnsGone { number, cookie }),
            _ => Err(Malformed(
                "network namespace event without some of its attributes",
            )),
        }
    }

    /// The number of this event. Numbers rise by one, and start again at 0 after the largest.
    #[must_use]
    pub fn number(&self) -> u32 {
        match self {
            Self::Config(config) => config.event,
            Self::NetnsGone { number, .. } => *number,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use knetlink::attr;
    use proptest::prelude::*;

    use super::super::config::tests::defaults;
    use super::super::config::tests::encode;
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Message<'_> {
        Message {
            kind,
            flags: 0,
            sequence: 0,
            portid: 0,
            payload,
        }
    }

    fn netns(cookie: u64, number: u32) -> Vec<u8> {
        let mut payload = Vec::new();
        attr::append(&mut payload, protocol::NETNS_A_COOKIE, cookie.to_ne_bytes());
        attr::append(&mut payload, protocol::NETNS_A_EVENT, number.to_ne_bytes());
        payload
    }

    #[test]
    fn events_are_decoded_with_their_numbers() {
        let payload = encode(&defaults(41));
        let event = Event::parse(&message(protocol::MSG_CONFIG_NTF, &payload));
        let event = event.unwrap().unwrap();
        assert_eq!((event, event.number()), (Event::Config(defaults(41)), 41));

        let payload = netns(4097, 42);
        let event = Event::parse(&message(protocol::MSG_NETNS_NTF, &payload));
        let event = event.unwrap().unwrap();
        let expected = Event::NetnsGone {
            number: 42,
            cookie: 4097,
        };
        assert_eq!((event, event.number()), (expected, 42));
    }

    #[test]
    fn truncated_events_are_errors_and_other_messages_none() {
        let payload = netns(1, 2);
        for length in 0..payload.len() {
            let cut = message(protocol::MSG_NETNS_NTF, &payload[..length]);
            assert!(Event::parse(&cut).is_err(), "{length}");
        }
        assert_eq!(Event::parse(&message(99, &payload)).unwrap(), None);
    }

    #[test]
    fn kinds_are_named() {
        for kind in EventKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "Config".parse::<EventKind>().unwrap_err();
        assert_eq!(error.to_string(), "expected config or netns");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            kind in 15..26_u16,
        ) {
            let _ = Event::parse(&message(kind, &bytes));
        }
    }
}
