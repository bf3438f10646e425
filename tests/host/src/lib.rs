// SPDX-License-Identifier: GPL-2.0

//! The module's pure logic in userspace: its KUnit suites as ordinary tests, and tests with
//! generated input.
//!
//! The sources are the module's own, and the list below names them. `kernel/` has the parts of the kernel
//! crate that they use.

#![cfg(test)]

// The sources under test.
#[path = "../../../net/netlink/attribute.rs"]
#[allow(dead_code)] // The rest of the module uses these items.
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

// The tests with generated input. The sources have their own suites, too.
mod test_attribute;
mod test_classify;
mod test_message;
mod test_spread;

// Code that the tests share.
mod etherparse_says;
mod netlink_packet_core_says;
mod packets;
mod property;
mod walk;
