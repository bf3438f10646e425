// SPDX-License-Identifier: MIT OR Apache-2.0

//! The common part of the framing of messages and of attributes.

/// The error of decoders: bytes do not follow the protocol, for this reason.
///
/// It is not larger than the decoded values, so a `Result` with it costs little for every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

/// Rounds up to the 4-byte alignment of messages and attributes.
#[inline]
#[must_use]
pub const fn aligned(length: usize) -> usize {
    // Not `next_multiple_of()`, which divides. No buffer is so long that the addition wraps around.
    length.wrapping_add(3) & !3
}

/// Fills a message under construction up to the next boundary.
#[inline]
pub(crate) fn pad(buffer: &mut Vec<u8>) {
    buffer.resize(aligned(buffer.len()), 0);
}
