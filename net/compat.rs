// SPDX-License-Identifier: GPL-2.0

//! The parts of the newest kernel's API that older kernels lack, with the same names.
//!
//! All of `net/` is written for the newest kernel. This is the only Rust file that knows older
//! kernels. For the newest kernel it contains only re-exports. For an older one `module.mk` sets
//! `before_7_3`, and lets bindgen generate the C items that `kernel::bindings` of that kernel
//! lacks.

#[cfg(not(before_7_3))]
mod imp {
    pub(crate) use kernel::{
        bindings::{
            kvfree_rcu_head,
            rcu_gp_seq, //
        },
        error::code::{
            EADDRINUSE,
            ENOBUFS,
            EOPNOTSUPP,
            ESHUTDOWN, //
        },
        module::this_module,
        sync::{
            barrier::{
                smp_mb,
                Full, //
            },
            rcu::{
                rcu_barrier,
                synchronize_rcu, //
            },
        },
    };

    pub(crate) use pin_init::raw_try_init;
}

#[cfg(before_7_3)]
mod imp {
    use core::{
        mem::transmute,
        ptr::null_mut, //
    };

    use kernel::{
        bindings,
        prelude::*,
        sync::barrier,
        ModuleMetadata, //
    };

    // Items that have other names in older kernels.
    pub(crate) use kernel::{
        bindings::{
            callback_head as kvfree_rcu_head,
            rcu_gp_oldstate as rcu_gp_seq, //
        },
        sync::atomic::Full,
    };

    /// The error with a number for which `kernel::error::code` has no name.
    const fn error(number: u32) -> Error {
        const {
            // SAFETY: Every `i32` is valid. `transmute()` checks that the sizes agree.
            let number = unsafe { transmute::<Error, i32>(EPERM) };
            assert!(number == -(bindings::EPERM as i32));
        }
        assert!(number > 0 && number <= bindings::MAX_ERRNO);
        // SAFETY: An `Error` is the negated number and nothing else, as the assertion above checks.
        // An `Error` may have this number.
        unsafe { transmute::<i32, Error>(-(number as i32)) }
    }

    pub(crate) const EADDRINUSE: Error = error(bindings::EADDRINUSE);
    pub(crate) const ENOBUFS: Error = error(bindings::ENOBUFS);
    pub(crate) const EOPNOTSUPP: Error = error(bindings::EOPNOTSUPP);
    pub(crate) const ESHUTDOWN: Error = error(bindings::ESHUTDOWN);

    /// `THIS_MODULE` of the module `M`, which is the one that this code is part of.
    #[expect(clippy::extra_unused_type_parameters)] // The result is the same for each `M`.
    pub(crate) const fn this_module<M: ModuleMetadata>() -> ThisModule {
        let module = if cfg!(MODULE) {
            &raw mut bindings::__this_module
        } else {
            null_mut()
        };
        // SAFETY: In C, `THIS_MODULE` is this (`include/linux/init.h`).
        unsafe { ThisModule::from_ptr(module) }
    }

    /// A full memory barrier between CPUs.
    #[inline]
    pub(crate) fn smp_mb(_: Full) {
        barrier::smp_mb();
    }

    /// Waits until all pending callbacks of `call_rcu()` have run. Context: process, may sleep.
    pub(crate) fn rcu_barrier() {
        // SAFETY: There are no requirements.
        unsafe { bindings::rcu_barrier() };
    }

    /// Waits for an RCU grace period. Context: process, may sleep.
    pub(crate) fn synchronize_rcu() {
        // SAFETY: There are no requirements.
        unsafe { bindings::synchronize_rcu() };
    }

    /// Initializes the memory that `slot` points to.
    ///
    /// # Safety
    ///
    /// Those of [`PinInit::__pinned_init`].
    pub(crate) unsafe fn raw_try_init<T, E>(
        slot: *mut T,
        init: impl PinInit<T, E>,
    ) -> Result<(), E> {
        // SAFETY: The caller's promise.
        unsafe { init.__pinned_init(slot) }
    }
}

pub(crate) use self::imp::*;
