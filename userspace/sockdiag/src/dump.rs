// SPDX-License-Identifier: MIT OR Apache-2.0

//! Listing sockets.

use std::collections::HashSet;
use std::fmt;

use knetlink::Answer;
use knetlink::Error;
use knetlink::KernelSocket;
use knetlink::Malformed;
use knetlink::RECEIVE_LEN;
use knetlink::Result;
use knetlink::Status;
use linux_names::Family;
use linux_names::module;
use netlink_packet_core::NLM_F_DUMP;
use nix::errno::Errno;

use crate::filter::Filter;
use crate::inet;
use crate::kind::Kind;
use crate::netlink;
use crate::packet;
use crate::ping;
use crate::socket::Details;
use crate::socket::Socket;
use crate::unix;
use crate::wire::NETLINK_SOCK_DIAG;
use crate::wire::SOCK_DIAG_BY_FAMILY;

/// One request for sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The kind of sockets.
    pub kind: Kind,
    /// The family of the sockets, if sockets of this kind have IP addresses. Such a kind needs a
    /// request for each family.
    pub(crate) family: Option<Family>,
}

impl Query {
    /// The requests that find all sockets of a filter. A filter may need a request for each kind
    /// and family.
    pub fn all(filter: &Filter) -> impl Iterator<Item = Self> {
        filter.kinds().flat_map(|kind| {
            let families: &[_] = if kind.is_ip() {
                &Family::ALL.map(Some)
            } else {
                &[None]
            };
            let allowed = families
                .iter()
                .filter(|family| family.is_none_or(|f| filter.allows(f)));
            allowed
                .map(move |&family| Self { kind, family })
                .collect::<Vec<_>>()
        })
    }

    pub(crate) fn request(self, filter: &Filter) -> Vec<u8> {
        let states = filter.states().bits();
        match (self.kind, self.family) {
            (Kind::Unix, _) => unix::dump(states),
            (Kind::Netlink, _) => netlink::dump(),
            (Kind::Packet, _) => packet::dump(),
            (kind, family) => {
                let family = family.unwrap_or(Family::Ipv4);
                inet::dump(family, kind, states, &filter.bytecode())
            }
        }
    }

    /// Decodes the payload of an answer.
    pub fn parse(self, payload: &[u8]) -> Result<Socket, Malformed> {
        match self.kind {
            Kind::Unix => unix::parse(payload),
            Kind::Netlink => netlink::parse(payload),
            Kind::Packet => packet::parse(payload),
            kind => inet::parse(kind, payload),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Some(Family::Ipv4) => "IPv4 ",
            Some(Family::Ipv6) => "IPv6 ",
            None => "",
        };
        write!(f, "list {family}{} sockets", self.kind.name())
    }
}

/// A list of sockets, which the kernel makes part by part.
pub struct Dump<'f> {
    query: Query,
    filter: &'f Filter,
    source: Source,
    /// The protocol and the portid of each netlink socket that was listed so far.
    addresses: HashSet<(u8, u32)>,
}

/// The source of the next part of a list.
enum Source {
    /// A dump of the kernel.
    Kernel(Box<Reading>),
    /// All sockets of a table in `/proc`, as one part.
    Table(Result<Vec<Socket>>),
    Ended,
}

struct Reading {
    socket: KernelSocket,
    answer: Answer,
    buffer: Vec<u8>,
    ended: bool,
}

impl<'f> Dump<'f> {
    /// Requests the sockets of the current network namespace. Sockets that do not match the filter
    /// are left out.
    pub fn begin(query: Query, filter: &'f Filter) -> Result<Self> {
        let source = if let (Kind::Icmp, Some(family)) = (query.kind, query.family) {
            Source::Table(ping::sockets(family))
        } else {
            let mut socket = KernelSocket::open(NETLINK_SOCK_DIAG)?;
            let request = query.request(filter);
            let sequence = socket.request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request)?;
            Source::Kernel(Box::new(Reading {
                socket,
                answer: Answer::new(SOCK_DIAG_BY_FAMILY, sequence),
                buffer: vec![0; RECEIVE_LEN],
                ended: false,
            }))
        };
        Ok(Self {
            query,
            filter,
            source,
            addresses: HashSet::new(),
        })
    }
}

/// Returns the parts of the list. A part may have no sockets. After an error there are no more
/// parts.
///
/// If sockets changed during the dump, the list may be inconsistent. Then the list ends with
/// [`Error::Interrupted`].
impl Iterator for Dump<'_> {
    type Item = Result<Vec<Socket>>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = match std::mem::replace(&mut self.source, Source::Ended) {
            Source::Kernel(mut reading) => {
                let part = reading.next(self.query);
                self.source = match part {
                    Ok(_) if !reading.ended => Source::Kernel(reading),
                    Ok(_) if self.query.kind == Kind::Netlink => {
                        Source::Table(netlink::addressed())
                    }
                    _ => Source::Ended,
                };
                part
            }
            Source::Table(sockets) => sockets,
            Source::Ended => return None,
        };
        Some(part.map(|mut sockets| {
            sockets.retain(|socket| self.is_new(socket) && self.filter.holds(socket));
            sockets
        }))
    }
}

