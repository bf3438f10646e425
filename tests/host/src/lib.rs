// SPDX-License-Identifier: GPL-2.0

//! The module's pure logic in userspace: its KUnit suites as ordinary tests, and tests with
//! generated input.
//!
//! The sources are the module's own. A file joins by a line in the list below; what it uses of the
//! kernel crate is in `kernel/`.

#![cfg(test)]

// The sources under test.
#[path = "../../../net/netlink/attribute.rs"]
#[allow(dead_code)] // What only the rest of the module uses.
mod attribute;
#[path = "../../../nldemo/classify/mod.rs"]
mod classify;
#[path = "../../../net/netlink/message.rs"]
#[allow(dead_code)] // As above.
mod message;
#[path = "../../../net/read_at.rs"]
mod read_at;
#[path = "../../../net/netlink/refusal.rs"]
mod refusal;
#[path = "../../../nldemo/spread.rs"]
mod spread;
#[path = "../../../net/stack.rs"]
mod stack;

/// The paths by which the sources under test know each other.
mod net {
    pub(crate) mod netfilter {
        #[derive(Clone, Copy)]
        pub(crate) enum Family {
            Ipv4,
            Ipv6,
        }
    }
    pub(crate) mod skbuff {
        pub(crate) use crate::read_at::ReadAt;
    }
    pub(crate) use crate::stack;
}

// The tests with generated input, beside the suites that the sources bring along.
mod test_attribute;
mod test_classify;
mod test_message;
mod test_spread;

// What they share.
mod etherparse_says;
mod netlink_packet_core_says;
mod packets;
mod property;
mod walk;
