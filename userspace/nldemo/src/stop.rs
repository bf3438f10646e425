// SPDX-License-Identifier: GPL-2.0

//! Stopping cleanly on SIGINT and SIGTERM.

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
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];
/// Signals within this time are one wish: timeout(1) sends one to the program and one to its process
/// group.
const AT_ONCE: Duration = Duration::from_millis(300);
/// More than the thread that waits for signals needs.
const STACK_LEN: usize = 64 << 10;

/// The user's wish to stop: a flag to look at and a file descriptor to poll.
///
/// Another signal, some time later, kills the process, in case it is stuck.
pub struct Stop {
    flag: Arc<AtomicBool>,
    readable: UnixStream,
    writable: UnixStream,
}

impl Stop {
    /// Takes over SIGINT and SIGTERM for the rest of the process's life.
    pub fn on_signals() -> Result<Self> {
        let failed = |error| Error::io("install signal handlers", &error);
        let flag = Arc::new(AtomicBool::new(false));
        let (readable, writable) = UnixStream::pair().map_err(failed)?;
        for signal in SIGNALS {
            signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(failed)?;
            let waker = writable.try_clone().map_err(failed)?;
            signal_hook::low_level::pipe::register(signal, waker).map_err(failed)?;
        }
        let signals = Signals::new(SIGNALS).map_err(failed)?;
        let thread = thread::Builder::new().stack_size(STACK_LEN);
        thread.spawn(|| die_of_another(signals)).map_err(failed)?;
        Ok(Self {
            flag,
            readable,
            writable,
        })
    }

    /// Makes it time to stop, for all threads.
    pub fn request(&self) {
        self.flag.store(true, Ordering::Relaxed);
        // It only fails if it is full, and then there is enough to read.
        let _ = (&self.writable).write(&[0]);
    }

    /// Whether it is time to stop.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

/// Waits for a signal, and then for another that is not the same wish.
fn die_of_another(mut signals: Signals) {
    let mut first = None;
    for signal in signals.forever() {
        if first.get_or_insert_with(Instant::now).elapsed() > AT_ONCE {
            // It fails for signals that cannot be caught, and does not return for these.
            let _ = emulate_default_handler(signal);
        }
    }
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
}
