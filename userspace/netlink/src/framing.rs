// SPDX-License-Identifier: MIT OR Apache-2.0

//! The alignment of messages and attributes, and the error for malformed ones.

/// The error of decoders: the bytes do not follow the protocol. The text is the reason.
///
/// This error is not larger than the decoded values, so a decoder's `Result` costs little for each
/// packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

/// Rounds up to the 4-byte alignment of messages and attributes.
#[inline]
#[must_use]
pub const fn aligned(length: usize) -> usize {
    // `next_multiple_of()` would divide, which is slower. No buffer is so long that the addition
    // wraps around.
    length.wrapping_add(3) & !3
}

/// Appends zeroes to a message under construction, up to the next 4-byte boundary.
#[inline]
pub(crate) fn pad(buffer: &mut Vec<u8>) {
    buffer.resize(aligned(buffer.len()), 0);
}
