// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting for a file descriptor, a deadline and a request to stop at the same time.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;

use crate::error::Result;

/// The event that ended a [`wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// There is something to receive.
    Readable,
    /// The deadline passed.
    TimedOut,
    /// The program must stop.
    Stopped,
}

/// Blocks until `source` can be read, the deadline passes, or `stop` can be read. A readable `stop`
/// means that the program must stop.
///
/// If several of these events have happened, the result is the first in this order: `stop`,
/// `source`, deadline.
pub fn wait(
    source: Option<BorrowedFd<'_>>,
    deadline: Option<Instant>,
    stop: Option<BorrowedFd<'_>>,
) -> Result<Wake> {
    loop {
        let timeout = match deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                // The time is rounded up to milliseconds. Otherwise each poll() during the last
                // fraction of a millisecond would return immediately, and the loop would be busy.
                let millis = left.as_nanos().div_ceil(1_000_000);
                PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        let poll_in = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds: Vec<_> = stop.into_iter().chain(source).map(poll_in).collect();
        match nix::poll::poll(&mut fds, timeout) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(linux_names::Error::new("poll", errno).into()),
            Ok(_) => {
                // A descriptor with POLLERR is treated as readable, because the next receipt
                // returns the error.
                let mut ready = fds.iter().map(|fd| fd.any() == Some(true));
                if stop.is_some() && ready.next() == Some(true) {
                    return Ok(Wake::Stopped);
                }
                if ready.next() == Some(true) {
                    return Ok(Wake::Readable);
                }
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Ok(Wake::TimedOut);
                }
            }
        }
    }
}

/// Returns what [`wait`] would return for a source that is already readable. This function does not
/// block, and only looks at `stop`.
pub fn already_readable(stop: Option<BorrowedFd<'_>>) -> Result<Wake> {
    Ok(match wait(None, Some(Instant::now()), stop)? {
        Wake::TimedOut => Wake::Readable,
        woken => woken,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadline_ends_a_wait_and_not_before() {
        let (readable, _writable) = UnixStream::pair().unwrap();
        for source in [None, Some(readable.as_fd())] {
            let start = Instant::now();
            let deadline = start + Duration::from_millis(30);
            assert_eq!(wait(source, Some(deadline), None).unwrap(), Wake::TimedOut);
            assert!(start.elapsed() >= Duration::from_millis(30));
        }
    }

    #[test]
    fn what_can_be_read_ends_a_wait_without_deadline() {
        let (readable, mut writable) = UnixStream::pair().unwrap();
        writable.write_all(b"!").unwrap();
        let woken = wait(Some(readable.as_fd()), None, None).unwrap();
        assert_eq!(woken, Wake::Readable);
    }

    #[test]
    fn wish_to_stop_comes_before_all_else() {
        let (source, mut sending) = UnixStream::pair().unwrap();
        let (stop, mut stopping) = UnixStream::pair().unwrap();
        let (source, stop) = (Some(source.as_fd()), Some(stop.as_fd()));
        let past = Some(Instant::now());
        assert_eq!(wait(source, past, stop).unwrap(), Wake::TimedOut);
        sending.write_all(b"!").unwrap();
        assert_eq!(wait(source, past, stop).unwrap(), Wake::Readable);
        assert_eq!(already_readable(stop).unwrap(), Wake::Readable);
        stopping.write_all(b"!").unwrap();
        assert_eq!(wait(source, past, stop).unwrap(), Wake::Stopped);
        assert_eq!(wait(None, None, stop).unwrap(), Wake::Stopped);
        assert_eq!(already_readable(stop).unwrap(), Wake::Stopped);
    }
}
