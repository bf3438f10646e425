// SPDX-License-Identifier: GPL-2.0

//! Messages in a buffer.
//!
//! C header: [`include/uapi/linux/netlink.h`](srctree/include/uapi/linux/netlink.h)

use kernel::{
    bindings,
    prelude::*, //
};

/// The alignment of messages in a buffer, in bytes (`NLMSG_ALIGNTO`).
pub(super) const ALIGNMENT: usize = 4;

/// The type of a message (`nlmsg_type`). Numbers below `NLMSG_MIN_TYPE` belong to netlink itself.
/// All other numbers belong to the protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MessageType(u16);

impl MessageType {
    /// The type with this number. bindgen gives constants 32 bits, so `number` is wider than a
    /// type. In a constant, a number of more than 16 bits does not compile.
    pub const fn new(number: u32) -> Self {
        assert!(number <= u16::MAX as u32);
        Self(number as u16) // CAST: Just checked.
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Whether the type belongs to a protocol, not to netlink.
    pub(super) const fn is_of_protocol(self) -> bool {
        self.0 as u32 >= bindings::NLMSG_MIN_TYPE // CAST: Widening.
    }
}

/// The header of a netlink message (`struct nlmsghdr`), in host byte order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The length of the message in bytes, including the header.
    pub len: u32,
    /// The type of the message.
    pub msg_type: MessageType,
    /// The flags (`NLM_F_*`).
    pub flags: u16,
    /// The sender's sequence number.
    pub seq: u32,
    /// In a reply, the portid of the receiver. In a request, any number that the sender
    /// wrote. The kernel knows the sender's real portid:
    /// [`Request::portid`](super::Request::portid).
    pub pid: u32,
}

impl Header {
    /// The size of a header in a buffer (`NLMSG_HDRLEN`).
    pub const LEN: usize = 16;

    /// Reads the header at the start of `bytes`; `None` if `bytes` is too short.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<{ Self::LEN }>()?;
        let &[l0, l1, l2, l3, t0, t1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3] = header;
        Some(Self {
            len: u32::from_ne_bytes([l0, l1, l2, l3]),
            msg_type: MessageType(u16::from_ne_bytes([t0, t1])),
            flags: u16::from_ne_bytes([f0, f1]),
            seq: u32::from_ne_bytes([s0, s1, s2, s3]),
            pid: u32::from_ne_bytes([p0, p1, p2, p3]),
        })
    }

    /// The bytes of the header, as they are in a buffer.
    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let [l0, l1, l2, l3] = self.len.to_ne_bytes();
        let [t0, t1] = self.msg_type.0.to_ne_bytes();
        let [f0, f1] = self.flags.to_ne_bytes();
        let [s0, s1, s2, s3] = self.seq.to_ne_bytes();
        let [p0, p1, p2, p3] = self.pid.to_ne_bytes();
        [
            l0, l1, l2, l3, t0, t1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3,
        ]
    }

    /// Whether the message is a request of the protocol. `netlink_rcv_skb()` passes such messages
    /// to a handler. Replies and netlink's own messages are not requests.
    pub fn is_request(&self) -> bool {
        self.has(bindings::NLM_F_REQUEST) && self.msg_type.is_of_protocol()
    }

    /// Whether the message asks for an acknowledgement, and is not itself an error. An error never
    /// gets an acknowledgement, because otherwise two sides could answer each other for ever.
    pub fn wants_ack(&self) -> bool {
        self.has(bindings::NLM_F_ACK) && self.msg_type != MessageType::new(bindings::NLMSG_ERROR)
    }

    /// Whether a request asks for a list of all objects, instead of one object.
    pub fn wants_dump(&self) -> bool {
        self.has(bindings::NLM_F_DUMP)
    }

    fn has(&self, flags: u32) -> bool {
        u32::from(self.flags) & flags == flags
    }
}

/// One message in a buffer.
pub(super) struct Message<'a> {
    /// The header of the message.
    pub(super) header: Header,
    /// The bytes after the header.
    pub(super) payload: &'a [u8],
    /// The offset of the message in the buffer, in bytes.
    pub(super) offset: usize,
}

impl Message<'_> {
    /// The length in bytes, including the header.
    pub(super) fn len(&self) -> usize {
        self.header.len as usize
    }

    /// The length with padding. The next message starts after the padding.
    pub(super) fn padded_len(&self) -> usize {
        // The sum cannot wrap, because the message lies in a slice, and no slice is longer
        // than `isize::MAX`.
        self.len().wrapping_add(ALIGNMENT - 1) & !(ALIGNMENT - 1)
    }
}

/// An iterator over the messages in a buffer, as `netlink_rcv_skb()` walks them.
///
/// The iterator ends at the end of the buffer, or at the first message with a wrong length: shorter
/// than a header, or longer than the rest of the buffer. After a wrong length nobody knows where
/// the next message starts.
pub(super) struct Messages<'a> {
    /// The bytes after the last message that was returned. So while a message is handled, only the
    /// payload in [`Message`] refers to bytes of the message. `send_back` needs this, because it
    /// writes to the other bytes of the message.
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Messages<'a> {
    /// Makes an iterator that starts at the beginning of `buffer`.
    pub(super) fn new(buffer: &'a [u8]) -> Self {
        Self {
            rest: buffer,
            offset: 0,
        }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let header = Header::parse(self.rest)?;
        let len = usize::try_from(header.len).ok()?;
        let payload = self.rest.get(Header::LEN..len)?;
        let message = Message {
            header,
            payload,
            offset: self.offset,
        };
        // The last message need not have padding.
        let padded = message.padded_len();
        self.rest = self.rest.get(padded..).unwrap_or_default();
        self.offset = self.offset.wrapping_add(padded);
        Some(message)
    }
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_message)]
mod tests {
    use super::*;

