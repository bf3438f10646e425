// SPDX-License-Identifier: GPL-2.0

//! The parts of the newest kernel's API that older kernels lack, with the same names.
//!
//! All of `net/` is written for the newest kernel, and this is the only Rust file that knows of
//! older ones. For the newest kernel it has re-exports alone. `module.mk` sets `before_7_3`, and
//! has bindgen generate the C items that `kernel::bindings` of such a kernel lacks.

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

    // By other names.
    pub(crate) use kernel::{
        bindings::{
            callback_head as kvfree_rcu_head,
            rcu_gp_oldstate as rcu_gp_seq, //
        },
        sync::atomic::Full,
    };

    /// The error of a number that `kernel::error::code` has no name for.
    const fn error(number: u32) -> Error {
        const {
            // SAFETY: Every `i32` is valid. That the sizes agree is checked by `transmute()`.
            let number = unsafe { transmute::<Error, i32>(EPERM) };
            assert!(number == -(bindings::EPERM as i32));
        }
        assert!(number > 0 && number <= bindings::MAX_ERRNO);
        // SAFETY: An `Error` is the negated number and nothing else, as was just seen. The number
        // is one of those that an `Error` may have.
        unsafe { transmute::<i32, Error>(-(number as i32)) }
    }

    pub(crate) const EADDRINUSE: Error = error(bindings::EADDRINUSE);
    pub(crate) const ENOBUFS: Error = error(bindings::ENOBUFS);
    pub(crate) const EOPNOTSUPP: Error = error(bindings::EOPNOTSUPP);
    pub(crate) const ESHUTDOWN: Error = error(bindings::ESHUTDOWN);

    /// `THIS_MODULE` of the module `M`, which is the one that this code is part of.
    #[expect(clippy::extra_unused_type_parameters)] // It is the same for each.
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

    /// Waits for the callbacks of `call_rcu()` that are on their way. Context: process, may sleep.
    pub(crate) fn rcu_barrier() {
        // SAFETY: There are no requirements.
        unsafe { bindings::rcu_barrier() };
    }

    /// Waits for an RCU grace period. Context: process, may sleep.
    pub(crate) fn synchronize_rcu() {
        // SAFETY: There are no requirements.
        unsafe { bindings::synchronize_rcu() };
    }

    /// Initializes what `slot` points to.
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
