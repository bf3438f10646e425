// SPDX-License-Identifier: GPL-2.0

//! Tests the module's pure logic in userspace: by its KUnit suites, which run as ordinary tests,
//! and by tests with generated input.
//!
//! The tests compile files of the module itself, which are listed below. `kernel/` has the parts of
//! the kernel crate that these files use.

#![cfg(test)]

// The sources under test.
#[path = "../../../net/netlink/attribute.rs"]
#[allow(dead_code)] // Some items are used only by files of the module that are not compiled here.
mod attribute;
#[path = "../../../nldemo/classify/mod.rs"]
mod classify;
#[path = "../../../net/netlink/message.rs"]
#[allow(dead_code)] // Some items are used only by files of the module that are not compiled here.
mod message;
#[path = "../../../net/read_at.rs"]
mod read_at;
#[path = "../../../net/netlink/refusal.rs"]
mod refusal;
#[path = "../../../nldemo/spread.rs"]
mod spread;
#[path = "../../../net/stack.rs"]
mod stack;

/// The paths by which the sources under test import items from each other.
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

// The tests with generated input. The KUnit suites are in the sources under test.
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
