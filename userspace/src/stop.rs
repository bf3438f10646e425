// SPDX-License-Identifier: GPL-2.0

//! Stopping cleanly on SIGINT and SIGTERM.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;

use crate::error::Error;
use crate::error::Result;

/// The user's wish to stop: a flag to look at and a file descriptor to poll.
///
/// A second signal kills the process, in case it is stuck.
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
        for signal in [SIGINT, SIGTERM] {
            // Order matters: the first signal finds the flag clear and then sets it.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag))
                .map_err(failed)?;
            signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(failed)?;
            let waker = writable.try_clone().map_err(failed)?;
            signal_hook::low_level::pipe::register(signal, waker).map_err(failed)?;
        }
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

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::Wake;
    use crate::wait::wait;

    #[test]
    fn signal_ends_a_wait_without_deadline() {
        let stop = Stop::on_signals().unwrap();
        assert!(!stop.requested());
        signal_hook::low_level::raise(SIGINT).unwrap();
        assert!(stop.requested());
        assert_eq!(wait(None, None, Some(&stop)).unwrap(), Wake::Stopped);
    }
}
