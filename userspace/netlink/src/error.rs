// SPDX-License-Identifier: MIT OR Apache-2.0

//! Errors of communication between a program and the kernel's netlink.

use linux_names::Fix;
use nix::errno::Errno;

use crate::framing::Malformed;
use crate::status::Status;

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error(transparent)]
    System(#[from] linux_names::Error),
    /// The kernel answered a request with an error.
    #[error("{operation}: {status}{}", Fix(.fix))]
    Refused {
        /// The operation that the kernel refused.
        operation: String,
        /// The kernel's answer, with the extended acknowledgement.
        #[source]
        status: Status,
        /// Advice to the user, if there is any.
        fix: Option<String>,
    },
    /// A datagram was longer than the receive buffer, so its end is lost.
    #[error("netlink receive: message of {length} bytes truncated to {capacity}")]
    Truncated {
        /// Length of the datagram that the kernel sent.
        length: usize,
        /// Length of the buffer.
        capacity: usize,
    },
    /// The kernel dropped messages because the socket's receive buffer was full.
    #[error(
        "netlink receive: {}; the receive buffer of {capacity} bytes overflowed and messages were \
         lost: send smaller batches, or run with CAP_NET_ADMIN, or raise the limit with \
         `sysctl -w net.core.rmem_max=BYTES`",
        Errno::ENOBUFS
    )]
    Overrun {
        /// Size of the socket's receive buffer as the kernel accounts it.
        capacity: usize,
    },
    /// The kernel sent bytes that do not follow the protocol.
    #[error("netlink receive: {0}")]
    Malformed(#[from] Malformed),
    /// The kernel did not answer a request, not even with a refusal.
    #[error(
        "{operation}: the kernel did not answer; another kernel module may own this protocol number"
    )]
    Unanswered {
        /// The operation that the request was for.
        operation: String,
    },
    /// The data of a dump changed while the dump was read.
    #[error("{operation}: the data changed while it was read (NLM_F_DUMP_INTR); try again")]
    Interrupted {
        /// The operation that made the dump.
        operation: String,
    },
}

impl Error {
    /// Adds advice to the error. An error that cannot carry advice stays as it is.
    #[must_use]
    pub fn with_fix(self, advice: impl Into<String>) -> Self {
        match self {
            Self::System(error) => Self::System(error.with_fix(advice)),
            Self::Refused {
                operation, status, ..
            } => Self::Refused {
                operation,
                status,
                fix: Some(advice.into()),
            },
            other => other,
        }
    }

    /// The errno of a failed system call or of the kernel's answer.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::System(error) => Some(error.errno()),
            Self::Refused { status, .. } => status.errno,
            Self::Overrun { .. } => Some(Errno::ENOBUFS),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn refusal_has_advice_and_the_errno_at_its_bottom() {
        let status = Status {
            errno: Some(Errno::EPERM),
            request: 19,
            text: Some("no".to_owned()),
            offset: None,
        };
        let operation = "set thing".to_owned();
        let error = Error::Refused {
            operation,
            status,
            fix: None,
        };
        let error = error.with_fix("run as root");
        assert_eq!(
            error.to_string(),
            "set thing: EPERM: Operation not permitted (kernel: no); run as root"
        );
        let errno = error.source().and_then(|status| status.source());
        assert_eq!(
            errno.and_then(|errno| errno.downcast_ref()),
            Some(&Errno::EPERM)
        );
    }

    #[test]
    fn malformed_messages_and_failed_calls_say_so() {
        let error = Error::from(Malformed("no message"));
        assert_eq!(
            error.to_string(),
            "netlink receive: malformed message: no message"
        );
        let error = Error::from(linux_names::Error::new("poll", Errno::ENOMEM));
        assert_eq!(
            error.with_fix("wait").to_string(),
            "poll: ENOMEM: Out of memory; wait"
        );
    }
}
