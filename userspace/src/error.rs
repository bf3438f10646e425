// SPDX-License-Identifier: GPL-2.0

//! Errors that say which operation failed, how, and what to do about it.

use std::fmt;
use std::io;
use std::time::Duration;

use nix::errno::Errno;

use crate::framing::Malformed;
use crate::interface::NoInterface;
use crate::mismatch::Mismatch;
use crate::queue::QueueHolder;
use crate::queue::Unwritable;
use crate::status::Status;

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("{operation}: {errno}{}", Fix(.fix))]
    System {
        /// What was being done.
        operation: String,
        /// What the kernel said.
        errno: Errno,
        /// What the user can do about it.
        fix: Option<String>,
    },
    /// The kernel answered a netlink request with an error.
    #[error("{operation}: {status}{}", Fix(.fix))]
    Refused {
        /// What was being done.
        operation: String,
        /// The kernel's answer, extended acknowledgement included.
        status: Status,
        /// What the user can do about it.
        fix: Option<String>,
    },
    /// Nobody listens on the module's protocol number here.
    #[error(
        "protocol {0} has no kernel socket in this network namespace; \
         load the module: insmod rust_nldemo.ko protocol={0}"
    )]
    NoKernelSocket(u8),
    /// There is no network namespace of that name.
    #[error(
        "network namespace '{0}' does not exist (no /run/netns/{0}); \
         `ip netns list` shows those that do, `ip netns add {0}` makes it"
    )]
    NoNamespace(String),
    /// There is no network device of that name, or no longer.
    #[error(transparent)]
    NoInterface(#[from] NoInterface),
    /// Another socket holds the queue.
    #[error(
        "queue {queue} is already bound by portid {}{}; \
         stop that program or choose another --queue",
        .holder.portid, ProcessName(.holder)
    )]
    QueueBusy {
        /// Number of the queue.
        queue: u16,
        /// Who holds it.
        holder: QueueHolder,
    },
    /// The kernel's verifier does not take a BPF program.
    #[error(
        "load BPF program '{program}': {errno}; the kernel's verifier refused it, which may take \
         a newer kernel or CAP_BPF:\n{log}"
    )]
    Verifier {
        /// Name of the program.
        program: String,
        /// What the kernel said.
        errno: Errno,
        /// What the verifier said.
        log: String,
    },
    /// A BPF program or map is not what this crate made.
    #[error("{operation}: {reason}")]
    Bpf {
        /// What was being done.
        operation: String,
        /// What is wrong.
        reason: String,
    },
    /// A packet cannot get other content.
    #[error("rewrite packet: {0}")]
    Unwritable(#[from] Unwritable),
    /// A datagram was longer than the receive buffer, so its end is lost.
    #[error("netlink receive: message of {length} bytes truncated to {capacity}")]
    Truncated {
        /// Length that the kernel sent.
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
    /// The kernel sent something that is not a netlink message.
    #[error("netlink receive: malformed message: {0}")]
    Malformed(&'static str),
    /// Replies did not come in time.
    #[error(
        "no reply to {missing} of {expected} message{} within {timeout:?}; \
         the module may be busy, or something else owns this protocol number",
        if *.expected == 1 { "" } else { "s" }
    )]
    NoReply {
        /// How many replies were expected.
        expected: usize,
        /// How many of them did not come.
        missing: usize,
        /// How long they were waited for.
        timeout: Duration,
    },
    /// A request has no answer, not even a refusal.
    #[error("{operation}: the kernel did not answer; something else may own this protocol number")]
    Unanswered {
        /// What was being done.
        operation: String,
    },
    /// What a dump tells changed while it was read.
    #[error("{operation}: it changes faster than it can be read (NLM_F_DUMP_INTR); try again")]
    Interrupted {
        /// What was being done.
        operation: String,
    },
    /// Replies came that a socket filter drops, or others did not.
    #[error("the socket filter was not honoured: {missing} replies missing, {surplus} too many")]
    Unfiltered {
        /// How many did not come that pass the filter.
        missing: usize,
        /// How many came that do not.
        surplus: usize,
    },
    /// A reply is not what was sent.
    #[error("message with sequence number {sequence}: {mismatch}")]
    Mismatch {
        /// Sequence number of the message from the kernel.
        sequence: u32,
        /// What is wrong with it.
        mismatch: Mismatch,
    },
}

