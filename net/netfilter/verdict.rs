// SPDX-License-Identifier: GPL-2.0

//! The verdict of a hook.

use kernel::prelude::*;

use crate::net::bindings;

/// A hook's decision about a packet, encoded as the return value of the hook in C.
///
/// C header: [`include/uapi/linux/netfilter.h`](srctree/include/uapi/linux/netfilter.h)
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verdict(u32);

impl Verdict {
    /// The packet goes on to the next hook (`NF_ACCEPT`).
    pub const ACCEPT: Self = Self(bindings::NF_ACCEPT);

    /// The kernel frees the packet (`NF_DROP`).
    pub const DROP: Self = Self(bindings::NF_DROP);

    /// The packet waits in queue `number` until a userspace program decides (`NF_QUEUE`).
    ///
    /// If the queue has no consumer, the kernel drops the packet, or lets it pass if `bypass` is
    /// true. `bypass` has no effect on a full queue: then the kernel drops the packet, or lets
    /// it pass if the consumer has set `NFQA_CFG_F_FAIL_OPEN`.
    pub const fn queue(number: u16, bypass: bool) -> Self {
        let flag = if bypass {
            bindings::NF_VERDICT_FLAG_QUEUE_BYPASS
        } else {
            0
        };
        // CAST: Widening.
        Self((number as u32) << bindings::NF_VERDICT_QBITS | flag | bindings::NF_QUEUE)
    }

    /// The return value of the hook in C.
    #[inline]
    pub const fn into_raw(self) -> u32 {
        self.0
    }
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_verdict)]
mod tests {
    use super::*;

    #[test]
    fn accept_and_drop_are_the_constants_of_the_uapi() {
        assert_eq!(Verdict::DROP.into_raw(), 0);
        assert_eq!(Verdict::ACCEPT.into_raw(), 1);
    }

    #[test]
    fn queue_carries_number_and_bypass() {
        assert_eq!(Verdict::queue(0, false).into_raw(), 3);
        assert_eq!(Verdict::queue(0, true).into_raw(), 0x8003);
        assert_eq!(Verdict::queue(1, false).into_raw(), 0x0001_0003);
        assert_eq!(Verdict::queue(u16::MAX, false).into_raw(), 0xffff_0003);
        assert_eq!(Verdict::queue(u16::MAX, true).into_raw(), 0xffff_8003);
    }
}
