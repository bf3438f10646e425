// SPDX-License-Identifier: GPL-2.0

//! Network devices.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    prelude::*, //
};

use super::bindings::NET_DEVICE_IFINDEX;

/// A network device, borrowed for the duration of a callback.
///
/// # Invariants
///
/// The `struct net_device` is valid for `'a`.
#[derive(Clone, Copy)]
pub struct NetDevice<'a> {
    device: NonNull<bindings::net_device>,
    _borrow: PhantomData<&'a bindings::net_device>,
}

impl NetDevice<'_> {
    /// Borrows the device that the C side passed; `None` for a null pointer.
    ///
    /// # Safety
    ///
    /// `device` must be null or point to a device that stays valid for the lifetime of the result.
    pub(super) unsafe fn from_raw(device: *mut bindings::net_device) -> Option<Self> {
        // INVARIANT: The caller's promise.
        NonNull::new(device).map(|device| Self {
            device,
            _borrow: PhantomData,
        })
    }

    /// The interface index, unique in the device's network namespace.
    pub fn ifindex(&self) -> i32 {
        // SAFETY: By the type invariants the device is valid, and there is an `int` at the offset.
        // It changes when the device moves to another namespace: read it as `READ_ONCE()` does.
        unsafe {
            let ifindex = self.device.as_ptr().byte_add(NET_DEVICE_IFINDEX);
            ifindex.cast::<c_int>().read_volatile()
        }
    }
}