impl Error {
    /// A failed system call, without advice.
    pub fn system(operation: impl Into<String>, errno: Errno) -> Self {
        Self::System {
            operation: operation.into(),
            errno,
            fix: None,
        }
    }

    /// A failed call of a library that reports [`io::Error`].
    pub fn io(operation: impl Into<String>, error: &io::Error) -> Self {
        Self::system(operation, errno_of(error))
    }

    /// The same error with advice added; only for errors that carry advice.
    #[must_use]
    pub fn with_fix(mut self, advice: impl Into<String>) -> Self {
        if let Self::System { fix, .. } | Self::Refused { fix, .. } = &mut self {
            *fix = Some(advice.into());
        }
        self
    }

    /// The same error of a socket to the module: the two ways in which the kernel says that nobody
    /// listens become one clear error.
    pub(crate) fn of_module(self, protocol: u8) -> Self {
        match self.errno() {
            // The former when the protocol is unknown everywhere, the latter when it is known in
            // another network namespace only.
            Some(Errno::EPROTONOSUPPORT | Errno::ECONNREFUSED) => Self::NoKernelSocket(protocol),
            _ => self,
        }
    }

    /// The errno of a failed system call or of the kernel's answer.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::System { errno, .. } | Self::Verifier { errno, .. } => Some(*errno),
            Self::Refused { status, .. } => status.errno,
            Self::Overrun { .. } => Some(Errno::ENOBUFS),
            Self::NoInterface(_) => Some(Errno::ENODEV),
            _ => None,
        }
    }

    /// Whether the question was put and the answer was no, as opposed to not getting to ask.
    #[must_use]
    pub fn is_negative_answer(&self) -> bool {
        matches!(
            self,
            Self::NoReply { .. }
                | Self::Unanswered { .. }
                | Self::Unfiltered { .. }
                | Self::Mismatch { .. }
        )
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.0)
    }
}

/// The errno inside an [`io::Error`] that came from a system call.
pub(crate) fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

struct Fix<'a>(&'a Option<String>);

impl fmt::Display for Fix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(fix) => write!(f, "; {fix}"),
            None => Ok(()),
        }
    }
}

struct ProcessName<'a>(&'a QueueHolder);

impl fmt::Display for ProcessName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.process {
            Some(process) => write!(f, " (process {} '{}')", process.pid, process.name),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_error_names_operation_errno_and_fix() {
        let error = Error::system("open thing", Errno::EPERM).with_fix("run as root");
        assert_eq!(
            error.to_string(),
            "open thing: EPERM: Operation not permitted; run as root"
        );
    }

    #[test]
    fn refused_program_shows_what_the_verifier_says() {
        let error = Error::Verifier {
            program: "p".to_owned(),
            errno: Errno::EACCES,
            log: "0: (95) exit\nR0 !read_ok\n".to_owned(),
        };
        let text = error.to_string();
        assert!(text.starts_with("load BPF program 'p': EACCES"), "{text}");
        assert!(text.ends_with(":\n0: (95) exit\nR0 !read_ok\n"), "{text}");
        assert!(!error.is_negative_answer());
    }

    #[test]
    fn replies_that_ignore_a_filter_are_a_negative_answer() {
        let error = Error::Unfiltered {
            missing: 2,
            surplus: 1,
        };
        assert!(error.is_negative_answer());
        assert_eq!(
            error.to_string(),
            "the socket filter was not honoured: 2 replies missing, 1 too many"
        );
    }

    #[test]
    fn missing_module_says_how_to_load_it() {
        assert_eq!(
            Error::NoKernelSocket(23).to_string(),
            "protocol 23 has no kernel socket in this network namespace; \
             load the module: insmod rust_nldemo.ko protocol=23"
        );
    }
}
