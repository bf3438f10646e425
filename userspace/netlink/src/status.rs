// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's status answers, with their extended acknowledgement.

use std::fmt;
use std::num::NonZero;

use netlink_packet_core::ErrorBuffer;
use netlink_packet_core::NLM_F_ACK_TLVS;
use netlink_packet_core::NLM_F_CAPPED;
use netlink_packet_core::NLMSG_DONE;
use netlink_packet_core::NLMSG_ERROR;
use netlink_packet_core::NetlinkBuffer;
use nix::errno::Errno;

use crate::attr::Attributes;
use crate::framing::Malformed;
use crate::framing::aligned;
use crate::message::HEADER_LEN;
use crate::message::Message;

/// Extended acknowledgement attribute: text.
const NLMSGERR_ATTR_MSG: u16 = 1;
/// Extended acknowledgement attribute: offset of the offending byte in the request.
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// The kernel's answer to a request: an acknowledgement, or an error with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The error. `None` in an acknowledgement.
    pub errno: Option<Errno>,
    /// Message type of the request.
    pub request: u16,
    /// Text of the extended acknowledgement.
    pub text: Option<String>,
    /// Offset in the request that the extended acknowledgement points at.
    pub offset: Option<u32>,
}

impl Status {
    /// Decodes a message of type `NLMSG_ERROR`; `None` for any other type.
    pub fn parse(message: &Message<'_>) -> Result<Option<Self>, Malformed> {
        if message.kind != NLMSG_ERROR {
            return Ok(None);
        }
        let malformed = Malformed("status message shorter than its header");
        let Ok(status) = ErrorBuffer::new_checked(message.payload) else {
            return Err(malformed);
        };
        let request = status.payload();
        let Some(header) = request.get(..HEADER_LEN).map(NetlinkBuffer::new) else {
            return Err(malformed);
        };
        let copied = if message.flags & NLM_F_CAPPED == 0 {
            aligned(header.length() as usize)
        } else {
            HEADER_LEN
        };
        let code = status.code().map_or(0, NonZero::get);
        let rest = request.get(copied..).unwrap_or_default();
        Self::new(code, header.message_type(), message.flags, rest).map(Some)
    }

    /// Decodes the last message of the answer to a request of type `request`. The last message has
    /// the type `NLMSG_ERROR` or, for a dump, `NLMSG_DONE`. Returns `None` for a message of any
    /// other type.
    pub fn ending(message: &Message<'_>, request: u16) -> Result<Option<Self>, Malformed> {
        if message.kind != NLMSG_DONE {
            return Self::parse(message);
        }
        // Some `NLMSG_DONE` messages have no error code.
        let (code, rest) = match message.payload.split_first_chunk() {
            Some((code, rest)) => (i32::from_ne_bytes(*code), rest),
            None => (0, &[][..]),
        };
        Self::new(code, request, message.flags, rest).map(Some)
    }

    fn new(code: i32, request: u16, flags: u16, extended: &[u8]) -> Result<Self, Malformed> {
        let mut status = Self {
            errno: (code < 0).then(|| Errno::from_raw(code.saturating_neg())),
            request,
            text: None,
            offset: None,
        };
        if flags & NLM_F_ACK_TLVS != 0 {
            for attribute in Attributes::new(extended) {
                let attribute = attribute?;
                match attribute.kind {
                    NLMSGERR_ATTR_MSG => status.text = Some(attribute.text()),
                    NLMSGERR_ATTR_OFFS => status.offset = Some(attribute.host32()?),
                    _ => {}
                }
            }
        }
        Ok(status)
    }
}

/// The source of the error is the errno. An acknowledgement has no errno, and therefore no source.
impl std::error::Error for Status {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.errno.as_ref().map(|errno| errno as _)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            Some(errno) => write!(f, "{errno}")?,
            None => f.write_str("acknowledged")?,
        }
        if let Some(text) = &self.text {
            write!(f, " (kernel: {text})")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " (at byte {offset} of the request)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attr;
    use crate::message::tests::message;

    /// The payload of a status message, as the kernel sends it to a socket with the options
    /// `NETLINK_CAP_ACK` and `NETLINK_EXT_ACK`.
    fn status(code: i32, request: u16, tlvs: &[u8]) -> Vec<u8> {
        let mut payload = code.to_ne_bytes().to_vec();
        message(request, 7, &[]).append_to(&mut payload);
        payload.extend(tlvs);
        payload
    }

    #[test]
    fn acknowledgement_has_no_errno() {
        let payload = status(0, 16, &[]);
        let parsed = Status::parse(&message(NLMSG_ERROR, 7, &payload));
        let parsed = parsed.unwrap().unwrap();
        assert_eq!((parsed.errno, parsed.request), (None, 16));
    }

    #[test]
    fn refusal_carries_text_and_offset() {
        let mut tlvs = Vec::new();
        attr::append(&mut tlvs, NLMSGERR_ATTR_MSG, *b"no such type\0");
        attr::append(&mut tlvs, NLMSGERR_ATTR_OFFS, 4_u32.to_ne_bytes());
        let payload = status(-libc::EOPNOTSUPP, 99, &tlvs);
        let mut refusal = message(NLMSG_ERROR, 7, &payload);
        refusal.flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
        let parsed = Status::parse(&refusal).unwrap().unwrap();
        assert_eq!(parsed.errno, Some(Errno::EOPNOTSUPP));
        assert_eq!(parsed.request, 99);
        assert_eq!(
            parsed.to_string(),
            "EOPNOTSUPP: Operation not supported on transport endpoint \
             (kernel: no such type) (at byte 4 of the request)"
        );
    }

    #[test]
    fn uncapped_refusal_skips_the_copied_request() {
        let mut payload = (-libc::EINVAL).to_ne_bytes().to_vec();
        message(20, 7, b"request").append_to(&mut payload);
        attr::append(&mut payload, NLMSGERR_ATTR_MSG, *b"bad\0");
        let mut refusal = message(NLMSG_ERROR, 7, &payload);
        refusal.flags = NLM_F_ACK_TLVS;
        let parsed = Status::parse(&refusal).unwrap().unwrap();
        assert_eq!(parsed.text.as_deref(), Some("bad"));
    }

    #[test]
    fn short_status_is_an_error_and_other_types_are_none() {
        let payload = status(-libc::EPERM, 16, &[]);
        for length in 0..20 {
            assert!(Status::parse(&message(NLMSG_ERROR, 7, &payload[..length])).is_err());
        }
        assert_eq!(Status::parse(&message(16, 7, &payload)).unwrap(), None);
    }

    #[test]
    fn end_of_a_dump_may_carry_an_error() {
        let end = |payload: &[u8]| {
            let end = Status::ending(&message(NLMSG_DONE, 7, payload), 21);
            end.unwrap().unwrap()
        };
        assert_eq!((end(&[]).errno, end(&[0; 4]).errno), (None, None));
        // The code is the last return value of the kernel's dump function. It can be positive,
        // which is no error.
        assert_eq!(end(&36_i32.to_ne_bytes()).errno, None);
        let failed = end(&(-libc::EPERM).to_ne_bytes());
        assert_eq!((failed.errno, failed.request), (Some(Errno::EPERM), 21));
        assert_eq!(Status::ending(&message(22, 7, &[]), 21).unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            flags: u16,
        ) {
            let refusal = Message { kind: NLMSG_ERROR, flags, sequence: 1, portid: 1, payload: &bytes };
            let _ = Status::parse(&refusal);
            let _ = Status::ending(&Message { kind: NLMSG_DONE, ..refusal }, 21);
        }
    }
}
