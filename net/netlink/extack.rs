// SPDX-License-Identifier: GPL-2.0

//! Passes refusals to netlink's C code, which sends them as extended acknowledgements.
//!
//! C header: `struct netlink_ext_ack` in
//! [`include/linux/netlink.h`](srctree/include/linux/netlink.h)

use core::ptr::from_ref;

use kernel::{
    bindings,
    prelude::*, //
};

use super::refusal::Refusal;

/// Writes a refusal to `extack`, except the error number.
///
/// `payload` is the payload of the refused message. `extack` gets pointers into this payload.
/// Netlink's C code converts such a pointer to an offset if the pointer points into the message
/// that is acknowledged (`nlmsg_check_in_payload()`).
pub(super) fn tell(extack: &mut bindings::netlink_ext_ack, refusal: &Refusal, payload: &[u8]) {
    if let Some(text) = refusal.message() {
        extack._msg = text.as_char_ptr();
    }
    let attribute = |offset: usize| payload.get(offset).map(from_ref);
    if let Some(attribute) = refusal.offset().and_then(attribute) {
        extack.bad_attr = attribute.cast();
    }
    if let Some(number) = refusal.missing_attribute() {
        extack.miss_type = number;
    }
    if let Some(nest) = refusal.missing_nest().and_then(attribute) {
        extack.miss_nest = nest.cast();
    }
}
