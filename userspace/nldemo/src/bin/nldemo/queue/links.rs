// SPDX-License-Identifier: GPL-2.0

//! The names of interfaces, while interfaces come, go and change their names.

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

/// The multicast group that tells of changes to interfaces (`RTNLGRP_LINK`).
const CHANGES: u32 = 1;
/// More than one message takes. What is cut has told that something changed.
const MESSAGE_LEN: usize = 4096;

/// The changes to interfaces, for all threads.
///
/// The kernel tells of a change before packets can meet the interface as it is then. So a thread that
/// looks at the changes between receiving a packet and deciding it decides by what is true.
pub(super) struct Links<'a> {
    policy: &'a Policy,
    changes: Mutex<KernelSocket>,
    /// How often something changed.
    version: AtomicU64,
}

/// The names of interfaces that one thread has met since the latest change.
#[derive(Default)]
pub(super) struct Known {
    version: u64,
    names: Vec<(u32, Rc<Name>)>,
}

/// The name of an interface, as it is printed.
pub(super) struct Name {
    pub(super) escaped: String,
    /// A JSON string.
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
    /// Looks the interfaces up that a policy names, and from now on follows the changes. Tells what
    /// is not there.
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

    /// Takes note of changes, and forgets names that were known before these.
    pub(super) fn look(&self, known: &mut Known) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if something_changed(&mut changes) {
            // Those that are missing were told of at the start.
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
            // Of changes that found no room only that is known.
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