    /// Appends a message: a header with the length `len`, then `payload`, then padding.
    fn push(buffer: &mut KVec<u8>, len: usize, seq: u32, payload: &[u8]) -> Result {
        let header = Header {
            len: u32::try_from(len)?,
            msg_type: MessageType::new(16),
            flags: bindings::NLM_F_REQUEST as u16,
            seq,
            pid: 0,
        };
        buffer.extend_from_slice(&header.to_bytes(), GFP_KERNEL)?;
        buffer.extend_from_slice(payload, GFP_KERNEL)?;
        let padding = payload.len().next_multiple_of(ALIGNMENT) - payload.len();
        buffer.extend_from_slice(&[0xee; ALIGNMENT][..padding], GFP_KERNEL)?;
        Ok(())
    }

    /// Appends a message with the correct length.
    fn push_valid(buffer: &mut KVec<u8>, seq: u32, payload: &[u8]) -> Result {
        push(buffer, Header::LEN + payload.len(), seq, payload)
    }

    /// The number of messages that a walk finds.
    fn count(buffer: &[u8]) -> usize {
        Messages::new(buffer).count()
    }

    #[test]
    fn walks_all_messages_in_order() -> Result {
        let mut buffer = KVec::new();
        for seq in 0..5 {
            push_valid(&mut buffer, seq, &[0xab; 5][..seq as usize])?;
        }
        let mut walked = 0;
        for (message, seq) in Messages::new(&buffer).zip(0..) {
            assert!(message.header.seq == seq);
            assert!(message.payload == &[0xab; 5][..seq as usize]);
            walked += 1;
        }
        assert_eq!(walked, 5);
        Ok(())
    }

    #[test]
    fn tells_where_messages_start() -> Result {
        let mut buffer = KVec::new();
        push_valid(&mut buffer, 0, b"abcde")?;
        push_valid(&mut buffer, 1, b"")?;
        let mut offsets = Messages::new(&buffer).map(|message| message.offset);
        assert!(offsets.next() == Some(0));
        assert!(offsets.next() == Some(24));
        assert!(offsets.next().is_none());
        Ok(())
    }

    #[test]
    fn finds_nothing_in_less_than_a_header() {
        for len in 0..Header::LEN {
            assert_eq!(count(&[0xff; Header::LEN][..len]), 0);
        }
    }

    #[test]
    fn stops_at_a_length_below_the_header() -> Result {
        for len in [0, 1, 15] {
            let mut buffer = KVec::new();
            push_valid(&mut buffer, 0, b"good")?;
            push(&mut buffer, len, 1, b"bad")?;
            push_valid(&mut buffer, 2, b"never reached")?;
            assert_eq!(count(&buffer), 1);
        }
        Ok(())
    }

    #[test]
    fn stops_at_a_length_beyond_the_buffer() -> Result {
        for len in [17, 1 << 20, u32::MAX as usize - 2, u32::MAX as usize] {
            let mut buffer = KVec::new();
            push_valid(&mut buffer, 0, b"good")?;
            push(&mut buffer, len, 1, b"")?;
            assert_eq!(count(&buffer), 1);
        }
        Ok(())
    }

    #[test]
    fn last_message_may_lack_its_padding() -> Result {
        let mut buffer = KVec::new();
        push_valid(&mut buffer, 0, b"abcde")?;
        assert_eq!(count(&buffer[..Header::LEN + 5]), 1);
        assert_eq!(count(&buffer[..Header::LEN + 4]), 0);
        Ok(())
    }

    #[test]
    fn header_survives_the_round_trip() {
        let header = Header {
            len: 16,
            msg_type: MessageType::new(0x1234),
            flags: 0x5678,
            seq: 0x9abc_def0,
            pid: 0x1357_9bdf,
        };
        assert!(Header::parse(&header.to_bytes()) == Some(header));
    }

    /// Whether a message with this type and these flags is a request, and whether it gets an
    /// acknowledgement.
    fn rules(msg_type: u32, flags: u32) -> (bool, bool) {
        let header = Header {
            len: 16,
            msg_type: MessageType::new(msg_type),
            flags: flags as u16,
            seq: 0,
            pid: 0,
        };
        (header.is_request(), header.wants_ack())
    }

    #[test]
    fn requests_are_flagged_and_not_of_a_control_type() {
        const REQUEST: u32 = bindings::NLM_F_REQUEST;
        const ACK: u32 = bindings::NLM_F_ACK;
        assert!(rules(16, REQUEST) == (true, false));
        assert!(rules(u16::MAX.into(), REQUEST | ACK) == (true, true));
        assert!(rules(16, 0) == (false, false));
        assert!(rules(16, ACK) == (false, true));
        for control in 0..16 {
            assert!(!rules(control, REQUEST).0);
        }
    }

    #[test]
    fn errors_are_never_acknowledged() {
        const ALL: u32 = u16::MAX as u32;
        assert!(rules(bindings::NLMSG_NOOP, ALL) == (false, true));
        assert!(rules(bindings::NLMSG_DONE, ALL) == (false, true));
        assert!(rules(bindings::NLMSG_ERROR, ALL) == (false, false));
    }
}
