// SPDX-License-Identifier: GPL-2.0

//! Threads that are started before they have work.
//!
//! If a thread cannot be started, the program fails early: no packet waits for a verdict yet, and
//! the capture file still has its old content.

use std::io;
use std::sync::mpsc;
use std::sync::mpsc::Sender;
use std::thread;
use std::thread::Scope;
use std::thread::ScopedJoinHandle;

use linux_names::Error;

/// Threads that each wait for one job. The current thread does a job, too. So for N jobs, N - 1
/// threads are started.
pub(super) struct Threads<'scope, Job, Done, Work> {
    waiting: Vec<Waiting<'scope, Job, Done>>,
    work: Work,
}

/// A thread that waits, and the channel through which it gets its job. If this value is dropped
/// before the thread got a job, the thread ends.
struct Waiting<'scope, Job, Done> {
    give: Sender<Job>,
    thread: ScopedJoinHandle<'scope, Option<Done>>,
}

impl<'scope, Job, Done, Work> Threads<'scope, Job, Done, Work>
where
    Job: Send + 'scope,
    Done: Send + 'scope,
    Work: Fn(Job) -> Done + Copy + Send + 'scope,
{
    /// Starts the threads for at most `jobs` jobs. Each thread calls `work` with its job.
    pub(super) fn start(
        scope: &'scope Scope<'scope, '_>,
        jobs: usize,
        work: Work,
    ) -> Result<Self, Error> {
        let start = |_| {
            let (give, take) = mpsc::channel();
            let wait = move || take.recv().ok().map(work);
            let thread = thread::Builder::new().spawn_scoped(scope, wait)?;
            Ok(Waiting { give, thread })
        };
        let waiting: io::Result<_> = (1..jobs).map(start).collect();
        let waiting =
            waiting.map_err(|error| Error::io("start a thread for each queue", &error))?;
        Ok(Self { waiting, work })
    }

    /// Does the first job in the current thread, and each other job in its own thread. Returns the
    /// results in the order of the jobs. If a job panics, this function waits for the other jobs,
    /// and then panics, too.
    ///
    /// # Panics
    ///
    /// Panics if there are more jobs than the number that [`start`](Self::start) got.
    pub(super) fn run(self, jobs: impl IntoIterator<Item = Job>) -> Vec<Done> {
        let Self { waiting, work } = self;
        let mut jobs = jobs.into_iter();
        let first = jobs.next();
        let mut waiting = waiting.into_iter();
        let threads: Vec<_> = jobs
            .map(|job| {
                let Waiting { give, thread } =
                    waiting.next().expect("there is a thread for each job");
                // The send cannot fail, because the thread waits for the job and has not ended.
                let _ = give.send(job);
                thread
            })
            .collect();
        drop(waiting);
        let first = first.map(work);
        let others = threads.into_iter().filter_map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        first.into_iter().chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::panic::catch_unwind;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn all_jobs_are_done_at_once_and_their_results_are_in_order() {
        // No job ends before all jobs have begun. So the test hangs if they do not run in parallel.
        let all = Barrier::new(5);
        let work = |job: usize| {
            all.wait();
            job * 10
        };
        let done = thread::scope(|scope| Threads::start(scope, 5, work).unwrap().run(1..=5));
        assert_eq!(done, [10, 20, 30, 40, 50]);
    }

    #[test]
    fn threads_without_a_job_end() {
        for jobs in 0..4 {
            let work = |job: usize| job;
            let done = thread::scope(|scope| Threads::start(scope, 4, work).unwrap().run(0..jobs));
            assert_eq!(done, (0..jobs).collect::<Vec<_>>());
        }
        thread::scope(|scope| drop(Threads::start(scope, 4, |job: usize| job).unwrap()));
    }

    #[test]
    fn panic_in_one_job_leaves_the_others_to_their_end() {
        for panicking in 0..4 {
            let done = AtomicUsize::new(0);
            let all = Barrier::new(4);
            let work = |job: usize| {
                all.wait();
                assert_ne!(job, panicking, "as a test wants it");
                done.fetch_add(1, Ordering::Relaxed);
            };
            let run = || thread::scope(|scope| Threads::start(scope, 4, work).unwrap().run(0..4));
            catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            assert_eq!(done.into_inner(), 3, "{panicking}");
        }
    }
}
