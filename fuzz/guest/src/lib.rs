// SPDX-License-Identifier: GPL-2.0

//! The parts that the fuzzers in the guest share: the generators of messages and packets, and the
//! checks that notice a fault of the kernel.
//!
//! The bytes of an input become a sequence of structures: structures are made until no bytes are
//! left. Each structure is made from as few bytes as possible. So a small change of the bytes
//! changes the messages or packets only a little.

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

/// The sequence of structures that are made from the bytes of an input.
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

/// Is true for `cases` of the 256 values of the next byte.
pub(crate) fn rarely(bytes: &mut Unstructured<'_>, cases: u8) -> Result<bool> {
    // If no bytes are left, `arbitrary()` returns 0, and `rarely()` returns false.
    Ok(bytes.arbitrary::<u8>()? > u8::MAX - cases)
}

/// Makes a pattern of `len` bytes, which repeats only after 64 KiB.
pub(crate) fn pattern(len: usize, seed: u8) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "they wrap")]
    let byte = |index: usize| (index * 31 + index / 256) as u8 ^ seed;
    (0..len).map(byte).collect()
}
