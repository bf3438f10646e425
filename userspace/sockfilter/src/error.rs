// SPDX-License-Identifier: MIT OR Apache-2.0

//! The errors of a socket filter.

use linux_names::interface::NoInterface;
use nix::errno::Errno;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of a socket filter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error(transparent)]
    System(#[from] linux_names::Error),
    /// There is no interface with this name, or it was removed.
    #[error(transparent)]
    NoInterface(#[from] NoInterface),
    /// The kernel's verifier rejected the program.
    #[error(
        "load BPF program '{program}': {errno}; the kernel's verifier refused the program, which \
         may need a newer kernel or CAP_BPF:\n{log}"
    )]
    Verifier {
        /// Name of the program.
        program: String,
        /// The kernel's error.
        #[source]
        errno: Errno,
        /// The log of the verifier.
        log: String,
    },
    /// An operation of the crate `aya` on a program or a map failed for another reason.
    #[error("{operation}: {reason}")]
    Bpf {
        /// The operation that failed.
        operation: String,
        /// The cause.
        reason: String,
    },
}

impl Error {
    /// The errno of a failed system call.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::System(error) => Some(error.errno()),
            Self::NoInterface(_) => Some(Errno::ENODEV),
            Self::Verifier { errno, .. } => Some(*errno),
            Self::Bpf { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
