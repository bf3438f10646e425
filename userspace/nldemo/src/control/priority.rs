// SPDX-License-Identifier: GPL-2.0

//! The names of the priorities at which the kernel's own hooks run.

/// The `NF_IP_PRI_*` numbers, with their names: the C names without the prefix, in lower case and
/// with hyphens.
pub const PRIORITIES: [(i32, &str); 14] = [
    (libc::NF_IP_PRI_FIRST, "first"),
    (libc::NF_IP_PRI_RAW_BEFORE_DEFRAG, "raw-before-defrag"),
    (libc::NF_IP_PRI_CONNTRACK_DEFRAG, "conntrack-defrag"),
    (libc::NF_IP_PRI_RAW, "raw"),
    (libc::NF_IP_PRI_SELINUX_FIRST, "selinux-first"),
    (libc::NF_IP_PRI_CONNTRACK, "conntrack"),
    (libc::NF_IP_PRI_MANGLE, "mangle"),
    (libc::NF_IP_PRI_NAT_DST, "nat-dst"),
    (libc::NF_IP_PRI_FILTER, "filter"),
    (libc::NF_IP_PRI_SECURITY, "security"),
    (libc::NF_IP_PRI_NAT_SRC, "nat-src"),
    (libc::NF_IP_PRI_SELINUX_LAST, "selinux-last"),
    (libc::NF_IP_PRI_CONNTRACK_HELPER, "conntrack-helper"),
    (libc::NF_IP_PRI_LAST, "last"),
];

/// The name of a priority; `None` if [`PRIORITIES`] does not have it.
#[must_use]
pub fn priority_name(priority: i32) -> Option<&'static str> {
    let mut priorities = PRIORITIES.into_iter();
    priorities.find_map(|(number, name)| (number == priority).then_some(name))
}

/// The priority that has this name.
pub(super) fn priority_named(text: &str) -> Option<i32> {
    let mut priorities = PRIORITIES.into_iter();
    priorities.find_map(|(number, name)| (name == text).then_some(number))
}
