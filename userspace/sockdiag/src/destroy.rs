// SPDX-License-Identifier: MIT OR Apache-2.0

//! Destroying sockets (`SOCK_DESTROY`).

use knetlink::Error;
use knetlink::KernelSocket;
use knetlink::Malformed;
use knetlink::Result;
use knetlink::Status;
use linux_names::Family;
use netlink_packet_core::NLM_F_ACK;
use nix::errno::Errno;
use serde::Deserialize;
use serde::Serialize;

use crate::dump::Dump;
use crate::dump::Query;
use crate::filter::Filter;
use crate::inet;
use crate::inet::Extension;
use crate::inet::SocketId;
use crate::kind::Kind;
use crate::socket::Details;
use crate::socket::Endpoint;
use crate::socket::Socket;
use crate::state::State;
use crate::wire::NETLINK_SOCK_DIAG;
use crate::wire::NO_COOKIE;
use crate::wire::SOCK_DESTROY;
use crate::wire::SOCK_DIAG_BY_FAMILY;

/// A socket that should be destroyed. The cookie makes sure that no other socket is destroyed
/// instead.
///
/// A target can be deserialized from a serialized [`Socket`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Target {
    kind: Kind,
    state: State,
    cookie: Option<u64>,
    #[serde(flatten)]
    place: Option<Place>,
}

/// The number of attempts to get a list that does not change while it is made.
const TRIES: u32 = 5;

/// The addresses, ports and interface by which the kernel finds a socket of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Place {
    family: Family,
    protocol: u8,
    local: Endpoint,
    remote: Endpoint,
    ifindex: u32,
}

/// The fields of a [`Target`] in serialized form. Some kinds of sockets lack some of the fields.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Fields {
    kind: Kind,
    state: State,
    cookie: Option<u64>,
    family: Option<Family>,
    protocol: Option<u16>,
    local: Option<Endpoint>,
    remote: Option<Endpoint>,
    ifindex: Option<u32>,
}

/// The result of an attempt to destroy a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The socket was found and destroyed.
    Destroyed,
    /// The socket was found and destroyed, but it was a subflow of an MPTCP connection. The
    /// connection goes on through its other subflows, or waits for a new subflow.
    SubflowDestroyed,
    /// The socket does not exist any more.
    Gone,
    /// The kernel finds another socket at the addresses of the target. Either it is a new socket,
    /// or several sockets have these addresses. In the second case the target may still exist.
    Replaced,
    /// The socket exists, but the kernel cannot find it ([`Target::is_out_of_reach`]).
    OutOfReach,
}

impl Target {
    /// The kind of the socket.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The two ends of the socket, if it is a socket of IP.
    #[must_use]
    pub fn ends(&self) -> Option<(&Endpoint, &Endpoint)> {
        let place = self.place.as_ref()?;
        Some((&place.local, &place.remote))
    }

    /// Whether the kernel cannot find the socket although it exists. For TCP the kernel only
    /// searches sockets that listen or are connected.
    #[must_use]
    pub fn is_out_of_reach(&self) -> bool {
        self.kind == Kind::Tcp && self.state == State::CLOSE
    }

    fn new(fields: &Fields) -> Option<Self> {
        let place = match *fields {
            _ if !fields.kind.is_ip() => None,
            Fields {
                family: Some(family),
                protocol: Some(protocol),
                local: Some(local),
                remote: Some(remote),
                ifindex: Some(ifindex),
                ..
            } => {
                let ends = [local, remote];
                if ends.iter().any(|end| Family::of(end.address) != family) {
                    return None;
                }
                Some(Place {
                    family,
                    protocol: protocol.try_into().ok()?,
                    local,
                    remote,
                    ifindex,
                })
            }
            _ => return None,
        };
        // In a request, the number `NO_COOKIE` means any socket that the kernel finds. So this
        // number is no valid cookie.
        let cookie = fields.cookie.filter(|&cookie| cookie != NO_COOKIE);
        if fields.kind.can_be_destroyed() && cookie.is_none() {
            return None;
        }
        Some(Self {
            kind: fields.kind,
            state: fields.state,
            cookie,
            place,
        })
    }
}

