// SPDX-License-Identifier: GPL-2.0

//! What the fuzzers in the guest have in common: what they send, and how they tell that the kernel
//! did something wrong.
//!
//! An input is a sequence of structures, each made of as few bytes as tell it apart, until the bytes
//! are used up: small changes of the bytes are small changes of what is sent.

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

/// All that the bytes of an input make.
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

/// True in so many cases of 256.
pub(crate) fn rarely(bytes: &mut Unstructured<'_>, cases: u8) -> Result<bool> {
    // Without bytes left it is not.
    Ok(bytes.arbitrary::<u8>()? > u8::MAX - cases)
}

/// Bytes without a short period.
pub(crate) fn pattern(len: usize, seed: u8) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "they wrap")]
    let byte = |index: usize| (index * 31 + index / 256) as u8 ^ seed;
    (0..len).map(byte).collect()
}
