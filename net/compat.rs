// SPDX-License-Identifier: GPL-2.0

//! For older kernels, this file has the parts of the newest kernel's API that these kernels
//! lack. Each part has the name that it has in the newest kernel.
//!
//! All other files of `net/` are written for the newest kernel, and do not know older kernels.
//! For the newest kernel, this file only re-exports items. For a kernel before 7.3, `module.mk`
//! sets `before_7_3`, and lets bindgen generate the C items that `kernel::bindings` of that
//! kernel lacks.

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

    // Items that have other names in kernels before 7.3.
    pub(crate) use kernel::{
        bindings::{
            callback_head as kvfree_rcu_head,
            rcu_gp_oldstate as rcu_gp_seq, //
        },
        sync::atomic::Full,
    };

    /// The error with this number. Before 7.3, `kernel::error::code` lacks some errors.
    const fn error(number: u32) -> Error {
        const {
            // SAFETY: All bit patterns are valid for `i32`. `transmute()` compiles only if both
            // types have the same size.
            let number = unsafe { transmute::<Error, i32>(EPERM) };
            assert!(number == -(bindings::EPERM as i32));
        }
        assert!(number > 0 && number <= bindings::MAX_ERRNO);
        // SAFETY: An `Error` consists of one `i32`, the negated number: the `const` block has
        // checked this. `number` is between 1 and `MAX_ERRNO`, so `-number` is valid in an `Error`.
        unsafe { transmute::<i32, Error>(-(number as i32)) }
    }

    pub(crate) const EADDRINUSE: Error = error(bindings::EADDRINUSE);
    pub(crate) const ENOBUFS: Error = error(bindings::ENOBUFS);
    pub(crate) const EOPNOTSUPP: Error = error(bindings::EOPNOTSUPP);
    pub(crate) const ESHUTDOWN: Error = error(bindings::ESHUTDOWN);

    /// `THIS_MODULE` of the module `M`. `M` must be the module that contains this code.
    #[expect(clippy::extra_unused_type_parameters)] // The newest kernel's function has `M`, too.
    pub(crate) const fn this_module<M: ModuleMetadata>() -> ThisModule {
        let module = if cfg!(MODULE) {
            &raw mut bindings::__this_module
        } else {
            null_mut()
        };
        // SAFETY: The pointer is the value of `THIS_MODULE` in C (`include/linux/init.h`).
        unsafe { ThisModule::from_ptr(module) }
    }

    /// A full memory barrier between CPUs.
    #[inline]
    pub(crate) fn smp_mb(_: Full) {
        barrier::smp_mb();
    }

    /// Waits until all pending callbacks of `call_rcu()` have run. Context: process, may sleep.
    pub(crate) fn rcu_barrier() {
        // SAFETY: The function has no safety requirements.
        unsafe { bindings::rcu_barrier() };
    }

    /// Waits for an RCU grace period. Context: process, may sleep.
    pub(crate) fn synchronize_rcu() {
        // SAFETY: The function has no safety requirements.
        unsafe { bindings::synchronize_rcu() };
    }

    /// Initializes the memory that `slot` points to.
    ///
    /// # Safety
    ///
    /// The caller must keep the requirements of [`PinInit::__pinned_init`].
    pub(crate) unsafe fn raw_try_init<T, E>(
        slot: *mut T,
        init: impl PinInit<T, E>,
    ) -> Result<(), E> {
        // SAFETY: The caller's promise.
        unsafe { init.__pinned_init(slot) }
    }
}

pub(crate) use self::imp::*;
