// SPDX-License-Identifier: GPL-2.0

//! Network namespaces.
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

use super::bindings::{
    NET_COOKIE,
    NET_INUM, //
};

/// A network namespace, borrowed from the kernel for the duration of a callback.
///
/// # Invariants
///
/// The `struct net` is valid for the lifetime of the reference.
#[repr(transparent)]
pub struct Net(Opaque<bindings::net>);

// SAFETY: Code has a `Net` only behind a reference. The fields that this type reads are set when
// the namespace is created, and constant from then on.
unsafe impl Sync for Net {}

impl Net {
    /// Borrows the network namespace that the C side passed.
    ///
    /// # Safety
    ///
    /// `net` must point to a network namespace that stays valid for `'a`.
    pub(super) unsafe fn from_raw<'a>(net: *mut bindings::net) -> &'a Self {
        // SAFETY: `Net` is a transparent wrapper. The caller promises that the namespace is valid.
        unsafe { &*net.cast() }
    }

    /// A pointer to the `struct net`.
    pub(super) fn as_raw(&self) -> *mut bindings::net {
        self.0.get()
    }

    /// The inode number that identifies the namespace, as `readlink /proc/self/ns/net` shows it.
    pub(super) fn inum(&self) -> u32 {
        // SAFETY: By the type invariants the namespace is valid, and there is an `unsigned int`
        // at the offset. The number does not change as long as the namespace is valid.
        unsafe { self.as_raw().byte_add(NET_INUM).cast::<c_uint>().read() }
    }

    /// The initial network namespace (`init_net`), which never dies.
    pub(super) fn initial() -> &'static Self {
        // SAFETY: `init_net` is static, and never freed.
        unsafe { Self::from_raw(&raw mut bindings::init_net) }
    }

    /// The number that identifies the namespace, as `SO_NETNS_COOKIE` returns it. Until the next
    /// boot, no other namespace gets this number.
    pub fn cookie(&self) -> u64 {
        // SAFETY: By the type invariants the namespace is valid, and there is a `u64` at the
        // offset. The cookie is written once, before anyone can find the namespace.
        unsafe { self.as_raw().byte_add(NET_COOKIE).cast::<u64>().read() }
    }
}
