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

use super::bindings::{
    netdev_priv_flags_IFF_L3MDEV_MASTER,
    NET_DEVICE_IFINDEX,
    NET_DEVICE_PRIV_FLAGS, //
};

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
    /// Borrows the device that the C side passed. Returns `None` for a null pointer.
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
        // SAFETY: By the type invariants the device is valid, and there is an `int` at the
        // offset `NET_DEVICE_IFINDEX`. The kernel may change the index at any time, when the
        // device moves to another namespace. So the read is volatile, as with `READ_ONCE()`.
        unsafe {
            let ifindex = self.device.as_ptr().byte_add(NET_DEVICE_IFINDEX);
            ifindex.cast::<c_int>().read_volatile()
        }
    }

    /// Whether the device is the master of a layer 3 domain, such as a VRF
    /// (`netif_is_l3_master()`).
    ///
    /// A packet that arrives by a device of the domain meets the hooks of `PRE_ROUTING` twice:
    /// first with that device, then with the master. If a hook queues the packet the second
    /// time, the packet is lost: after the verdict, the kernel does not process the packet
    /// further (`vrf_rcv_finish()`).
    #[inline]
    pub fn is_l3_master(&self) -> bool {
        // SAFETY: By the type invariants the device is valid, and there is a `u32` at the
        // offset `NET_DEVICE_PRIV_FLAGS`. The kernel may change other bits of the `u32` at any
        // time. So the read is volatile, as with `READ_ONCE()`.
        let flags = unsafe {
            let flags = self.device.as_ptr().byte_add(NET_DEVICE_PRIV_FLAGS);
            flags.cast::<u32>().read_volatile()
        };
        flags & netdev_priv_flags_IFF_L3MDEV_MASTER != 0
    }
}