impl TryFrom<Fields> for Target {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        Self::new(&fields).ok_or("the socket's addresses or its cookie are missing or invalid")
    }
}

impl From<&Socket> for Target {
    fn from(socket: &Socket) -> Self {
        let place = match &socket.details {
            Details::Ip(ip) => Some(Place {
                family: ip.family,
                protocol: ip.protocol,
                local: ip.local,
                remote: ip.remote,
                ifindex: ip.ifindex,
            }),
            _ => None,
        };
        Self {
            kind: socket.kind,
            state: socket.state,
            cookie: socket.cookie,
            place,
        }
    }
}

/// Destroys sockets of the network namespace in which this value was opened.
pub struct Destroyer {
    socket: KernelSocket,
}

impl Destroyer {
    /// Opens a socket to the kernel. This needs no privilege.
    pub fn open() -> Result<Self> {
        let socket = KernelSocket::open(NETLINK_SOCK_DIAG)?;
        Ok(Self { socket })
    }

    /// Destroys a socket. This needs `CAP_NET_ADMIN` in the user namespace that owns the network
    /// namespace.
    ///
    /// A program that reads from the socket gets `ECONNABORTED`, and the other end of a connection
    /// gets a reset. Other sockets at the same addresses have other cookies, so they stay. For raw
    /// sockets the kernel does not check the cookie. So this function first asks the kernel which
    /// raw socket it would choose.
    pub fn destroy(&mut self, target: &Target) -> Result<Fate> {
        let (Some(cookie), Some(place)) = (target.cookie, &target.place) else {
            return Err(self.refusal(target.kind)?);
        };
        if target.kind == Kind::Raw {
            let found = self.find(target.kind, place)?;
            if found
                .as_ref()
                .is_none_or(|found| found.cookie != target.cookie)
            {
                return fate_of_another(target, place, found.as_ref());
            }
        }
        let operation = operation(target.kind);
        let id = place.id(cookie);
        // After the socket is destroyed, the kernel no longer tells whether it was a subflow.
        let is_subflow = target.kind == Kind::Tcp && self.is_subflow(place, &id)?;
        let none = Extension::None;
        let request = inet::request(place.family, target.kind, place.protocol, none, 0, &id);
        let status = self.ask(&operation, SOCK_DESTROY, &request, &mut None)?;
        match status.errno {
            None if is_subflow => Ok(Fate::SubflowDestroyed),
            None => Ok(Fate::Destroyed),
            // The kernel finds no socket, or finds another socket.
            Some(Errno::ENOENT | Errno::ESTALE) => {
                if target.is_out_of_reach() {
                    return Ok(Fate::OutOfReach);
                }
                let found = self.find(target.kind, place)?;
                fate_of_another(target, place, found.as_ref())
            }
            Some(_) => Err(refused(operation, target.kind, status)),
        }
    }

    /// Checks that the kernel can destroy sockets of a kind. If the kernel cannot, this function
    /// returns the kernel's error.
    pub fn check(&mut self, kind: Kind) -> Result<()> {
        if kind.can_be_destroyed() {
            return Ok(());
        }
        Err(self.refusal(kind)?)
    }

    /// The error for a kind of sockets that the kernel never destroys. This is the kernel's answer
    /// to a request to destroy an unspecified socket of this kind.
    fn refusal(&mut self, kind: Kind) -> Result<Error> {
        let operation = operation(kind);
        let family = None;
        let request = Query { kind, family }.request(&Filter::default());
        let status = self.ask(&operation, SOCK_DESTROY, &request, &mut None)?;
        Ok(refused(operation, kind, status))
    }

