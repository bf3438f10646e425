// SPDX-License-Identifier: GPL-2.0

//! What a hook decides.

use crate::net::bindings;

/// What happens to a packet, as a hook's return value encodes it.
///
/// C header: [`include/uapi/linux/netfilter.h`](srctree/include/uapi/linux/netfilter.h)
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verdict(u32);

impl Verdict {
    /// The packet goes on to the next hook (`NF_ACCEPT`).
    pub const ACCEPT: Self = Self(bindings::NF_ACCEPT);

    /// The packet is freed (`NF_DROP`).
    pub const DROP: Self = Self(bindings::NF_DROP);

    /// The packet waits in queue `number` for a userspace program to decide (`NF_QUEUE`).
    ///
    /// Without a program that listens to the queue the packet is dropped or, with `bypass`, goes
    /// on. `bypass` does not cover a full queue: the listener's `NFQA_CFG_F_FAIL_OPEN` does.
    pub const fn queue(number: u16, bypass: bool) -> Self {
        let flag = if bypass {
            bindings::NF_VERDICT_FLAG_QUEUE_BYPASS
        } else {
            0
        };
        // CAST: Widening.
        Self((number as u32) << bindings::NF_VERDICT_QBITS | flag | bindings::NF_QUEUE)
    }

    /// The value for the C side.
    #[inline]
    pub const fn into_raw(self) -> u32 {
        self.0
    }
}