impl Dump<'_> {
    /// Whether the socket was not listed before. A netlink socket with a portid may be listed up to
    /// three times: the kernel's dump lists it by its portid and by its groups, and the table in
    /// `/proc` lists it, too.
    fn is_new(&mut self, socket: &Socket) -> bool {
        match &socket.details {
            Details::Netlink(netlink) if netlink.kernel || netlink.portid != 0 => {
                let address = (netlink.protocol, netlink.portid);
                self.addresses.insert(address)
            }
            _ => true,
        }
    }
}

impl Reading {
    fn next(&mut self, query: Query) -> Result<Vec<Socket>> {
        // The kernel continues a dump when the program reads from the socket.
        let received = self.socket.receive(&mut self.buffer);
        let received = received.map_err(|error| match error {
            // The socket has room for the answer to one request. So this overrun means that the
            // kernel had no memory to make the answer.
            Error::Overrun { .. } => {
                let failed = linux_names::Error::new(query.to_string(), Errno::ENOBUFS);
                out_of_memory(failed.into())
            }
            error => error,
        });
        let Some(datagram) = received? else {
            return Err(Malformed("a dump without an end").into());
        };
        let mut sockets = Vec::new();
        let end = self.answer.read(datagram, |message| {
            if message.kind == SOCK_DIAG_BY_FAMILY {
                sockets.push(query.parse(message.payload)?);
            }
            Ok(())
        });
        let end = end.map_err(|error| match error {
            Error::Interrupted { .. } => Error::Interrupted {
                operation: query.to_string(),
            },
            error => error,
        })?;
        if let Some(status) = end {
            self.ended = true;
            check(query, status)?;
        }
        Ok(sockets)
    }
}

fn check(query: Query, status: Status) -> Result<()> {
    let Some(errno) = status.errno else {
        return Ok(());
    };
    let refused = Error::Refused {
        operation: query.to_string(),
        status,
        fix: None,
    };
    Err(match errno {
        Errno::ENOENT => {
            let (module, option) = query.kind.provider();
            match module::remedy(module, option) {
                Some(remedy) => {
                    refused.with_fix(format!("this kernel does not list these sockets: {remedy}"))
                }
                None => refused,
            }
        }
        Errno::ENOMEM => out_of_memory(refused),
        _ => refused,
    })
}

fn out_of_memory(error: Error) -> Error {
    error.with_fix("the kernel is short of memory: try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(terms: &[&str]) -> Filter {
        Filter::new(terms.iter().map(|term| term.parse().unwrap())).unwrap()
    }

    fn refused(errno: Errno) -> Error {
        let status = Status {
            errno: Some(errno),
            request: SOCK_DIAG_BY_FAMILY,
            text: None,
            offset: None,
        };
        let query = Query {
            kind: Kind::Raw,
            family: Some(Family::Ipv6),
        };
        check(query, status).unwrap_err()
    }

    #[test]
    fn what_is_needed_is_asked_for_and_nothing_else() {
        let asked = |terms| {
            Query::all(&filter(terms))
                .map(|query| query.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(asked(&[]).len(), 11);
        assert_eq!(asked(&["tcp", "family=ipv6"]), ["list IPv6 tcp sockets"]);
        assert_eq!(asked(&["packet"]), ["list packet sockets"]);
        assert_eq!(asked(&["unix", "inode=1"]), ["list unix sockets"]);
    }

    #[test]
    fn kernel_is_told_what_it_understands() {
        let request = |terms| {
            let filter = filter(terms);
            let query = Query::all(&filter).next().unwrap();
            query.request(&filter)
        };
        let all = request(&["tcp"]);
        assert_eq!((all.len(), &all[4..8]), (56, &[0xff; 4][..]));
        let some = request(&["tcp", "state=listen", "port=80", "inode=7"]);
        assert_eq!(some[4..8], (1_u32 << 10).to_ne_bytes());
        let program = knetlink::attr::Attributes::new(&some[56..]);
        let program = program.map(|attribute| attribute.unwrap().kind);
        assert_eq!(program.collect::<Vec<_>>(), [1]);
        assert_eq!(
            request(&["unix", "state=close"])[4..8],
            ((1_u32 << 7) | (1 << 13)).to_ne_bytes()
        );
    }

    #[test]
    fn missing_family_says_what_has_it() {
        let refusal = "list IPv6 raw sockets: ENOENT: No such file or directory";
        let remedy = module::remedy("raw_diag", "CONFIG_INET_RAW_DIAG");
        let remedy = remedy.map(|it| format!("; this kernel does not list these sockets: {it}"));
        assert_eq!(
            refused(Errno::ENOENT).to_string(),
            refusal.to_owned() + &remedy.unwrap_or_default()
        );
        assert!(refused(Errno::ENOMEM).to_string().ends_with("try again"));
    }

    #[test]
    fn ping_sockets_need_no_netlink() {
        let filter = filter(&["icmp"]);
        for query in Query::all(&filter) {
            let mut dump = Dump::begin(query, &filter).unwrap();
            assert!(dump.next().unwrap().is_ok());
            assert!(dump.next().is_none());
        }
    }
}