    /// Whether a TCP socket is a subflow of MPTCP. False if the socket does not exist.
    fn is_subflow(&mut self, place: &Place, id: &SocketId) -> Result<bool> {
        let info = Extension::Info;
        let request = inet::request(place.family, Kind::Tcp, place.protocol, info, 0, id);
        let mut found = None;
        self.ask(
            "look up tcp socket",
            SOCK_DIAG_BY_FAMILY,
            &request,
            &mut found,
        )?;
        Ok(found.is_some_and(|found| inet::is_mptcp_subflow(&found) == Ok(true)))
    }

    /// The socket that the kernel finds at a place. `None` if the kernel finds no socket.
    fn find(&mut self, kind: Kind, place: &Place) -> Result<Option<Target>> {
        let mut id = place.id(NO_COOKIE);
        if kind == Kind::Udp {
            // In a request to look up a UDP socket, the kernel expects source and destination in
            // the opposite order. In a request to destroy a UDP socket, the order is as usual.
            std::mem::swap(&mut id.source, &mut id.destination);
        }
        let none = Extension::None;
        let request = inet::request(place.family, kind, place.protocol, none, 0, &id);
        let operation = format!("look up {} socket", kind.name());
        let mut found = None;
        let status = self.ask(&operation, SOCK_DIAG_BY_FAMILY, &request, &mut found)?;
        match status.errno {
            None => {
                let found = found.ok_or(Malformed("answer to a lookup without a socket"))?;
                Ok(Some(Target::from(&inet::parse(kind, &found)?)))
            }
            Some(Errno::ENOENT) => Ok(None),
            Some(_) => Err(refused(operation, kind, status)),
        }
    }

    /// Sends a request. Passes the socket of the answer to `found`.
    fn ask(
        &mut self,
        operation: &str,
        request: u16,
        payload: &[u8],
        found: &mut Option<Vec<u8>>,
    ) -> Result<Status> {
        let status = self.socket.ask(request, NLM_F_ACK, payload, |message| {
            *found = Some(message.payload.to_vec());
            Ok(())
        })?;
        status.ok_or_else(|| Error::Unanswered {
            operation: operation.to_owned(),
        })
    }
}

/// The result for a target, if the kernel finds another socket or no socket.
///
/// Only the list of all sockets shows whether the target still exists. If several sockets share a
/// port, the kernel finds only one of them. For example, it may find a socket that is bound to a
/// device, although the target is not bound to a device.
fn fate_of_another(target: &Target, place: &Place, found: Option<&Target>) -> Result<Fate> {
    let other = found.filter(|found| found.cookie != target.cookie);
    if is_listed(target, place)? {
        return Ok(match other {
            Some(_) => Fate::Replaced,
            None => Fate::OutOfReach,
        });
    }
    // If a connection is gone, the kernel may find the listening socket instead. That socket has
    // another place, so it does not replace the connection.
    Ok(match other.filter(|other| other.place == target.place) {
        Some(_) => Fate::Replaced,
        None => Fate::Gone,
    })
}

/// Whether the kernel lists a socket.
fn is_listed(target: &Target, place: &Place) -> Result<bool> {
    let query = Query {
        kind: target.kind,
        family: Some(place.family),
    };
    let port = format!("local-port={}", place.local.port);
    // If the target has port 0, the query names no port and lists all sockets. Raw sockets have no
    // ports, so their port is always 0. Few other sockets have port 0.
    let terms = port.parse().ok().filter(|_| place.local.port != 0);
    let filter = Filter::new(terms).unwrap_or_default();
    let mut tries = 0;
    'again: loop {
        tries += 1;
        for part in Dump::begin(query, &filter)? {
            match part {
                Ok(sockets) => {
                    if sockets.iter().any(|socket| socket.cookie == target.cookie) {
                        return Ok(true);
                    }
                }
                Err(Error::Interrupted { .. }) if tries < TRIES => continue 'again,
                Err(error) => return Err(error),
            }
        }
        return Ok(false);
    }
}

impl Place {
    fn id(&self, cookie: u64) -> SocketId {
        SocketId {
            source: self.local,
            destination: self.remote,
            ifindex: self.ifindex,
            cookie,
        }
    }
}

