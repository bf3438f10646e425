// SPDX-License-Identifier: GPL-2.0

//! The names of interfaces, which may be added, deleted and renamed meanwhile.

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
/// Longer than most messages. A message that is cut still says that something changed.
const MESSAGE_LEN: usize = 4096;

/// The changes to interfaces, for all threads.
///
/// The kernel sends the event of a change before packets can meet the changed interface. So a
/// thread decides by the right interface if it reads the events after it has received a packet and
/// before it decides.
pub(super) struct Links<'a> {
    policy: &'a Policy,
    changes: Mutex<KernelSocket>,
    /// The number of changes.
    version: AtomicU64,
}

/// The names of interfaces that one thread has looked up since the latest change.
#[derive(Default)]
pub(super) struct Known {
    version: u64,
    names: Vec<(u32, Rc<Name>)>,
}

/// The name of an interface, as it is printed.
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
    /// Looks up the interfaces that a policy names, and follows the changes from now on. Returns
    /// those that do not exist.
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

    /// Reads the events of changes. If there are some, forgets the names that were known.
    pub(super) fn look(&self, known: &mut Known) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if something_changed(&mut changes) {
            // The missing interfaces were reported at the start.
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
            // The socket had no room for some events. So there were changes.
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
