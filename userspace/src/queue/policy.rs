// SPDX-License-Identifier: GPL-2.0

//! The rules by which packets are accepted or dropped.

use std::fmt;
use std::str::FromStr;

use super::summary::Summary;
use super::verdict::Decision;

/// A rule that has a verdict for every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Accept every packet.
    Accept,
    /// Drop every packet.
    Drop,
    /// The rule of the old demo: accept echo requests with exactly so many data bytes, drop
    /// everything else: other echo requests, echo replies, fragments, what cannot be parsed.
    EchoSize(u16),
}

impl Policy {
    /// The verdict on a packet; `None` stands for one that could not be parsed.
    #[must_use]
    pub fn decide(self, packet: Option<&Summary>) -> Decision {
        let accept = match self {
            Self::Accept => true,
            Self::Drop => false,
            Self::EchoSize(size) => packet.and_then(|packet| packet.icmp).is_some_and(|icmp| {
                icmp.is_echo_request() && icmp.data_length == usize::from(size)
            }),
        };
        if accept {
            Decision::ACCEPT
        } else {
            Decision::DROP
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::EchoSize(size) => write!(f, "echo-size={size}"),
        }
    }
}

/// The text is not a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a policy is one of: accept, drop, echo-size=N with N from 0 to 65535")]
pub struct ParsePolicyError;

impl FromStr for Policy {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("echo-size=")) {
            ("accept", _) => Ok(Self::Accept),
            ("drop", _) => Ok(Self::Drop),
            (_, Some(size)) => size
                .parse()
                .map(Self::EchoSize)
                .map_err(|_| ParsePolicyError),
            _ => Err(ParsePolicyError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::ping;
    use super::super::summary::tests::ping6;
    use super::super::summary::tests::queued;
    use super::*;

    fn verdict(policy: &str, bytes: &[u8]) -> Decision {
        let policy: Policy = policy.parse().unwrap();
        policy.decide(Summary::parse(&queued(bytes)).as_ref())
    }

    #[test]
    fn echo_size_accepts_requests_of_that_size_only() {
        assert_eq!(verdict("echo-size=32", &ping(32)), Decision::ACCEPT);
        assert_eq!(verdict("echo-size=32", &ping6(32)), Decision::ACCEPT);
        assert_eq!(verdict("echo-size=0", &ping(0)), Decision::ACCEPT);
        for other in [0, 24, 31, 33, 40, 56] {
            assert_eq!(verdict("echo-size=32", &ping(other)), Decision::DROP);
        }
    }

    #[test]
    fn echo_size_drops_everything_else() {
        let mut reply = ping(32);
        reply[20] = 0;
        let mut udp = ping(32);
        udp[9] = 17;
        let mut fragment = ping(32);
        fragment[6] = 0x20;
        for bytes in [&reply[..], &udp, &fragment, &[0x45; 10], &[]] {
            assert_eq!(verdict("echo-size=32", bytes), Decision::DROP);
        }
    }

    #[test]
    fn accept_and_drop_do_not_look() {
        for bytes in [&ping(56)[..], &[]] {
            assert_eq!(verdict("accept", bytes), Decision::ACCEPT);
            assert_eq!(verdict("drop", bytes), Decision::DROP);
        }
    }

    #[test]
    fn text_forms_are_read_and_written() {
        for text in ["accept", "drop", "echo-size=0", "echo-size=65535"] {
            assert_eq!(text.parse::<Policy>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "Accept",
            "echo-size",
            "echo-size=",
            "echo-size=-1",
            "echo-size=65536",
        ] {
            assert_eq!(text.parse::<Policy>(), Err(ParsePolicyError), "{text}");
        }
    }
}
