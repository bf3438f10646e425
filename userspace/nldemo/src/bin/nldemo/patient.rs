// SPDX-License-Identifier: GPL-2.0

//! Writes to files that other programs may have set to non-blocking.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;

/// Writes all bytes. Waits while the file has no room.
///
/// `O_NONBLOCK` is a flag of the open file, which other programs may share. Some programs set the
/// flag and leave it set. This program must not clear the flag, because other programs may rely on
/// it.
pub(crate) fn write_all(file: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = write(&file, bytes)?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Writes at least one of the bytes. Returns the number of bytes that were written.
pub(crate) fn write(file: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match nix::unistd::write(&file, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => return Ok(written),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait_for_room(&file)?,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Waits until a write to the file would write bytes or return an error.
fn wait_for_room(file: impl AsFd) -> io::Result<()> {
    let mut files = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
    match nix::poll::poll(&mut files, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    #[test]
    fn file_that_does_not_block_is_waited_for() {
        let (writable, mut readable) = UnixStream::pair().unwrap();
        writable.set_nonblocking(true).unwrap();
        let bytes: Vec<u8> = (0..4_000_000_u32)
            .map(|place| place.to_le_bytes()[1])
            .collect();
        let expected = bytes.clone();
        let writer = thread::spawn(move || write_all(&writable, &bytes));
        let mut found = Vec::new();
        readable.read_to_end(&mut found).unwrap();
        writer.join().unwrap().unwrap();
        assert!(found == expected);
    }

    #[test]
    fn reader_that_leaves_is_an_error() {
        let (writable, readable) = UnixStream::pair().unwrap();
        drop(readable);
        let error = write_all(&writable, b"!").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
