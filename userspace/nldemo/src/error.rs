// SPDX-License-Identifier: GPL-2.0

//! The errors of this crate.

use std::time::Duration;

use knetlink::Malformed;
use nix::errno::Errno;

use crate::mismatch::Mismatch;

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error(transparent)]
    System(#[from] linux_names::Error),
    /// The socket to the kernel failed, or the kernel refused a request.
    #[error(transparent)]
    Netlink(#[from] knetlink::Error),
    /// A socket filter could not be made.
    #[error(transparent)]
    Filter(#[from] sockfilter::Error),
    /// No kernel socket has the module's protocol number in this network namespace.
    #[error(
        "protocol {0} has no kernel socket in this network namespace; \
         load the module: insmod rust_nldemo.ko protocol={0}"
    )]
    NoKernelSocket(u8),
    /// There is no network namespace with this name.
    #[error(
        "network namespace '{0}' does not exist (no /run/netns/{0}); \
         `ip netns list` shows all names, `ip netns add {0}` makes the namespace"
    )]
    NoNamespace(String),
    /// Replies did not come in time.
    #[error(
        "no reply to {missing} of {expected} message{} within {timeout:?}; \
         the module may be busy, or another kernel module owns this protocol number",
        if *.expected == 1 { "" } else { "s" }
    )]
    NoReply {
        /// The number of expected replies.
        expected: usize,
        /// The number of replies that did not come.
        missing: usize,
        /// The time that the client waited.
        timeout: Duration,
    },
    /// Replies arrived that a socket filter should have dropped, or replies are missing that should
    /// have passed.
    #[error(
        "the socket filter did not work: replies that are missing: {missing}, \
         replies that the filter should have dropped: {surplus}"
    )]
    Unfiltered {
        /// The number of replies that should have passed the filter and did not arrive.
        missing: usize,
        /// The number of replies that arrived although the filter should have dropped them.
        surplus: usize,
    },
    /// A reply differs from the message that was sent.
    #[error("message with sequence number {sequence}: {mismatch}")]
    Mismatch {
        /// Sequence number of the message from the kernel.
        sequence: u32,
        /// The difference from the expected reply.
        #[source]
        mismatch: Mismatch,
    },
}

impl Error {
    /// Converts an error of the socket that talks to the module. The kernel has two errnos for a
    /// protocol without a kernel socket. This function turns both errnos into
    /// [`NoKernelSocket`](Self::NoKernelSocket).
    pub(crate) fn of_module(error: knetlink::Error, protocol: u8) -> Self {
        match error.errno() {
            // The kernel returns EPROTONOSUPPORT if no network namespace has the protocol, and
            // ECONNREFUSED if only other network namespaces have it.
            Some(Errno::EPROTONOSUPPORT | Errno::ECONNREFUSED) => Self::NoKernelSocket(protocol),
            _ => error.into(),
        }
    }

    /// The errno of a failed system call or of the kernel's answer.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::System(error) => Some(error.errno()),
            Self::Netlink(error) => error.errno(),
            Self::Filter(error) => error.errno(),
            _ => None,
        }
    }

    /// Whether replies are missing or wrong, which is a negative result. Other errors mean that the
    /// kernel did not serve the request.
    #[must_use]
    pub fn is_negative_answer(&self) -> bool {
        matches!(
            self,
            Self::NoReply { .. }
                | Self::Netlink(knetlink::Error::Unanswered { .. })
                | Self::Unfiltered { .. }
                | Self::Mismatch { .. }
        )
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::Netlink(malformed.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_that_ignore_a_filter_are_a_negative_answer() {
        let error = Error::Unfiltered {
            missing: 2,
            surplus: 1,
        };
        assert!(error.is_negative_answer());
        assert_eq!(
            error.to_string(),
            "the socket filter did not work: replies that are missing: 2, \
             replies that the filter should have dropped: 1"
        );
    }

    #[test]
    fn silence_of_the_kernel_is_a_negative_answer_and_its_refusal_is_not() {
        let operation = "ask".to_owned();
        assert!(Error::from(knetlink::Error::Unanswered { operation }).is_negative_answer());
        let refused = linux_names::Error::new("ask", Errno::EPERM);
        assert!(!Error::Netlink(refused.into()).is_negative_answer());
    }

    #[test]
    fn missing_module_says_how_to_load_it() {
        for errno in [Errno::EPROTONOSUPPORT, Errno::ECONNREFUSED] {
            let error = linux_names::Error::new("open socket", errno);
            let error = Error::of_module(error.into(), 23);
            assert_eq!(
                error.to_string(),
                "protocol 23 has no kernel socket in this network namespace; \
                 load the module: insmod rust_nldemo.ko protocol=23"
            );
        }
        let error = linux_names::Error::new("open socket", Errno::EPERM);
        let error = Error::of_module(error.into(), 23);
        assert_eq!(error.errno(), Some(Errno::EPERM));
    }
}
