// SPDX-License-Identifier: GPL-2.0

//! Counters with a copy for every CPU, on 64-bit kernels with `CONFIG_SMP`.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use core::ptr::NonNull;

use kernel::{
    bindings,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::Cpumask,
    prelude::*, //
};

use super::{
    acquire::read_acquire,
    stack::assert_fits, //
};

/// `N` counters for every CPU that the machine can have.
///
/// An addition touches no cache line that another CPU writes to. On x86-64 an addition is a single
/// instruction.
///
/// # Invariants
///
/// `base` is per-CPU memory that holds `N` counters. We own it.
pub struct Counters<const N: usize> {
    base: NonNull<u64>,
}

// SAFETY: The memory is not tied to a thread.
unsafe impl<const N: usize> Send for Counters<N> {}
// SAFETY: An addition is either a single instruction on the CPU that the counter belongs to, or an
// atomic operation. A read is a single access.
unsafe impl<const N: usize> Sync for Counters<N> {}

impl<const N: usize> Counters<N> {
    /// Allocates counters that start from zero. Context: process, may sleep.
    ///
    /// `N` must be 1 to 128, otherwise the call does not compile. The limit exists because readers
    /// copy the counters of one CPU to the stack.
    pub fn new() -> Result<Self> {
        const {
            assert!(N > 0);
            assert_fits::<[u64; N]>();
        };
        // SAFETY: The allocator accepts this size and alignment. The allocator zeroes the memory.
        // The allocator need not log a failure, because the caller gets the error.
        let base = unsafe {
            bindings::pcpu_alloc_noprof(
                size_of::<[u64; N]>(),
                align_of::<u64>(),
                false,
                bindings::GFP_KERNEL | bindings::__GFP_NOWARN,
            )
        };
        // INVARIANT: `base` was allocated just now, for `N` counters.
        NonNull::new(base.cast())
            .map(|base| Self { base })
            .ok_or(ENOMEM)
    }

    /// Adds 1 to a counter of the CPU that runs this function (`this_cpu_inc()`). Context: any.
    ///
    /// # Panics
    ///
    /// The call panics if `counter` is not below `N`.
    #[inline]
    pub fn increment(&self, counter: usize) {
        assert!(counter < N);
        let counter = self.base.as_ptr().wrapping_add(counter);
        // SAFETY: The number of the counter is below `N`. So by the type invariants the
        // pointer leads to one of our counters.
        unsafe { arch::increment(counter) };
    }

    /// Adds `count` to a counter of the CPU that runs this function (`this_cpu_add()`). Context:
    /// any.
    ///
    /// # Panics
    ///
    /// The call panics if `counter` is not below `N`.
    #[inline]
    pub fn add(&self, counter: usize, count: u64) {
        assert!(counter < N);
        let counter = self.base.as_ptr().wrapping_add(counter);
        // SAFETY: The number of the counter is below `N`. So by the type invariants the
        // pointer leads to one of our counters.
        unsafe { arch::add(counter, count) };
    }

    /// The counters of all CPUs that the machine can ever have, online or not, one CPU after the
    /// other (`for_each_possible_cpu()`).
    ///
    /// The counters of a CPU are read from the last to the first, each of them once. If a task adds
    /// 1 to two counters of one CPU in the order of their numbers, a reader never sees the second
    /// counter ahead of (larger than) the first.
    ///
    /// A task can move to another CPU between the two additions. Then the task adds to the first
    /// counter on one CPU, and to the second counter on another CPU. On the other CPU, each such
    /// task can put the second counter ahead by one. While tasks add to the counters, the sum of
    /// the second counter can be ahead of the sum of the first counter, too. A hook that
    /// runs in softirq makes both additions on one CPU, because code in softirq does not
    /// move to another CPU.
    ///
    /// Context: any.
    pub fn per_cpu(&self) -> impl Iterator<Item = (CpuId, [u64; N])> + '_ {
        // SAFETY: The mask is static, and constant after the machine has booted.
        let possible = unsafe { Cpumask::from_raw(&raw const bindings::__cpu_possible_mask) };
        (0..nr_cpu_ids())
            .filter_map(CpuId::from_u32)
            .filter(|cpu| possible.test(*cpu))
            // SAFETY: The mask says that the CPU is possible.
            .map(|cpu| (cpu, unsafe { self.read(cpu) }))
    }

    /// The sums over all CPUs. Context: any.
    pub fn total(&self) -> [u64; N] {
        self.per_cpu().fold([0; N], |mut total, (_, counts)| {
            for (sum, count) in total.iter_mut().zip(counts) {
                *sum = sum.wrapping_add(count);
            }
            total
        })
    }

    /// The counters of one CPU.
    ///
    /// # Safety
    ///
    /// `cpu` must be a possible CPU (`cpu_possible_mask`).
    unsafe fn read(&self, cpu: CpuId) -> [u64; N] {
        let copy = self.base.as_ptr().wrapping_byte_add(offset(cpu));
        let mut counts = [0; N];
        for (counter, count) in counts.iter_mut().enumerate().rev() {
            // SAFETY: A possible CPU has its own copy of per-CPU memory. By the type invariants the
            // copy holds `N` counters. Each counter has the size of a pointer, and every addition
            // writes a counter in one piece.
            *count = unsafe { read_acquire(copy.add(counter).cast()) } as u64;
        }
        counts
    }
}

