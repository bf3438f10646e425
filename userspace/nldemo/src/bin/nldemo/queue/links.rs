// SPDX-License-Identifier: GPL-2.0

//! The names of interfaces, while interfaces come, go and change their names.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use knetlink::Error;
use knetlink::KernelSocket;
use linux_names::constant::octet;
use linux_names::interface;
use nfnetlink_queue::Packet;
use nldemo::policy::Policy;

/// The multicast group that tells of changes to interfaces (`RTNLGRP_LINK`).
const CHANGES: u32 = 1;
/// More than one message takes. What is cut has told that something changed.
const MESSAGE_LEN: usize = 4096;

/// The interfaces that packets came in by and leave by, for all threads.
///
/// The kernel tells of a change before packets can meet the interface as it is then. So who looks at
/// the changes before a packet decides by what is true.
pub(super) struct Links<'a> {
    policy: &'a Policy,
    seen: Mutex<Seen>,
}

struct Seen {
    changes: KernelSocket,
    /// Numbers and names of the interfaces that packets had since the latest change.
    known: Vec<(u32, Arc<str>)>,
}

/// The names of a packet's interfaces.
#[derive(Default)]
pub(super) struct Names {
    pub(super) indev: Option<Arc<str>>,
    pub(super) outdev: Option<Arc<str>>,
    pub(super) physical_in: Option<Arc<str>>,
    pub(super) physical_out: Option<Arc<str>>,
}

impl<'a> Links<'a> {
    /// Looks the interfaces up that a policy names, and from now on follows the changes. Tells what
    /// is not there.
    pub(super) fn follow(
        policy: &'a Policy,
        mut missing: impl FnMut(String),
    ) -> Result<Self, Error> {
        let changes = KernelSocket::open(octet(libc::NETLINK_ROUTE))?;
        changes.join(CHANGES)?;
        for interface in policy.find_interfaces() {
            missing(interface.to_string());
        }
        let known = Vec::new();
        Ok(Self {
            policy,
            seen: Mutex::new(Seen { changes, known }),
        })
    }

    /// Takes note of changes.
    pub(super) fn look(&self) {
        self.look_at(&mut self.lock());
    }

    /// The names of a packet's interfaces. If one is new, takes note of changes before.
    pub(super) fn of(&self, packet: &Packet<'_>) -> Names {
        let seen = &mut *self.lock();
        let all = [
            packet.indev,
            packet.outdev,
            packet.physindev,
            packet.physoutdev,
        ];
        if all
            .iter()
            .flatten()
            .any(|&index| seen.find(index).is_none())
        {
            self.look_at(seen);
        }
        let [indev, outdev, physical_in, physical_out] =
            all.map(|index| index.map(|index| seen.name(index)));
        Names {
            indev,
            outdev,
            physical_in,
            physical_out,
        }
    }

    fn look_at(&self, seen: &mut Seen) {
        let mut buffer = [0; MESSAGE_LEN];
        let mut changed = false;
        loop {
            match seen.changes.receive(&mut buffer) {
                Ok(None) => break,
                // Of changes that found no room only that is known.
                Ok(Some(_)) | Err(Error::Overrun { .. } | Error::Truncated { .. }) => {
                    changed = true;
                }
                Err(_) => {
                    changed = true;
                    break;
                }
            }
        }
        if changed {
            seen.known.clear();
            // Those that are missing were told of at the start.
            drop(self.policy.find_interfaces());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn find(&self, index: u32) -> Option<&Arc<str>> {
        let mut known = self.known.iter();
        known.find_map(|(known, name)| (*known == index).then_some(name))
    }

    fn name(&mut self, index: u32) -> Arc<str> {
        if let Some(name) = self.find(index) {
            return Arc::clone(name);
        }
        let name: Arc<str> = interface::name(index).into();
        self.known.push((index, Arc::clone(&name)));
        name
    }
}
