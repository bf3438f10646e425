// SPDX-License-Identifier: MIT OR Apache-2.0

//! The errors of a queue.

use std::fmt;
use std::io;

use knetlink::Malformed;
use linux_names::text::Escaped;
use nix::errno::Errno;

use crate::owner::QueueHolder;
use crate::unwritable::Unwritable;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of a queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket to the kernel failed, or the kernel refused a request.
    #[error(transparent)]
    Netlink(#[from] knetlink::Error),
    /// Another socket holds the queue.
    #[error(
        "queue {queue} is already bound by portid {}{}; \
         stop that program or choose another queue",
        .holder.portid, ProcessName(.holder)
    )]
    QueueBusy {
        /// Number of the queue.
        queue: u16,
        /// The holder of the queue.
        holder: QueueHolder,
    },
    /// The content of a packet cannot be replaced; the field says why.
    #[error("rewrite packet: {0}")]
    Unwritable(#[from] Unwritable),
}

impl Error {
    /// Whether the program should try again: the kernel lacked memory for the message (`ENOBUFS`),
    /// or had no room for it (`EAGAIN`).
    ///
    /// The queue keeps the verdicts that were not sent, see [`Queue::flush`](crate::Queue::flush).
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.errno(), Some(Errno::ENOBUFS | Errno::EAGAIN))
    }

    /// The errno of a failed system call or of the kernel's answer.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Netlink(error) => error.errno(),
            _ => None,
        }
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::Netlink(malformed.into())
    }
}

/// The conversion that the operator `?` makes in functions that return [`std::io::Result`]. The
/// queue's error is inside the [`io::Error`].
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = error.errno().map(|errno| Self::from(errno).kind());
        Self::new(kind.unwrap_or(io::ErrorKind::Other), error)
    }
}

struct ProcessName<'a>(&'a QueueHolder);

impl fmt::Display for ProcessName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.process {
            Some(process) => write!(
                f,
                " (process {} '{}')",
                process.pid,
                Escaped(process.name.as_bytes())
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use linux_names::process::Process;

    use super::*;

    #[test]
    fn busy_queue_names_its_holder() {
        let error = |process| Error::QueueBusy {
            queue: 5,
            holder: QueueHolder {
                portid: 4711,
                process,
            },
        };
        assert_eq!(
            error(None).to_string(),
            "queue 5 is already bound by portid 4711; stop that program or choose another queue"
        );
        let process = Process {
            pid: 12,
            name: "suricata".to_owned(),
        };
        let text = error(Some(process)).to_string();
        assert!(
            text.contains(" portid 4711 (process 12 'suricata'); "),
            "{text}"
        );
    }

    #[test]
    fn errors_of_io_have_the_kind_and_the_text() {
        let denied = linux_names::Error::io("open", &Errno::EPERM.into());
        let denied = Error::from(knetlink::Error::from(denied));
        let text = denied.to_string();
        let error = io::Error::from(denied);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(error.to_string(), text);
        let malformed = io::Error::from(Error::from(Malformed("message without an end")));
        assert_eq!(malformed.kind(), io::ErrorKind::Other);
        assert!(malformed.downcast::<Error>().is_ok());
    }
}
