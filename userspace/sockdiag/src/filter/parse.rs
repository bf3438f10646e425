// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parses the text form of a term.

use std::collections::HashSet;
use std::str::FromStr;

use linux_names::Family;
use linux_names::number::number;
use linux_names::similar::DidYouMean;
use linux_names::similar::similar;

use super::condition::Condition;
use super::condition::Which;
use crate::kind::Kind;
use crate::state::State;

/// One term of a filter: the name of a kind, or `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term(pub(super) Parsed);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Kind(Kind),
    Condition(Condition),
}

/// The keys, each with a description of its values.
const KEYS: [(&str, &str); 12] = [
    ("family", "ipv4 and ipv6"),
    ("state", "names of states"),
    ("local", PLACES),
    ("remote", PLACES),
    ("address", PLACES),
    ("local-port", PORTS),
    ("remote-port", PORTS),
    ("port", PORTS),
    ("inode", "numbers from 0 to 4294967295"),
    ("cookie", "numbers from 0 to 18446744073709551614"),
    ("protocol", "numbers from 0 to 65535"),
    ("process", "numbers and names of processes"),
];

const PLACES: &str = "ADDRESS, ADDRESS/LENGTH and ADDRESS%INTERFACE, optionally with :PORT or \
                      :PORT-PORT (then an IPv6 address needs brackets), * for any address";
const PORTS: &str = "ports and ranges of ports, from 0 to 65535";

/// The reason why a text is not a [`Term`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseTermError {
    /// A word that is not the name of a kind.
    #[error(
        "unknown kind '{word}'{}; the kinds are: {}; conditions are KEY=VALUE",
        DidYouMean(*.similar),
        Kind::ALL.map(Kind::name).join(", ")
    )]
    UnknownKind {
        /// The word.
        word: String,
        /// A kind with a similar name, if there is one.
        similar: Option<&'static str>,
    },
    /// There is no such key.
    #[error(
        "unknown key '{key}'{}; the keys are: {}",
        DidYouMean(*.similar),
        KEYS.map(|(key, _)| key).join(", ")
    )]
    UnknownKey {
        /// The key.
        key: String,
        /// A key with a similar name, if there is one.
        similar: Option<&'static str>,
    },
    /// A value that the key does not accept.
    #[error("'{value}' is no value of {key}; allowed are {allowed}, with commas between them")]
    InvalidValue {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// The values that the key accepts.
        allowed: String,
    },
}

impl FromStr for Term {
    type Err = ParseTermError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, value)) = text.split_once('=') else {
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == text);
            let kind = kind.ok_or_else(|| ParseTermError::UnknownKind {
                word: text.to_owned(),
                similar: similar(text, Kind::ALL.map(Kind::name)),
            })?;
            return Ok(Self(Parsed::Kind(kind)));
        };
        let Some(&(key, allowed)) = KEYS.iter().find(|(key, _)| *key == name) else {
            return Err(ParseTermError::UnknownKey {
                key: name.to_owned(),
                similar: similar(name, KEYS.map(|(key, _)| key)),
            });
        };
        condition(key, value)
            .map(|condition| Self(Parsed::Condition(condition)))
            .map_err(|value| ParseTermError::InvalidValue {
                key,
                value: value.to_owned(),
                allowed: match key {
                    "state" => State::NAMES.join(", "),
                    _ => allowed.to_owned(),
                },
            })
    }
}

/// Reads the value of a key. If an alternative in the value is wrong, the error is this
/// alternative.
fn condition<'a>(key: &str, value: &'a str) -> Result<Condition, &'a str> {
    Ok(match key {
        "family" => Condition::Family(all(value, Family::named)?),
        "state" => Condition::State(all(value, State::named)?.into_iter().collect()),
        "local" => Condition::Place(Which::Local, all(value, parsed)?),
        "remote" => Condition::Place(Which::Remote, all(value, parsed)?),
        "address" => Condition::Place(Which::Either, all(value, parsed)?),
        "local-port" => Condition::Port(Which::Local, all(value, parsed)?),
        "remote-port" => Condition::Port(Which::Remote, all(value, parsed)?),
        "port" => Condition::Port(Which::Either, all(value, parsed)?),
        "inode" => Condition::Inode(all(value, number)?),
        // The highest number is not the cookie of any socket. In a request it means any socket.
        "cookie" => Condition::Cookie(all(value, |text| {
            number(text).filter(|&cookie| cookie != u64::MAX)
        })?),
        "protocol" => Condition::Protocol(all(value, number)?),
        _ => Condition::Process {
            names: all(value, |name| (!name.is_empty()).then(|| name.to_owned()))?,
            inodes: HashSet::new(),
        },
    })
}

/// Parses values that are separated by commas.
fn all<'a, T>(value: &'a str, one: impl Fn(&'a str) -> Option<T>) -> Result<Vec<T>, &'a str> {
    value.split(',').map(|text| one(text).ok_or(text)).collect()
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_terms_are_told_with_what_is_right() {
        for (text, words) in [
            (
                "",
                &[
                    "unknown kind ''",
                    "tcp, udp, raw, icmp, unix, netlink, packet",
                ][..],
            ),
            (
                "netlnk",
                &[
                    "unknown kind 'netlnk', did you mean 'netlink'?",
                    "KEY=VALUE",
                ],
            ),
            (
                "prot=1",
                &[
                    "unknown key 'prot', did you mean 'port'?",
                    "local-port, remote-port",
                ],
            ),
            (
                "state=open",
                &["'open' is no value of state", "established, syn-sent"],
            ),
            ("state=", &["'' is no value of state"]),
            ("state=listen,", &["'' is no value of state"]),
            (
                "port=http",
                &["'http' is no value of port", "ranges of ports"],
            ),
            ("port=80,65536", &["'65536' is no value of port"]),
            ("port=90-80", &["'90-80' is no value of port"]),
            ("port=+80", &["'+80' is no value of port"]),
            ("port=-1", &["'-1' is no value of port"]),
            ("local=10.0.0.0/33", &["'10.0.0.0/33' is no value of local"]),
            ("local=10.0.0.0/", &["no value of local"]),
            ("local=10.0.0.1:", &["no value of local"]),
            ("local=10.0.0.1:http", &["no value of local"]),
            ("local=[::1", &["no value of local"]),
            ("local=[::1]x", &["no value of local"]),
            ("local=[::1]80", &["'[::1]80' is no value of local"]),
            ("local=10.0.0.0/+8", &["no value of local"]),
            ("local=*%:80", &["no value of local"]),
            ("local=::1/129", &["no value of local"]),
            ("local=fe80::1%", &["no value of local"]),
            ("local=*/8", &["no value of local"]),
            ("local=localhost", &["ADDRESS/LENGTH"]),
            ("inode=4294967296", &["4294967295"]),
            ("inode=-1", &["'-1' is no value of inode"]),
            ("cookie=18446744073709551615", &["no value of cookie"]),
            ("protocol=tcp", &["numbers from 0 to 65535"]),
            ("process=", &["no value of process"]),
            ("family=inet", &["ipv4 and ipv6"]),
        ] {
            let message = text.parse::<Term>().unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "{text}: {message}");
            }
        }
    }
}