fn operation(kind: Kind) -> String {
    format!("destroy {} socket", kind.name())
}

fn refused(operation: String, kind: Kind, status: Status) -> Error {
    let errno = status.errno;
    let refused = Error::Refused {
        operation,
        status,
        fix: None,
    };
    match errno {
        Some(Errno::EPERM) => refused.with_fix(
            "it needs CAP_NET_ADMIN in the user namespace that owns this network namespace: run \
             as root",
        ),
        Some(Errno::EOPNOTSUPP) if kind.can_be_destroyed() => {
            refused.with_fix("this kernel was built without CONFIG_INET_DIAG_DESTROY")
        }
        Some(Errno::EOPNOTSUPP | Errno::ENOENT) => refused.with_fix(
            "the kernel can destroy tcp, udp and raw sockets only; end the process that has the socket \
             open",
        ),
        _ => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::tests::socket;

    fn target() -> Target {
        let end = |port| Endpoint {
            address: "10.0.0.1".parse().unwrap(),
            port,
        };
        Target::from(&socket(Kind::Tcp, end(80), end(40000)))
    }

    fn status(errno: Errno) -> Status {
        Status {
            errno: Some(errno),
            request: SOCK_DESTROY,
            text: None,
            offset: None,
        }
    }

    #[test]
    fn target_is_read_from_what_is_written_of_a_socket() {
        let target = target();
        let end = |port| Endpoint {
            address: "10.0.0.1".parse().unwrap(),
            port,
        };
        let text = serde_json::to_string(&socket(Kind::Tcp, end(80), end(40000))).unwrap();
        assert_eq!(serde_json::from_str::<Target>(&text).unwrap(), target);
        let text = serde_json::to_string(&target).unwrap();
        assert_eq!(serde_json::from_str::<Target>(&text).unwrap(), target);
    }

    #[test]
    fn what_could_be_another_socket_is_no_target() {
        let text = serde_json::to_string(&target()).unwrap();
        for (what, with) in [
            (r#""cookie":5"#, r#""cookie":18446744073709551615"#),
            (r#""cookie":5"#, r#""cookie":null"#),
            (r#""cookie":5,"#, ""),
            (r#""ifindex":1"#, r#""ifindex":null"#),
            (r#""family":"ipv4""#, r#""family":"ipv6""#),
            (r#""port":80"#, r#""port":65536"#),
            (r#""protocol":6"#, r#""protocol":262"#),
            (r#""state":"established""#, r#""state":"open""#),
            (r#""kind":"tcp""#, r#""kind":"sctp""#),
            (r#""local""#, r#""locale""#),
        ] {
            let wrong = text.replace(what, with);
            assert_ne!(wrong, text, "{what}");
            assert!(serde_json::from_str::<Target>(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn refusals_come_with_advice() {
        for (kind, errno, words) in [
            (Kind::Tcp, Errno::EPERM, "CAP_NET_ADMIN"),
            (Kind::Tcp, Errno::EOPNOTSUPP, "CONFIG_INET_DIAG_DESTROY"),
            (
                Kind::Unix,
                Errno::EOPNOTSUPP,
                "tcp, udp and raw sockets only",
            ),
            (Kind::Icmp, Errno::ENOENT, "tcp, udp and raw sockets only"),
        ] {
            let error = refused("destroy it".to_owned(), kind, status(errno)).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn kernel_refuses_what_it_never_destroys() {
        let mut destroyer = Destroyer::open().unwrap();
        for kind in [Kind::Unix, Kind::Netlink] {
            let target = Target {
                kind,
                place: None,
                ..target()
            };
            let errno = destroyer.destroy(&target).unwrap_err().errno();
            // The kernel returns ENOENT if it cannot even list sockets of this kind.
            assert!(
                matches!(errno, Some(Errno::EOPNOTSUPP | Errno::ENOENT)),
                "{errno:?}"
            );
        }
    }
}
