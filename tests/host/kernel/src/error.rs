// SPDX-License-Identifier: GPL-2.0

//! Error numbers.

use std::num::TryFromIntError;

use crate::alloc::AllocError;

/// An error number, negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(i32);

/// A result with an error number.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl Error {
    /// The number, negative.
    pub const fn to_errno(self) -> i32 {
        self.0
    }
}

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        code::ENOMEM
    }
}

impl From<TryFromIntError> for Error {
    fn from(_: TryFromIntError) -> Self {
        code::EINVAL
    }
}

/// The errors by their names.
pub mod code {
    use super::Error;

    macro_rules! codes {
        ($($name:ident)*) => {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                pub const $name: Error = Error(-libc::$name);
            )*
        };
    }

    codes!(EINVAL EMSGSIZE ENOMEM EOPNOTSUPP EPERM ERANGE);
}
