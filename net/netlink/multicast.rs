// SPDX-License-Identifier: GPL-2.0

//! Messages to multicast groups.

use kernel::{
    bindings,
    error::to_result,
    prelude::*, //
};

use super::{
    input::Input,
    message::MessageType,
    outgoing::Outgoing,
    socket::KernelSocket, //
};

use crate::net::compat::{
    ENOBUFS,
    ESHUTDOWN, //
};

/// A multicast group of a protocol, as `NETLINK_ADD_MEMBERSHIP` takes it. Every process may join.
///
/// # Invariants
///
/// The number is between 1 and 32. Every protocol has at least 32 groups.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Group(u32);

impl Group {
    /// The group with this number. In a constant, a number outside of 1 to 32 does not compile.
    pub const fn new(number: u32) -> Self {
        assert!(number >= 1 && number <= u32::BITS);
        // INVARIANT: The number was just checked.
        Self(number)
    }
}

impl<T: Input> KernelSocket<T> {
    /// Whether a socket, in any network namespace, listens to `group`. If no socket listens, the
    /// caller need not make a message.
    pub fn has_listeners(&self, group: Group) -> bool {
        // SAFETY: By the type invariants `socket` is a valid kernel socket.
        unsafe { bindings::netlink_has_listeners(self.socket.as_ptr(), group.0) != 0 }
    }

    /// Sends a message to the sockets of the network namespace that listen to `group`, and to the
    /// sockets of other namespaces that listen to all namespaces (`NETLINK_LISTEN_ALL_NSID`).
    ///
    /// The message has no flags. Its sequence number is 0, because it answers no request. A
    /// listener with `NETLINK_PKTINFO` gets the number of the group.
    ///
    /// Context: process, may sleep to allocate memory, and never waits for a listener.
    ///
    /// # Errors
    ///
    /// - `ESRCH`: no socket listens.
    /// - `EMSGSIZE`, `ENOBUFS`: `payload` is too long, or there is not enough memory for it.
    /// - `ESHUTDOWN`: the kernel socket was released, because its instance is being removed.
    ///
    /// If the receive buffer of a listener is full, the listener's socket reports `ENOBUFS`. If
    /// there is no memory for the message, the listeners' sockets in the network namespace report
    /// `ENOBUFS`, and those in other namespaces report nothing.
    pub fn broadcast(&self, group: Group, msg_type: MessageType, payload: &[u8]) -> Result {
        if self.is_released() {
            return Err(ESHUTDOWN);
        }
        let message = Outgoing::new(0, msg_type, 0, [], payload).inspect_err(|_| {
            // SAFETY: By the type invariants `socket` is a valid kernel socket. `ENOBUFS` is a
            // valid error.
            unsafe {
                bindings::netlink_set_err(self.socket.as_ptr(), 0, group.0, ENOBUFS.to_errno())
            };
        })?;
        let skb = message.into_raw().as_ptr();
        // SAFETY: The buffer is ours. Its control block holds netlink's parameters
        // (`NETLINK_CB()`). Listeners get the number of the group from these parameters
        // (`nlmsg_multicast()`).
        unsafe {
            let parms: *mut bindings::netlink_skb_parms = (&raw mut (*skb).cb).cast();
            (*parms).dst_group = group.0;
        }
        // SAFETY: By the type invariants `socket` is a valid kernel socket. `netlink_broadcast()`
        // takes ownership of the buffer, also if it fails.
        to_result(unsafe {
            bindings::netlink_broadcast(self.socket.as_ptr(), skb, 0, group.0, bindings::GFP_KERNEL)
        })
    }
}
