// SPDX-License-Identifier: MIT OR Apache-2.0

//! Filters for sockets.
//!
//! A filter is a list of terms. A term is the name of a kind or `KEY=VALUE`. A socket matches if it
//! is of one of the kinds, and each `KEY=VALUE` is true for it. Values with commas between them are
//! alternatives.
//!
//! ```
//! use sockdiag::{Filter, Term};
//!
//! let terms = ["tcp", "state=listen", "local=10.0.0.0/8:80,[::1]:8080-8089"];
//! let terms = terms.map(|term| term.parse::<Term>().unwrap());
//! let filter = Filter::new(terms).unwrap();
//!
//! let error = "port=http".parse::<Term>().unwrap_err();
//! assert!(error.to_string().starts_with("'http' is no value of port; allowed are ports"));
//! ```

mod condition;
mod parse;
mod place;

use self::condition::Condition;
pub use self::parse::ParseTermError;
pub use self::parse::Term;
use linux_names::Family;
use linux_names::interface::NoInterface;

use crate::bytecode;
use crate::kind::Kind;
use crate::socket::Socket;
use crate::state::StateSet;

/// A filter for sockets. Without terms, it matches all sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The kinds that the terms name, in the order of [`Kind`].
    kinds: Vec<Kind>,
    /// The kinds that are used if the terms name no kind.
    unnamed: &'static [Kind],
    conditions: Vec<Condition>,
}

/// An error about terms that are valid by themselves, but together make no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A key is given twice.
    #[error("{0} is given twice; separate alternatives by commas after a single {0}=")]
    Twice(&'static str),
    /// The terms name a kind, and a condition that no socket of this kind can fulfill.
    #[error("no {0} socket can match: {0} sockets have no {key}", .kind.name())]
    Never {
        /// The kind.
        kind: Kind,
        /// The key that the kind lacks.
        key: &'static str,
    },
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            kinds: Vec::new(),
            unnamed: &Kind::ALL,
            conditions: Vec::new(),
        }
    }
}

