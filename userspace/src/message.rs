// SPDX-License-Identifier: GPL-2.0

//! Netlink messages: the walk over those in a datagram, building new ones, and the kernel's
//! status answers with their extended acknowledgement.

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
use crate::error::Malformed;
use crate::error::Result;

/// Length of a netlink message header.
pub const HEADER_LEN: usize = 16;

/// Extended acknowledgement attribute: text.
const NLMSGERR_ATTR_MSG: u16 = 1;
/// Extended acknowledgement attribute: offset of the offending byte in the request.
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// Rounds up to the 4-byte alignment of messages and attributes.
#[must_use]
pub const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Fills a message under construction up to the next boundary.
#[inline]
pub(crate) fn pad(buffer: &mut Vec<u8>) {
    while buffer.len() % 4 != 0 {
        buffer.push(0);
    }
}

/// One message, borrowed from the datagram that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Message type.
    pub kind: u16,
    /// `NLM_F_*` flags.
    pub flags: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Port number in the header; says nothing about who sent the message.
    pub portid: u32,
    /// What follows the header, without padding.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// Appends this message to a send buffer, starting at the next 4-byte boundary.
    ///
    /// # Panics
    ///
    /// If the payload does not fit a message, whose length is a 32-bit number.
    pub fn append_to(&self, buffer: &mut Vec<u8>) {
        self.append_with(buffer, |_| ());
    }

    /// Likewise, with the attributes that `more` appends behind the payload, which is aligned.
    ///
    /// # Panics
    ///
    /// If all of it does not fit a message.
    pub fn append_with(&self, buffer: &mut Vec<u8>, more: impl FnOnce(&mut Vec<u8>)) {
        pad(buffer);
        let start = buffer.len();
        let mut header = [0; HEADER_LEN];
        let mut fields = NetlinkBuffer::new(&mut header);
        fields.set_message_type(self.kind);
        fields.set_flags(self.flags);
        fields.set_sequence_number(self.sequence);
        fields.set_port_number(self.portid);
        buffer.extend_from_slice(&header);
        buffer.extend_from_slice(self.payload);
        more(buffer);
        let length = u32::try_from(buffer.len() - start).expect("a netlink message is under 4 GiB");
        NetlinkBuffer::new(&mut buffer[start..]).set_length(length);
        pad(buffer);
    }
}

/// Walks the messages in a datagram; ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Starts at the first message of `datagram`.
    #[must_use]
    pub fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let datagram = std::mem::take(&mut self.rest);
        if datagram.is_empty() {
            return None;
        }
        if datagram.len() < HEADER_LEN {
            return Some(Err(Malformed("message shorter than its header")));
        }
        let header = NetlinkBuffer::new(datagram);
        let length = header.length() as usize;
        let Some(payload) = datagram.get(HEADER_LEN..length) else {
            return Some(Err(Malformed("message length out of bounds")));
        };
        self.rest = datagram.get(aligned(length)..).unwrap_or_default();
        Some(Ok(Message {
            kind: header.message_type(),
            flags: header.flags(),
            sequence: header.sequence_number(),
            portid: header.port_number(),
            payload,
        }))
    }
}

/// The kernel's answer to a request: an acknowledgement, or an error with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What went wrong; `None` in an acknowledgement.
    pub errno: Option<Errno>,
    /// Message type of the request that this answers.
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

    /// Decodes the end of the answer to a request of type `request`, which is a message of type
    /// `NLMSG_ERROR` or, for a dump, `NLMSG_DONE`; `None` for any other type.
    pub fn ending(message: &Message<'_>, request: u16) -> Result<Option<Self>, Malformed> {
        if message.kind != NLMSG_DONE {
            return Self::parse(message);
        }
        // Some ends of dumps have no code.
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

    fn message(kind: u16, sequence: u32, payload: &[u8]) -> Message<'_> {
        Message {
            kind,
            flags: 0,
            sequence,
            portid: 42,
            payload,
        }
    }

    /// A status message as the kernel lays it out with `NETLINK_CAP_ACK` and `NETLINK_EXT_ACK`.
    fn status(code: i32, request: u16, tlvs: &[u8]) -> Vec<u8> {
        let mut payload = code.to_ne_bytes().to_vec();
        message(request, 7, &[]).append_to(&mut payload);
        payload.extend(tlvs);
        payload
    }

    #[test]
    fn what_is_appended_is_read_back() {
        let mut datagram = Vec::new();
        message(16, 1, b"hello").append_to(&mut datagram);
        message(17, 2, b"").append_to(&mut datagram);
        assert_eq!(datagram.len(), 16 + 8 + 16);
        let all: Vec<_> = Messages::new(&datagram).map(Result::unwrap).collect();
        assert_eq!(all, [message(16, 1, b"hello"), message(17, 2, b"")]);
    }

    #[test]
    fn last_message_may_lack_padding() {
        let mut datagram = Vec::new();
        message(16, 1, b"hello").append_to(&mut datagram);
        datagram.truncate(21);
        let only = Messages::new(&datagram).next().unwrap().unwrap();
        assert_eq!(only.payload, b"hello");
    }

    #[test]
    fn lying_lengths_end_the_walk_with_an_error() {
        for length in [0_u32, 1, 15, 22, 0x7fff_ffff, u32::MAX] {
            let mut datagram = Vec::new();
            message(16, 1, b"hello").append_to(&mut datagram);
            datagram.truncate(21);
            datagram[..4].copy_from_slice(&length.to_ne_bytes());
            let mut walk = Messages::new(&datagram);
            assert!(walk.next().unwrap().is_err(), "length {length}");
            assert!(walk.next().is_none(), "length {length}");
        }
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
        // What the dump function returned last, which may be positive.
        assert_eq!(end(&36_i32.to_ne_bytes()).errno, None);
        let failed = end(&(-libc::EPERM).to_ne_bytes());
        assert_eq!((failed.errno, failed.request), (Some(Errno::EPERM), 21));
        assert_eq!(Status::ending(&message(22, 7, &[]), 21).unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            flags: u16,
            length in 0..220_u32,
        ) {
            let mut bytes = bytes;
            if let Some(field) = bytes.get_mut(..4) {
                field.copy_from_slice(&length.to_ne_bytes());
            }
            for message in Messages::new(&bytes).flatten() {
                prop_assert!(message.payload.len() + HEADER_LEN <= bytes.len());
            }
            let refusal = Message { kind: NLMSG_ERROR, flags, sequence: 1, portid: 1, payload: &bytes };
            let _ = Status::parse(&refusal);
            let _ = Status::ending(&Message { kind: NLMSG_DONE, ..refusal }, 21);
        }
    }
}
