// SPDX-License-Identifier: GPL-2.0

//! The task whose system call runs a callback.
//!
//! C header: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use kernel::{
    bindings,
    current,
    prelude::*, //
};

/// Whether the task is about to die (`fatal_signal_pending()`). Then nobody needs the result of the
/// task's request.
///
/// Context: process.
pub(super) fn fatal_signal_pending() -> bool {
    const SIGKILL: c_ulong = 1 << (bindings::SIGKILL - 1);

    let task = current!();
    if !task.signal_pending() {
        return false;
    }
    // SAFETY: The task is the current one, so it is valid. Other tasks can set bits at any time, so
    // the word is read only once, by a volatile read. `SIGKILL` is in the first word.
    let pending = unsafe { (&raw const (*task.as_ptr()).pending.signal.sig[0]).read_volatile() };
    pending & SIGKILL != 0
}

/// Lets other tasks run if they wait for the CPU (`cond_resched()`).
///
/// Context: process, may sleep.
pub(super) fn cond_resched() {
    // A kernel that always preempts kernel code (`CONFIG_PREEMPTION` without
    // `CONFIG_PREEMPT_DYNAMIC`) has no `__cond_resched()`, and does not need it.
    #[cfg(any(not(CONFIG_PREEMPTION), CONFIG_PREEMPT_DYNAMIC))]
    // SAFETY: The caller is in process context, where sleeping is allowed.
    unsafe {
        bindings::__cond_resched()
    };
}

/// Sleeps for about `milliseconds`, or until a signal is pending.
///
/// Context: process, may sleep.
pub(super) fn msleep_interruptible(milliseconds: c_uint) {
    // SAFETY: The caller is in process context, where sleeping is allowed.
    unsafe { bindings::msleep_interruptible(milliseconds) };
}
