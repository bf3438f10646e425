// SPDX-License-Identifier: GPL-2.0

//! Lets the program end cleanly on SIGINT, SIGTERM and SIGHUP.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use linux_names::Error;
use linux_names::Result;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGXFSZ;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// Signals that come within this time after the first signal count as the same signal. For example,
/// timeout(1) sends one signal to the program and one to the program's process group. When a
/// terminal closes, the kernel sends SIGHUP, and then the shell sends SIGHUP, too.
const AT_ONCE: Duration = Duration::from_millis(300);
/// The process ends within this time after the first signal, even if the program is stuck, for
/// example in a write to a stopped terminal.
pub const LONGEST_END: Duration = Duration::from_secs(10);
/// The stack size of a thread that only waits for signals or for a time. Such a thread needs less
/// than this size.
const STACK_LEN: usize = 64 << 10;

/// The user's wish to stop: a flag, and a file descriptor to poll.
///
/// The first signal asks the program to end. If the process still runs after the time
/// [`LONGEST_END`], it kills itself with the first signal. Another signal kills the process
/// immediately, unless it comes right after the first signal.
///
/// All clones share one flag and one descriptor.
#[derive(Clone)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    readable: Arc<UnixStream>,
    writable: Arc<UnixStream>,
}

impl Stop {
    /// Handles the signals for the rest of the process's life. If the process ignores SIGHUP, for
    /// example because nohup(1) started it, SIGHUP stays ignored.
    ///
    /// SIGXFSZ no longer kills the process: if a file becomes too large, the write fails with
    /// `EFBIG`.
    pub fn on_signals() -> Result<Self> {
        let failed = |error| Error::io("install signal handlers", &error);
        let flag = Arc::new(AtomicBool::new(false));
        let (readable, writable) = UnixStream::pair().map_err(failed)?;
        // No thread reads the bytes that the signal handlers write, so the buffer of the socket may
        // become full. Then a write in a signal handler must not block.
        writable.set_nonblocking(true).map_err(failed)?;
        let mut signals = vec![SIGINT, SIGTERM];
        if !is_ignored(SIGHUP) {
            signals.push(SIGHUP);
        }
        for &signal in &signals {
            signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(failed)?;
            let waker = writable.try_clone().map_err(failed)?;
            signal_hook::low_level::pipe::register(signal, waker).map_err(failed)?;
        }
        signal_hook::flag::register(SIGXFSZ, Arc::default()).map_err(failed)?;
        let signals = Signals::new(signals).map_err(failed)?;
        in_background(|| see_to_the_end(signals)).map_err(failed)?;
        Ok(Self {
            flag,
            readable: Arc::new(readable),
            writable: Arc::new(writable),
        })
    }

    /// Asks all threads to stop.
    pub fn request(&self) {
        self.flag.store(true, Ordering::Relaxed);
        // The write only fails if the buffer of the socket is full. Then `readable` is already
        // readable, so the waiting threads wake up anyway.
        let _ = (&*self.writable).write(&[0]);
    }

    /// Whether a signal or [`request`](Self::request) has asked the program to stop.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

/// Waits for signals. When the time `AT_ONCE` has passed since the first signal, any further signal
/// kills the process. If the process still runs after the time `LONGEST_END`, it kills itself with
/// the first signal.
fn see_to_the_end(mut signals: Signals) {
    let mut first = None;
    for signal in signals.forever() {
        if first.is_none() {
            // If this thread cannot be started, only another signal ends a stuck program.
            let _ = in_background(move || {
                thread::sleep(LONGEST_END);
                die_of(signal);
            });
        }
        if first.get_or_insert_with(Instant::now).elapsed() > AT_ONCE {
            die_of(signal);
        }
    }
}

fn die_of(signal: i32) {
    // The call fails only for signals that a process cannot catch. For SIGINT, SIGTERM and SIGHUP,
    // the call kills the process and does not return.
    let _ = emulate_default_handler(signal);
}

fn in_background(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let thread = thread::Builder::new().stack_size(STACK_LEN);
    thread.spawn(work).map(drop)
}

/// Whether the process ignores a signal.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, signal)
}

/// Whether `/proc/PID/status` says that a signal is ignored.
fn ignores(status: &str, signal: i32) -> bool {
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| (mask >> (signal - 1)) & 1 == 1)
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use knetlink::Wake;
    use knetlink::wait;

    use super::*;

    #[test]
    fn signal_ends_a_wait_without_deadline() {
        let stop = Stop::on_signals().unwrap();
        assert!(!stop.requested());
        signal_hook::low_level::raise(SIGINT).unwrap();
        assert!(stop.requested());
        let woken = wait(None, None, Some(stop.as_fd())).unwrap();
        assert_eq!(woken, Wake::Stopped);
    }

    #[test]
    fn requests_that_nobody_reads_do_not_block() {
        let stop = Stop::on_signals().unwrap();
        (0..100_000).for_each(|_| stop.request());
        assert!(stop.requested());
    }

    #[test]
    fn ignored_signals_are_bits_of_a_mask() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert_eq!(
            [1, 2, 13].map(|signal| ignores(status, signal)),
            [true, false, true]
        );
        assert!(!ignores("", SIGHUP));
    }
}
