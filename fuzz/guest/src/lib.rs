// SPDX-License-Identifier: GPL-2.0

//! The parts that the fuzzers in the guest share: the generators of messages and packets, and the
//! checks that notice a fault of the kernel.
//!
//! An input is a sequence of structures, until its bytes are used up. A structure takes as few
//! bytes as possible. So a small change of the bytes is a small change of the messages or packets.

pub mod answers;
pub mod client;
pub mod kernel_log;
pub mod message;
pub mod packet;
pub mod settings;
pub mod tally;

use arbitrary::Arbitrary;
use arbitrary::Result;
use arbitrary::Unstructured;

/// The sequence of structures that the bytes of an input make.
#[derive(Debug)]
pub struct Sequence<T>(pub Vec<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Sequence<T> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let mut sequence = Vec::new();
        while !bytes.is_empty() {
            sequence.push(bytes.arbitrary()?);
        }
        Ok(Self(sequence))
    }
}

/// True in `cases` of 256 cases.
pub(crate) fn rarely(bytes: &mut Unstructured<'_>, cases: u8) -> Result<bool> {
    // If no bytes are left, `arbitrary()` returns 0, and this is false.
    Ok(bytes.arbitrary::<u8>()? > u8::MAX - cases)
}

/// Bytes without a short period.
pub(crate) fn pattern(len: usize, seed: u8) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "they wrap")]
    let byte = |index: usize| (index * 31 + index / 256) as u8 ^ seed;
    (0..len).map(byte).collect()
}
