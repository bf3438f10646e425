// SPDX-License-Identifier: GPL-2.0

//! Refusals in the form of the C side.
//!
//! C header: `struct netlink_ext_ack` in
//! [`include/linux/netlink.h`](srctree/include/linux/netlink.h)

use core::ptr::from_ref;

use kernel::{
    bindings,
    prelude::*, //
};

use super::refusal::Refusal;

/// Passes a refusal to the C side, except its error number.
///
/// `payload` is the payload of the refused message. The C side converts the pointers into it to
/// offsets, if they are within the message that it acknowledges (`nlmsg_check_in_payload()`).
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
