// SPDX-License-Identifier: GPL-2.0

//! Counters that every CPU has for itself.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use core::{
    arch::asm,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::Cpumask,
    prelude::*, //
};

use super::stack::assert_fits;

#[cfg(not(all(CONFIG_X86_64, CONFIG_SMP)))]
compile_error!("Counters::add() is written for x86_64 with CONFIG_SMP");

/// `N` counters for every CPU that the machine can have.
///
/// Adding to one costs a single instruction and no cache line that another CPU writes to.
///
/// # Invariants
///
/// `base` is per-CPU memory, ours, that holds `N` counters.
pub struct Counters<const N: usize> {
    base: NonNull<u64>,
}

// SAFETY: The memory is not tied to a thread.
unsafe impl<const N: usize> Send for Counters<N> {}
// SAFETY: Counters are added to by their own CPU, in one instruction, and read whole.
unsafe impl<const N: usize> Sync for Counters<N> {}

impl<const N: usize> Counters<N> {
    /// Allocates counters that start from zero. Context: process, may sleep.
    ///
    /// No counters, or more than 128, do not compile: readers have copies of one CPU's on the stack.
    pub fn new() -> Result<Self> {
        const {
            assert!(N > 0);
            assert_fits::<[u64; N]>();
        };
        // SAFETY: Size and alignment are within what the allocator takes. Memory comes zeroed. There
        // is no need to warn of what is told.
        let base = unsafe {
            bindings::pcpu_alloc_noprof(
                size_of::<[u64; N]>(),
                align_of::<u64>(),
                false,
                bindings::GFP_KERNEL | bindings::__GFP_NOWARN,
            )
        };
        // INVARIANT: As it says.
        NonNull::new(base.cast())
            .map(|base| Self { base })
            .ok_or(ENOMEM)
    }

    /// Adds 1 to a counter of the CPU that this runs on (`this_cpu_inc()`). Context: any.
    ///
    /// # Panics
    ///
    /// If `counter` is not below `N`.
    #[inline]
    pub fn increment(&self, counter: usize) {
        assert!(counter < N);
        let counter = self.base.as_ptr().wrapping_add(counter);
        // SAFETY: As in `add`.
        unsafe {
            asm!(
                "inc qword ptr gs:[{counter}]",
                counter = in(reg) counter,
                options(nostack),
            );
        }
    }

    /// Adds to a counter of the CPU that this runs on (`this_cpu_add()`). Context: any.
    ///
    /// # Panics
    ///
    /// If `counter` is not below `N`.
    #[inline]
    pub fn add(&self, counter: usize, count: u64) {
        assert!(counter < N);
        let counter = self.base.as_ptr().wrapping_add(counter);
        // SAFETY: By the type invariants this is one of our counters. `gs` holds the offset of this
        // CPU's copy of per-CPU memory. One instruction cannot be interrupted half-way, nor moved to
        // another CPU.
        unsafe {
            asm!(
                "add qword ptr gs:[{counter}], {count}",
                counter = in(reg) counter,
                count = in(reg) count,
                options(nostack),
            );
        }
    }

    /// The counters of one CPU after the other, for all that the machine can ever have, online or not
    /// (`for_each_possible_cpu()`).
    ///
    /// They are read backwards, each of them once. If a task adds to two counters of one CPU in the
    /// order of their numbers, a reader never sees the second ahead of the first. A task that moves to
    /// another CPU between the two adds to both CPUs: then the second can be ahead on one CPU, by as
    /// many as such tasks, and so it can in the totals while counting goes on. Hooks in softirq do not
    /// move. Context: any.
    pub fn per_cpu(&self) -> impl Iterator<Item = (CpuId, [u64; N])> + '_ {
        // SAFETY: The mask is static, and constant once the machine has booted.
        let possible = unsafe { Cpumask::from_raw(&raw const bindings::__cpu_possible_mask) };
        (0..nr_cpu_ids())
            .filter_map(CpuId::from_u32)
            .filter(|cpu| possible.test(*cpu))
            // SAFETY: Just tested.
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

    /// The counters of a CPU.
    ///
    /// # Safety
    ///
    /// The CPU must be possible.
    unsafe fn read(&self, cpu: CpuId) -> [u64; N] {
        // SAFETY: The table is static, has an entry for every CPU, and is constant once the machine
        // has booted.
        let offset =
            unsafe { (&raw const bindings::__per_cpu_offset[cpu.as_u32() as usize]).read() };
        let copy = self.base.as_ptr().wrapping_byte_add(offset);
        let mut counts = [0; N];
        for (counter, count) in counts.iter_mut().enumerate().rev() {
            // SAFETY: By the type invariants the CPU's copy, which a possible CPU has, holds `N`
            // counters. Its CPU may write to them: each is read in one piece, once.
            *count = unsafe { copy.add(counter).read_volatile() };
        }
        counts
    }
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
    fn counters_wrap() -> Result {
        let counters = Counters::<1>::new()?;
        counters.add(0, 5);
        counters.add(0, u64::MAX);
        assert!(counters.total() == [4]);
        Ok(())
    }
}
