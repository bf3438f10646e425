// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the framings of messages and of attributes have in common.

/// Bytes are not what they should be, and why not: what decoders fail with.
///
/// It takes no more room than what is decoded, which matters where that is done for every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

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
