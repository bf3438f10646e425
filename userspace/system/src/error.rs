// SPDX-License-Identifier: MIT OR Apache-2.0

//! The error of a failed system call: the operation, the errno, and advice.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// The result type of system calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A system call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {errno}{}", Fix(.fix))]
pub struct Error {
    operation: String,
    #[source]
    errno: Errno,
    fix: Option<String>,
}

impl Error {
    /// A failed system call, without advice.
    pub fn new(operation: impl Into<String>, errno: Errno) -> Self {
        Self {
            operation: operation.into(),
            errno,
            fix: None,
        }
    }

    /// A failed call of a library that reports [`io::Error`].
    pub fn io(operation: impl Into<String>, error: &io::Error) -> Self {
        Self::new(operation, errno_of(error))
    }

    /// Adds advice to the error.
    #[must_use]
    pub fn with_fix(self, advice: impl Into<String>) -> Self {
        Self {
            fix: Some(advice.into()),
            ..self
        }
    }

    /// The kernel's errno.
    #[must_use]
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

/// The errno inside an [`io::Error`] that came from a system call.
#[must_use]
pub fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Displays the advice after an error message, if there is advice.
#[derive(Clone, Copy, Debug)]
pub struct Fix<'a>(pub &'a Option<String>);

impl fmt::Display for Fix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(fix) => write!(f, "; {fix}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn system_error_names_operation_errno_and_fix() {
        let error = Error::new("open thing", Errno::EPERM).with_fix("run as root");
        assert_eq!(
            error.to_string(),
            "open thing: EPERM: Operation not permitted; run as root"
        );
        let source = error.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&Errno::EPERM));
    }
}
