// SPDX-License-Identifier: GPL-2.0

//! Waiting for a file descriptor, a point in time and the user's wish to stop, all at once.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;

use crate::error::Error;
use crate::error::Result;
use crate::stop::Stop;

/// What ended a [`wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// There is something to receive.
    Readable,
    /// The deadline passed.
    TimedOut,
    /// The user asked to stop.
    Stopped,
}

/// Blocks until `source` can be read, the deadline passes or `stop` is requested.
pub fn wait(
    source: Option<BorrowedFd<'_>>,
    deadline: Option<Instant>,
    stop: Option<&Stop>,
) -> Result<Wake> {
    loop {
        if stop.is_some_and(Stop::requested) {
            return Ok(Wake::Stopped);
        }
        let timeout = match deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                // Rounded up, or the last fraction of a millisecond would be a busy loop.
                let millis = left.as_nanos().div_ceil(1_000_000);
                PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        let poll_in = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds: Vec<_> = source.into_iter().map(poll_in).collect();
        fds.extend(stop.map(|stop| poll_in(stop.as_fd())));
        match nix::poll::poll(&mut fds, timeout) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::system("poll", errno)),
            Ok(_) => {
                // POLLERR counts too: receiving is what tells the error.
                if source.is_some() && fds[0].any() == Some(true) {
                    return Ok(Wake::Readable);
                }
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Ok(Wake::TimedOut);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
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
}
