// SPDX-License-Identifier: GPL-2.0

//! The reasons for which requests fail.

use kernel::prelude::*;

/// The failure of a request: its error number and, for clients that enabled `NETLINK_EXT_ACK`, a
/// text and the place of the attribute that is wrong or missing.
///
/// The operator `?` converts a plain [`Error`] into a refusal that has only the error number.
#[derive(Clone, Copy)]
pub struct Refusal {
    error: Error,
    message: Option<&'static CStr>,
    offset: Option<usize>,
    missing: Option<u16>,
    nest: Option<usize>,
}

impl Refusal {
    /// The length of the longest text, in bytes. The text becomes an attribute, whose length field
    /// has 16 bits. `netlink_ack()` does not check that the text fits into the attribute.
    const TEXT_MAX: usize = 1024;

    /// A failure with a text, as `NL_SET_ERR_MSG()` sets it. A text of more than 1,024 bytes is
    /// left out.
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

    /// The same refusal, with the offset in the message's payload at which the offending attribute
    /// starts.
    pub(super) const fn at(self, offset: usize) -> Self {
        Self {
            offset: Some(offset),
            ..self
        }
    }

    /// The refusal of a message that lacks a required attribute. The nest that lacks the attribute
    /// starts at offset `nest` of the message's payload.
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

    /// The offset of the offending attribute in the message's payload. (`NLMSGERR_ATTR_OFFS` counts
    /// from the start of the message.)
    pub(super) fn offset(&self) -> Option<usize> {
        self.offset
    }

    /// The number of the missing attribute (`NLMSGERR_ATTR_MISS_TYPE`).
    pub(super) fn missing_attribute(&self) -> Option<u16> {
        self.missing
    }

    /// The offset of the nest that lacks the missing attribute (`NLMSGERR_ATTR_MISS_NEST`).
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