impl Filter {
    /// Makes a filter from terms.
    pub fn new(terms: impl IntoIterator<Item = Term>) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for term in terms {
            match term.0 {
                parse::Parsed::Kind(kind) if filter.kinds.contains(&kind) => {}
                parse::Parsed::Kind(kind) => filter.kinds.push(kind),
                parse::Parsed::Condition(condition) => {
                    let key = condition.key();
                    if filter.conditions.iter().any(|other| other.key() == key) {
                        return Err(FilterError::Twice(key));
                    }
                    filter.conditions.push(condition);
                }
            }
        }
        for &kind in &filter.kinds {
            if let Some(condition) = filter.conditions.iter().find(|one| !one.is_for(kind)) {
                let key = condition.key();
                return Err(FilterError::Never { kind, key });
            }
        }
        filter.kinds.sort_unstable();
        Ok(filter)
    }

    /// The same filter, except that it uses the kinds `unnamed` if its terms name no kind.
    #[must_use]
    pub fn or_kinds(self, unnamed: &'static [Kind]) -> Self {
        Self { unnamed, ..self }
    }

    /// Whether the terms name kinds.
    #[must_use]
    pub fn names_kinds(&self) -> bool {
        !self.kinds.is_empty()
    }

    /// Whether the filter may exclude a socket of its kinds, because one of its conditions can be
    /// false.
    #[must_use]
    pub fn chooses(&self) -> bool {
        !self.conditions.iter().all(Condition::always_holds)
    }

    /// Whether a condition is about processes.
    #[must_use]
    pub fn asks_for_processes(&self) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|condition| matches!(condition, Condition::Process { .. }))
    }

    /// The kinds of sockets that can match.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        let conditions = &self.conditions;
        let can_be_meant = |kind: &Kind| conditions.iter().all(|one| one.is_for(*kind));
        self.named().iter().copied().filter(can_be_meant)
    }

    fn named(&self) -> &[Kind] {
        if self.kinds.is_empty() {
            self.unnamed
        } else {
            &self.kinds
        }
    }

    /// Looks up the names in the filter: the interfaces in the current network namespace, and the
    /// sockets of processes. Before this call, a condition with such a name matches no socket.
    pub fn look_up(&mut self) -> Result<(), NoInterface> {
        let mut conditions = self.conditions.iter_mut();
        conditions.try_for_each(Condition::look_up)
    }

    /// Whether a socket matches.
    #[must_use]
    pub fn holds(&self, socket: &Socket) -> bool {
        self.named().contains(&socket.kind) && self.conditions.iter().all(|one| one.holds(socket))
    }

    /// Whether sockets of this IP family can match.
    pub(super) fn allows(&self, family: Family) -> bool {
        self.conditions.iter().all(|condition| match condition {
            Condition::Family(families) => families.contains(&family),
            _ => true,
        })
    }

    /// The states of the sockets that can match.
    pub(super) fn states(&self) -> StateSet {
        let mut conditions = self.conditions.iter();
        let states = conditions.find_map(|condition| match condition {
            Condition::State(states) => Some(*states),
            _ => None,
        });
        states.unwrap_or(StateSet::ALL)
    }

    /// The bytecode program that the kernel runs for each socket with IP addresses. The program
    /// accepts all sockets that match the filter, and may accept other sockets, too.
    pub(super) fn bytecode(&self) -> Vec<u8> {
        let conditions = self.conditions.iter();
        bytecode::assemble(conditions.filter_map(Condition::alternatives))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::socket::Details;
    use crate::socket::Endpoint;
    use crate::socket::Ip;
    use crate::socket::Queues;
    use crate::state::State;

    fn filter(text: &str) -> Filter {
        let terms = text
            .split_ascii_whitespace()
            .map(|term| term.parse::<Term>().unwrap());
        Filter::new(terms).unwrap()
    }

    fn endpoint(text: &str) -> Endpoint {
        let (address, port) = text.rsplit_once(':').unwrap();
        Endpoint {
            address: address.trim_matches(['[', ']']).parse().unwrap(),
            port: port.parse().unwrap(),
        }
    }

    pub(crate) fn socket(kind: Kind, local: Endpoint, remote: Endpoint) -> Socket {
        Socket {
            kind,
            state: State::ESTABLISHED,
            inode: 4711,
            cookie: Some(5),
            uid: Some(0),
            queues: Queues::default(),
            details: Details::Ip(Ip {
                family: match local.address {
                    IpAddr::V4(_) => Family::Ipv4,
                    IpAddr::V6(_) => Family::Ipv6,
                },
                protocol: kind.ip_protocol(),
                local,
                remote,
                ifindex: 1,
                timer: None,
                mark: None,
                v6only: None,
            }),
        }
    }

    fn tcp(local: &str, remote: &str) -> Socket {
        socket(Kind::Tcp, endpoint(local), endpoint(remote))
    }

    #[test]
    fn every_term_holds_where_it_should() {
        let four = tcp("10.0.0.1:80", "10.9.0.2:40000");
        let six = tcp("[fe80::1]:80", "[fe80::2]:40000");
        let mapped = tcp("[::ffff:10.0.0.1]:80", "[::ffff:10.9.0.2]:40000");
        let listening = Socket {
            state: State::LISTEN,
            ..tcp("[::]:22", "[::]:0")
        };
        let all = [&four, &six, &mapped, &listening];
        for (text, expected) in [
            ("", [true; 4]),
            ("tcp", [true; 4]),
            ("udp tcp", [true; 4]),
            ("udp unix", [false; 4]),
            ("family=ipv4", [true, false, false, false]),
            ("family=ipv6,ipv4", [true; 4]),
            ("state=listen,close", [false, false, false, true]),
            ("local=10.0.0.1", [true, false, true, false]),
            ("local=10.0.0.0/24:80", [true, false, true, false]),
            ("local=10.0.0.0/24:81", [false; 4]),
            ("local=0.0.0.0/0", [true, false, true, false]),
            ("local=::ffff:10.0.0.0/120", [false, false, true, false]),
            ("local=fe80::/10", [false, true, false, false]),
            ("local=[fe80::]/10:1-80", [false, true, false, false]),
            ("local=[fe80::1%lo]:80", [false, true, false, false]),
            ("local=fe80::1%1", [false, true, false, false]),
            ("local=*%lo", [true; 4]),
            ("local=*%lo:22", [false, false, false, true]),
            ("local=*%4711:22", [false; 4]),
            ("local=*:22,10.0.0.1:80", [true, false, true, true]),
            ("remote=*:0", [false, false, false, true]),
            ("remote=*:*", [true; 4]),
            ("remote=10.9.0.2:40000", [true, false, true, false]),
            ("address=10.9.0.0/16", [true, false, true, false]),
            ("address=::/0", [false, true, true, true]),
            ("port=80", [true, true, true, false]),
            ("port=40000-65535", [true, true, true, false]),
            ("port=0", [false, false, false, true]),
            ("local-port=1-79", [false, false, false, true]),
            ("remote-port=80", [false; 4]),
            ("inode=1,4711", [true; 4]),
            ("inode=4712", [false; 4]),
            ("cookie=5", [true; 4]),
            ("cookie=18446744073709551614", [false; 4]),
            ("protocol=6", [true; 4]),
            ("protocol=23", [false; 4]),
            (
                "state=established local=*:80 remote=fe80::2",
                [false, true, false, false],
            ),
        ] {
            let mut filter = filter(text);
            filter.look_up().unwrap();
            assert_eq!(all.map(|socket| filter.holds(socket)), expected, "{text}");
        }
    }

    #[test]
    fn conditions_that_cannot_fail_choose_nothing() {
        for (text, expected) in [
            ("", false),
            ("tcp udp", false),
            ("family=ipv6,ipv4", false),
            ("family=ipv6", true),
            ("tcp remote=*", false),
            ("tcp remote=*:*", false),
            ("remote=10.0.0.1,*:0-65535", false),
            ("local=::/0,0.0.0.0/0", false),
            ("remote=*:1-65535", true),
            ("remote=*%lo", true),
            ("remote=10.0.0.0/8", true),
            ("port=0-65535", false),
            ("port=0-65535 family=ipv4,ipv6", false),
            ("port=0-65535 family=ipv4", true),
            ("local-port=0-65534", true),
            (&format!("state={}", State::NAMES.join(",")), false),
            (&format!("state={}", State::NAMES[1..].join(",")), true),
            ("inode=0", true),
            ("cookie=1", true),
            ("protocol=6", true),
            ("process=1", true),
        ] {
            assert_eq!(filter(text).chooses(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_not_asked_for() {
        let kinds = |text: &str| filter(text).kinds().collect::<Vec<_>>();
        assert_eq!(kinds(""), Kind::ALL);
        assert_eq!(kinds("unix tcp unix"), [Kind::Tcp, Kind::Unix]);
        assert_eq!(kinds("port=80"), [Kind::Tcp, Kind::Udp]);
        assert_eq!(
            kinds("local=::1:80"),
            [Kind::Tcp, Kind::Udp, Kind::Raw, Kind::Icmp]
        );
        assert_eq!(kinds("local=[::1]:80"), [Kind::Tcp, Kind::Udp]);
        assert!(!filter("family=ipv6").allows(Family::Ipv4));
        assert_eq!(filter("port=1").states(), StateSet::ALL);
    }

    #[test]
    fn terms_that_exclude_each_other_are_refused() {
        for (text, error) in [
            (
                "port=1 port=2",
                "port is given twice; separate alternatives by commas after a single port=",
            ),
            (
                "unix port=1",
                "no unix socket can match: unix sockets have no port",
            ),
            (
                "tcp packet local=::1",
                "no packet socket can match: packet sockets have no local",
            ),
            (
                "raw local=[::1]:80",
                "no raw socket can match: raw sockets have no local",
            ),
        ] {
            let terms = text.split(' ').map(|term| term.parse::<Term>().unwrap());
            let message = Filter::new(terms).unwrap_err().to_string();
            assert!(message.starts_with(error), "{message}");
        }
    }

    #[test]
    fn device_that_is_not_there_is_named() {
        let error = filter("local=fe80::1%no-such0").look_up().unwrap_err();
        assert!(error.to_string().contains("'no-such0'"), "{error}");
    }

    #[test]
    fn processes_are_known_by_number_and_name() {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::MetadataExt;

        let unix = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let link = format!("/proc/self/fd/{}", unix.as_raw_fd());
        let inode = std::fs::metadata(link).unwrap().ino();
        let ours = Socket {
            inode: inode.try_into().unwrap(),
            ..tcp("10.0.0.1:80", "10.9.0.2:1")
        };
        let pid = std::process::id();
        let mut filter = filter(&format!("process={pid},no-such-process"));
        assert!(filter.asks_for_processes() && !filter.holds(&ours));
        filter.look_up().unwrap();
        assert!(filter.holds(&ours));
    }

    fn any_endpoint(six: bool) -> impl Strategy<Value = Endpoint> {
        // The test uses few different addresses, so that many conditions match a socket.
        let address = (0..3_u8, 0..3_u8).prop_map(move |(net, host)| match (six, net) {
            (false, _) => IpAddr::from([10, 0, net, host]),
            (true, 0) => format!("::ffff:10.0.0.{host}").parse().unwrap(),
            (true, _) => format!("fd00:{net}::{host}").parse().unwrap(),
        });
        (address, 0..4_u16).prop_map(|(address, port)| Endpoint { address, port })
    }

    fn any_socket() -> impl Strategy<Value = Socket> {
        let ends = any::<bool>().prop_flat_map(|six| (any_endpoint(six), any_endpoint(six)));
        let kind = prop::sample::select(vec![Kind::Tcp, Kind::Udp]);
        (kind, ends).prop_map(|(kind, (local, remote))| socket(kind, local, remote))
    }

    fn any_place() -> impl Strategy<Value = String> {
        let address = prop::sample::select(vec![
            "*",
            "10.0.0.1",
            "10.0.0.0/16",
            "0.0.0.0/0",
            "10.0.2.0/23",
            "[::]/0",
            "[fd00:1::]/32",
            "[::ffff:10.0.0.2]",
            "[fd00:2::1]",
            "[fd00::]/13",
        ]);
        let port = prop::sample::select(vec!["", ":*", ":0", ":1", ":1-2", ":2-65535"]);
        (address, port).prop_map(|(address, port)| format!("{address}{port}"))
    }

    fn any_filter() -> impl Strategy<Value = String> {
        let places = || prop::collection::vec(any_place(), 1..4).prop_map(|all| all.join(","));
        let port = || prop::sample::select(vec!["0", "1", "2-3", "0,3", "1-1,2"]);
        let term = |key: &'static str, value: BoxedStrategy<String>| {
            prop::option::of(value.prop_map(move |value| format!("{key}={value}")))
        };
        (
            term("local", places().boxed()),
            term("remote", places().boxed()),
            term("address", places().boxed()),
            term("port", port().prop_map(str::to_owned).boxed()),
            term("local-port", port().prop_map(str::to_owned).boxed()),
            term("remote-port", port().prop_map(str::to_owned).boxed()),
        )
            .prop_map(|(a, b, c, d, e, f)| {
                let terms: Vec<_> = [a, b, c, d, e, f].into_iter().flatten().collect();
                terms.join(" ")
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn kernel_accepts_what_is_meant_and_nothing_else(
            text in any_filter(),
            sockets in prop::collection::vec(any_socket(), 1..20),
        ) {
            let filter = filter(&text);
            let code = filter.bytecode();
            for socket in &sockets {
                let accepted = bytecode::tests::run(&code, socket.ip().unwrap());
                prop_assert_eq!(accepted, filter.holds(socket), "{} {:?}", text, socket);
            }
        }

        #[test]
        fn any_text_is_a_term_or_not(text in "\\PC{0,40}|(local|port|state|inode)=[\\]\\[0-9a-f:.%*/,-]{0,20}") {
            let _ = text.parse::<Term>();
        }
    }
}
