// SPDX-License-Identifier: GPL-2.0

//! Why a request fails.

use kernel::prelude::*;

/// The failure of a request: its error number and, for clients that enabled `NETLINK_EXT_ACK`, what
/// the acknowledgement says beyond it.
///
/// Made from a plain [`Error`] by `?`, it says no more than that.
#[derive(Clone, Copy)]
pub struct Refusal {
    error: Error,
    message: Option<&'static CStr>,
    offset: Option<usize>,
    missing: Option<u16>,
    nest: Option<usize>,
}

impl Refusal {
    /// The length of the longest text, in bytes. The length of an attribute has 16 bits, and
    /// `netlink_ack()` does not check it.
    const TEXT_MAX: usize = 1024;

    /// Says in words what is wrong, as `NL_SET_ERR_MSG()` does. Of a text of more than 1,024 bytes,
    /// nothing is said.
    pub const fn new(error: Error, message: &'static CStr) -> Self {
        let fits = message.count_bytes() <= Self::TEXT_MAX;
        Self {
            error,
            message: if fits { Some(message) } else { None },
            offset: None,
            missing: None,
            nest: None,
        }
    }

    /// Points at the attribute that starts at `offset` of the message's payload.
    pub(super) const fn at(self, offset: usize) -> Self {
        Self {
            offset: Some(offset),
            ..self
        }
    }

    /// A required attribute is not there, in the nest that starts at `nest` of the message's
    /// payload.
    pub(super) const fn missing(number: u16, nest: Option<usize>) -> Self {
        Self {
            missing: Some(number),
            nest,
            ..Self::new(EINVAL, c"Attribute is missing")
        }
    }

    /// The error number.
    pub fn error(&self) -> Error {
        self.error
    }

    /// The text, if there is one (`NLMSGERR_ATTR_MSG`).
    pub(super) fn message(&self) -> Option<&'static CStr> {
        self.message
    }

    /// Where the offending attribute starts in the message's payload (`NLMSGERR_ATTR_OFFS`, which
    /// counts from the start of the message).
    pub(super) fn offset(&self) -> Option<usize> {
        self.offset
    }

    /// The number of the attribute that is missing (`NLMSGERR_ATTR_MISS_TYPE`).
    pub(super) fn missing_attribute(&self) -> Option<u16> {
        self.missing
    }

    /// Where the nest that it is missing from starts (`NLMSGERR_ATTR_MISS_NEST`).
    pub(super) fn missing_nest(&self) -> Option<usize> {
        self.nest
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            error,
            message: None,
            offset: None,
            missing: None,
            nest: None,
        }
    }
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_refusal)]
mod tests {
    use super::*;

    /// A text of `LEN` - 1 bytes.
    struct Text<const LEN: usize>([u8; LEN]);

    impl<const LEN: usize> Text<LEN> {
        const fn new() -> Self {
            let mut text = [b'x'; LEN];
            text[LEN - 1] = 0;
            Self(text)
        }

        fn is_said(&'static self) -> bool {
            CStr::from_bytes_with_nul(&self.0)
                .is_ok_and(|text| Refusal::new(EINVAL, text).message() == Some(text))
        }
    }

    static LONGEST: Text<1025> = Text::new();
    static TOO_LONG: Text<1026> = Text::new();

    #[test]
    fn text_that_fits_no_attribute_is_not_said() {
        assert!(LONGEST.is_said());
        assert!(!TOO_LONG.is_said());
    }
}
