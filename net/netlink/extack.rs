// SPDX-License-Identifier: GPL-2.0

//! Extended acknowledgements.

use kernel::{
    bindings,
    prelude::*, //
};

/// What an acknowledgement says beyond its error number, to clients that enabled
/// `NETLINK_EXT_ACK`.
///
/// C header: `struct netlink_ext_ack` in
/// [`include/linux/netlink.h`](srctree/include/linux/netlink.h)
///
/// # Invariants
///
/// Every pointer is null or valid for the rest of the module's life.
#[derive(Default)]
pub struct ExtAck(bindings::netlink_ext_ack);

impl ExtAck {
    /// Says in words what is wrong, as `NL_SET_ERR_MSG()` does.
    pub fn set_message(&mut self, message: &'static CStr) {
        // INVARIANT: The message is static.
        self.0._msg = message.as_char_ptr();
    }

    /// The extended acknowledgement for the C side.
    pub(super) fn as_raw(&self) -> *const bindings::netlink_ext_ack {
        &raw const self.0
    }
}
