// SPDX-License-Identifier: GPL-2.0

//! An interface that a policy names. When the policy decides, this is the interface that has the
//! name at that time.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use linux_names::interface::Interface;
use linux_names::interface::NoInterface;

/// A number that no interface has.
const NONE: u32 = 0;

/// An interface by its name. Clones share the number that was looked up.
#[derive(Clone, Debug)]
pub(super) struct Link {
    interface: Interface,
    index: Arc<AtomicU32>,
}

impl Link {
    pub(super) fn new(interface: Interface) -> Self {
        Self {
            interface,
            index: Arc::new(AtomicU32::new(NONE)),
        }
    }

    pub(super) fn name(&self) -> Cow<'_, str> {
        self.interface.name().to_string_lossy()
    }

    /// Looks up the number of the interface. The number changes if the interface is deleted and
    /// made again, or if another interface gets the name.
    pub(super) fn look_up(&self) -> Result<(), NoInterface> {
        let mut interface = self.interface.clone();
        let found = interface.look_up();
        let index = interface.index().filter(|_| found.is_ok());
        self.index.store(index.unwrap_or(NONE), Ordering::Relaxed);
        found
    }

    /// Whether the interface has this number. False if the interface does not exist.
    #[inline]
    pub(super) fn is(&self, index: u32) -> bool {
        index != NONE && self.index.load(Ordering::Relaxed) == index
    }
}

/// Two links are equal if their names are equal. Their numbers do not matter.
impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.interface.name() == other.interface.name()
    }
}

impl Eq for Link {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_that_of_the_interface_which_has_the_name() {
        let link = Link::new("lo".parse().unwrap());
        let clone = link.clone();
        assert!(!clone.is(1) && !clone.is(NONE));
        link.look_up().unwrap();
        assert!(clone.is(1) && !clone.is(2));
        let missing = Link::new("no-such0".parse().unwrap());
        missing.index.store(7, Ordering::Relaxed);
        missing.look_up().unwrap_err();
        assert!(!missing.is(7) && !missing.is(NONE));
    }
}
