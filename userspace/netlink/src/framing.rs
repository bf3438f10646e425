// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the framings of messages and of attributes have in common.

/// Bytes are not what they should be, and why not: what decoders fail with.
///
/// It takes no more room than what is decoded, which matters where that is done for every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

/// Rounds up to the 4-byte alignment of messages and attributes.
#[inline]
#[must_use]
pub const fn aligned(length: usize) -> usize {
    // Not `next_multiple_of()`, which divides. No buffer is as long as what wraps around.
    length.wrapping_add(3) & !3
}

/// Fills a message under construction up to the next boundary.
#[inline]
pub(crate) fn pad(buffer: &mut Vec<u8>) {
    buffer.resize(aligned(buffer.len()), 0);
}