#[cfg(CONFIG_X86_64)]
mod arch {
    use core::arch::asm;

    /// Adds 1 to this CPU's copy of a counter (`this_cpu_inc()`).
    ///
    /// # Safety
    ///
    /// The same requirement as for [`add`].
    #[inline]
    pub(super) unsafe fn increment(counter: *mut u64) {
        // SAFETY: The same argument as in `add`.
        unsafe {
            asm!(
                "inc qword ptr gs:[{counter}]",
                counter = in(reg) counter,
                options(nostack),
            );
        }
    }

    /// Adds `count` to this CPU's copy of a counter (`this_cpu_add()`).
    ///
    /// # Safety
    ///
    /// `counter` must be a counter in per-CPU memory.
    #[inline]
    pub(super) unsafe fn add(counter: *mut u64, count: u64) {
        // SAFETY: The caller promises that `counter` is in per-CPU memory. `gs` holds the offset of
        // this CPU's copy of per-CPU memory. An interrupt cannot split one instruction, and the
        // task cannot move to another CPU during one instruction. Other CPUs see the writes of a
        // CPU in the order in which the CPU made them.
        unsafe {
            asm!(
                "add qword ptr gs:[{counter}], {count}",
                counter = in(reg) counter,
                count = in(reg) count,
                options(nostack),
            );
        }
    }
}

#[cfg(not(CONFIG_X86_64))]
use self::portable as arch;

// Every architecture except x86-64 uses this `mod`. On x86-64 only the KUnit tests use it.
#[cfg(any(not(CONFIG_X86_64), all(net_kunit, CONFIG_KUNIT = "y")))]
mod portable {
    use crate::net::percpu::offset;

    use kernel::{
        cpu::CpuId,
        sync::atomic::{
            Atomic,
            Release, //
        }, //
    };

    /// Adds 1 to this CPU's copy of a counter, on any machine.
    ///
    /// # Safety
    ///
    /// The same requirement as for [`add`].
    #[inline]
    // On x86-64 only the KUnit tests use this `mod`, and they do not call this function.
    #[cfg_attr(CONFIG_X86_64, expect(dead_code))]
    pub(super) unsafe fn increment(counter: *mut u64) {
        // SAFETY: This function has the same requirement as `add`, and the caller keeps it.
        unsafe { add(counter, 1) };
    }

    /// Adds `count` to this CPU's copy of a counter, on any machine.
    ///
    /// The addition is atomic, for two reasons. First, an interrupt can add to the same counter: if
    /// the addition were a load, an add and a store with preemption disabled, an addition by the
    /// interrupt between the load and the store would be lost. Second, the task can move to another
    /// CPU before it adds. It then adds to the copy of the CPU that it left, and code on that CPU
    /// can add to the same copy at the same time.
    ///
    /// If a reader reads with acquire order and sees this addition, it also sees the additions that
    /// the task made before.
    ///
    /// # Safety
    ///
    /// `counter` must be a counter in per-CPU memory.
    #[inline]
    pub(super) unsafe fn add(counter: *mut u64, count: u64) {
        let copy = counter.wrapping_byte_add(offset(CpuId::current()));
        // SAFETY: The caller promises that `counter` is in per-CPU memory. A CPU that runs code is
        // possible, so it has a copy of this memory. All code reads and writes a counter in one
        // piece.
        unsafe { Atomic::from_ptr(copy) }.fetch_add(count, Release);
    }
}

/// The offset from a per-CPU pointer to the copy of `cpu`, in bytes.
#[inline]
fn offset(cpu: CpuId) -> usize {
    // SAFETY: The table is static, has an entry for every CPU, and is constant after the machine
    // has booted.
    unsafe { (&raw const bindings::__per_cpu_offset[cpu.as_u32() as usize]).read() }
}

impl<const N: usize> Drop for Counters<N> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the memory is ours.
        unsafe { bindings::free_percpu(self.base.as_ptr().cast()) };
    }
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_percpu)]
mod tests {
    use super::*;

    #[test]
    fn counters_start_from_zero_and_add_up() -> Result {
        let counters = Counters::<3>::new()?;
        assert!(counters.total() == [0; 3]);
        for _ in 0..1000 {
            counters.increment(0);
            counters.add(2, u64::from(u32::MAX));
        }
        assert!(counters.total() == [1000, 0, 1000 * u64::from(u32::MAX)]);
        assert!(counters.per_cpu().map(|(_, counts)| counts[0]).sum::<u64>() == 1000);
        assert!(counters.per_cpu().all(|(_, counts)| counts[1] == 0));
        Ok(())
    }

    #[test]
    fn portable_counters_add_up() -> Result {
        let counters = Counters::<3>::new()?;
        let last = counters.base.as_ptr().wrapping_add(2);
        for _ in 0..1000 {
            // SAFETY: `last` points to the last of the three counters.
            unsafe { portable::add(last, u64::from(u32::MAX)) };
            counters.add(2, 1);
        }
        assert!(counters.total() == [0, 0, 1000 << 32]);
        Ok(())
    }

    #[test]
    fn counters_wrap() -> Result {
        let counters = Counters::<1>::new()?;
        counters.add(0, 5);
        counters.add(0, u64::MAX);
        assert!(counters.total() == [4]);
        Ok(())
    }
}
