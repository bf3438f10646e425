// SPDX-License-Identifier: GPL-2.0

//! The names of interfaces. While the program runs, interfaces may be added, deleted and renamed.

use std::rc::Rc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use knetlink::Error;
use knetlink::KernelSocket;
use linux_names::constant::octet;
use linux_names::interface;
use linux_names::text::Escaped;
use nfnetlink_queue::Packet;
use nldemo::policy::Policy;

use crate::output::json_string;

/// The multicast group for changes of interfaces (`RTNLGRP_LINK`).
const CHANGES: u32 = 1;
/// The length of the receive buffer, which is longer than most messages. Even a message that is cut
/// says that an interface changed.
const MESSAGE_LEN: usize = 4096;

/// The events about changes to interfaces. All threads read these events from one socket.
///
/// The kernel sends the event about a change before a packet can pass the changed interface. So a
/// thread must read the events after it has received a packet, and before the policy decides about
/// the packet. Then the policy knows the current numbers of its interfaces.
pub(super) struct Links<'a> {
    policy: &'a Policy,
    changes: Mutex<KernelSocket>,
    /// The number of times that a thread has found changes.
    version: AtomicU64,
}

/// The names of interfaces that one thread has looked up since the latest change.
#[derive(Default)]
pub(super) struct Known {
    version: u64,
    names: Vec<(u32, Rc<Name>)>,
}

/// The name of an interface, in the forms in which it is printed.
pub(super) struct Name {
    pub(super) escaped: String,
    /// The name as a JSON string.
    pub(super) json: String,
}

/// The names of a packet's interfaces.
#[derive(Default)]
pub(super) struct Names {
    pub(super) indev: Option<Rc<Name>>,
    pub(super) outdev: Option<Rc<Name>>,
    pub(super) physical_in: Option<Rc<Name>>,
    pub(super) physical_out: Option<Rc<Name>>,
}

impl<'a> Links<'a> {
    /// Looks up the interfaces that a policy names, and begins to follow the changes. Passes a
    /// message to `missing` for each named interface that does not exist.
    pub(super) fn follow(
        policy: &'a Policy,
        mut missing: impl FnMut(String),
    ) -> Result<Self, Error> {
        let mut changes = KernelSocket::open(octet(libc::NETLINK_ROUTE))?;
        changes.join(CHANGES)?;
        for interface in policy.find_interfaces() {
            missing(interface.to_string());
        }
        Ok(Self {
            policy,
            changes: Mutex::new(changes),
            version: AtomicU64::new(0),
        })
    }

    /// Reads the events about changes. If there are events, looks up the interfaces of the policy
    /// again, and forgets the names in `known`.
    pub(super) fn look(&self, known: &mut Known) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if something_changed(&mut changes) {
            // The result has the missing interfaces. They are not reported here, because the
            // program reports missing interfaces only at its start.
            drop(self.policy.find_interfaces());
            self.version.fetch_add(1, Ordering::Relaxed);
        }
        let version = self.version.load(Ordering::Relaxed);
        if version != known.version {
            known.version = version;
            known.names.clear();
        }
    }
}

fn something_changed(socket: &mut KernelSocket) -> bool {
    let mut buffer = [0; MESSAGE_LEN];
    let mut changed = false;
    loop {
        match socket.receive(&mut buffer) {
            Ok(None) => return changed,
            // An overrun means that the socket had no room for some events. So there were changes.
            Ok(Some(_)) | Err(Error::Overrun { .. } | Error::Truncated { .. }) => {
                changed = true;
            }
            Err(_) => return true,
        }
    }
}

impl Known {
    /// The names of a packet's interfaces.
    pub(super) fn names(&mut self, packet: &Packet<'_>) -> Names {
        let mut name = |index: Option<u32>| index.map(|index| self.name(index));
        Names {
            indev: name(packet.indev),
            outdev: name(packet.outdev),
            physical_in: name(packet.physindev),
            physical_out: name(packet.physoutdev),
        }
    }

    fn name(&mut self, index: u32) -> Rc<Name> {
        let mut names = self.names.iter();
        if let Some((_, name)) = names.find(|(known, _)| *known == index) {
            return Rc::clone(name);
        }
        let name = Rc::new(Name::new(&interface::name(index)));
        self.names.push((index, Rc::clone(&name)));
        name
    }
}

impl Name {
    pub(super) fn new(name: &str) -> Self {
        Self {
            escaped: Escaped(name.as_bytes()).to_string(),
            json: json_string(name),
        }
    }
}
