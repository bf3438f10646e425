// SPDX-License-Identifier: GPL-2.0

//! Changes of a packet's content, and the text form of these changes.

use std::fmt;
use std::str::FromStr;

use linux_names::number::number;
use nfnetlink_queue::Edit;
use nfnetlink_queue::Packet;
use nfnetlink_queue::Rewritten;
use nfnetlink_queue::Unwritable;

use crate::hex;
use crate::hex::Hex;

/// A change of one part of a packet. The text forms are `ttl=N`, `payload=TEXT` and
/// `payload=hex:DIGITS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The time to live of IPv4, the hop limit of IPv6.
    Ttl(u8),
    /// The data of echo requests, echo replies and UDP packets.
    Payload(Vec<u8>),
}

impl Replacement {
    /// Makes all changes in `all` to a packet.
    pub fn apply(all: &[Self], packet: &Packet<'_>) -> Result<Rewritten, Unwritable> {
        let mut edit = Edit::new(packet)?;
        for replacement in all {
            match replacement {
                Self::Ttl(ttl) => edit.set_ttl(*ttl)?,
                Self::Payload(data) => edit.set_data(data)?,
            }
        }
        edit.finish()
    }
}

impl fmt::Display for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ttl(ttl) => write!(f, "ttl={ttl}"),
            Self::Payload(data) => write!(f, "payload=hex:{}", Hex(data)),
        }
    }
}

/// The text is not a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected ttl=N with N from 1 to 255, payload=TEXT or payload=hex: with an even number of \
     hexadecimal digits"
)]
pub struct ParseReplacementError;

impl FromStr for Replacement {
    type Err = ParseReplacementError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let replacement = match text.split_once('=') {
            Some(("ttl", ttl)) => number(ttl).filter(|&ttl| ttl > 0).map(Self::Ttl),
            Some(("payload", data)) => match data.strip_prefix("hex:") {
                Some(digits) => hex::bytes(digits).map(Self::Payload),
                None => Some(Self::Payload(data.into())),
            },
            _ => None,
        };
        replacement.ok_or(ParseReplacementError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::ping;
    use crate::packets::queued;

    #[test]
    fn text_forms_are_read_and_written() {
        for (text, expected) in [
            ("ttl=7", Replacement::Ttl(7)),
            ("ttl=0x40", Replacement::Ttl(64)),
            ("payload=", Replacement::Payload(Vec::new())),
            ("payload=a=b", Replacement::Payload(b"a=b".to_vec())),
            ("payload=hex:00fF", Replacement::Payload(vec![0, 255])),
        ] {
            let replacement: Replacement = text.parse().unwrap();
            assert_eq!(replacement, expected);
            assert_eq!(replacement.to_string().parse(), Ok(expected));
        }
        for text in [
            "",
            "ttl",
            "ttl=",
            "ttl=0",
            "ttl=256",
            "ttl=+7",
            "payload=hex:0",
            "payload=hex:+1",
            "tos=1",
        ] {
            assert_eq!(
                text.parse::<Replacement>(),
                Err(ParseReplacementError),
                "{text}"
            );
        }
    }

    #[test]
    fn all_are_applied() {
        let bytes = ping(56);
        let all = [Replacement::Ttl(9), Replacement::Payload(b"other".to_vec())];
        let packet = queued(&bytes);
        let new = Replacement::apply(&all, &packet).unwrap();
        assert_eq!((new.content()[8], &new.content()[28..]), (9, &b"other"[..]));
    }
}
