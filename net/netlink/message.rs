// SPDX-License-Identifier: GPL-2.0

//! Messages in a buffer.
//!
//! C header: [`include/uapi/linux/netlink.h`](srctree/include/uapi/linux/netlink.h)

use kernel::bindings;

/// The alignment of messages in a buffer, in bytes (`NLMSG_ALIGNTO`).
pub(super) const ALIGNMENT: usize = 4;

/// The header of a netlink message (`struct nlmsghdr`), in host byte order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The length of the message in bytes, header included.
    pub len: u32,
    /// What the message is; values below `NLMSG_MIN_TYPE` belong to netlink itself.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The sender's sequence number.
    pub seq: u32,
    /// In a reply, the portid that it is for. In a request, whatever the sender wrote: its address
    /// is [`Request::portid`](super::Request::portid), which the kernel vouches for.
    pub pid: u32,
}

impl Header {
    /// The size of a header in a buffer (`NLMSG_HDRLEN`).
    pub const LEN: usize = 16;

    /// Reads the header at the start of `bytes`; `None` if there are too few.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<{ Self::LEN }>()?;
        let &[l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3] = header;
        Some(Self {
            len: u32::from_ne_bytes([l0, l1, l2, l3]),
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            seq: u32::from_ne_bytes([s0, s1, s2, s3]),
            pid: u32::from_ne_bytes([p0, p1, p2, p3]),
        })
    }

    /// The header as it stands in a buffer.
    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let [l0, l1, l2, l3] = self.len.to_ne_bytes();
        let [k0, k1] = self.kind.to_ne_bytes();
        let [f0, f1] = self.flags.to_ne_bytes();
        let [s0, s1, s2, s3] = self.seq.to_ne_bytes();
        let [p0, p1, p2, p3] = self.pid.to_ne_bytes();
        [
            l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3,
        ]
    }

    /// Whether the message asks for something, as opposed to answering or to netlink's own
    /// housekeeping: what `netlink_rcv_skb()` hands to a handler.
    pub fn is_request(&self) -> bool {
        self.has(bindings::NLM_F_REQUEST) && u32::from(self.kind) >= bindings::NLMSG_MIN_TYPE
    }

    /// Whether the message asks for an acknowledgement that it may have: errors are never
    /// answered, lest two sides answer each other forever.
    pub fn wants_ack(&self) -> bool {
        self.has(bindings::NLM_F_ACK) && u32::from(self.kind) != bindings::NLMSG_ERROR
    }

    fn has(&self, flag: u32) -> bool {
        u32::from(self.flags) & flag != 0
    }
}

/// One message in a buffer.
pub struct Message<'a> {
    /// Its header.
    pub header: Header,
    /// What follows the header.
    pub payload: &'a [u8],
    /// Where in the buffer the message starts, in bytes.
    pub offset: usize,
}

/// An iterator over the messages in a buffer, as `netlink_rcv_skb()` walks them.
///
/// It ends at the end of the buffer, and at the first message whose length is below that of a
/// header or beyond what is left of the buffer: nothing behind such a length can be trusted.
pub struct Messages<'a> {
    buffer: &'a [u8],
    offset: usize,
}

impl<'a> Messages<'a> {
    /// Starts at the beginning of `buffer`.
    pub fn new(buffer: &'a [u8]) -> Self {
        Self { buffer, offset: 0 }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let rest = self.buffer.get(self.offset..)?;
        let header = Header::parse(rest)?;
        let len = usize::try_from(header.len).ok()?;
        let payload = rest.get(Header::LEN..len)?;
        let message = Message {
            header,
            payload,
            offset: self.offset,
        };
        // No overflow: `len` is at most the length of a slice. Padding that the buffer lacks puts
        // the offset beyond its end, which ends the walk.
        self.offset += len.next_multiple_of(ALIGNMENT);
        Some(message)
    }
}
