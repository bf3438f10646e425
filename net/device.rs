// SPDX-License-Identifier: GPL-2.0

//! Network devices.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

use super::bindings::NET_DEVICE_IFINDEX;

/// A network device, borrowed for the duration of a callback.
///
/// # Invariants
///
/// The `struct net_device` is valid for the lifetime of the reference.
#[repr(transparent)]
pub struct NetDevice(Opaque<bindings::net_device>);

impl NetDevice {
    /// Borrows the device that the C side passed; `None` for a null pointer.
    ///
    /// # Safety
    ///
    /// `dev` must be null or point to a device that stays valid for `'a`.
    pub(super) unsafe fn from_raw<'a>(dev: *mut bindings::net_device) -> Option<&'a Self> {
        // SAFETY: `NetDevice` is a transparent wrapper; validity is the caller's promise.
        unsafe { dev.cast::<Self>().as_ref() }
    }

    /// The interface index, unique in the device's network namespace.
    pub fn ifindex(&self) -> i32 {
        // SAFETY: By the type invariants the device is valid, and there is an `int` at the offset.
        // It changes when the device moves to another namespace: read it as `READ_ONCE()` does.
        unsafe {
            let ifindex = self.0.get().byte_add(NET_DEVICE_IFINDEX);
            ifindex.cast::<c_int>().read_volatile()
        }
    }
}
