// SPDX-License-Identifier: GPL-2.0

//! The payload of echo messages.

/// Where the payload of each message comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The same bytes in every message.
    Fixed(Vec<u8>),
    /// This number of bytes, different in every message, so that replies cannot be confused.
    Generated(usize),
}

impl Payload {
    /// Length of the payload of each message.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Fixed(bytes) => bytes.len(),
            Self::Generated(length) => *length,
        }
    }

    /// Whether messages carry nothing but their header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the payload of the message with this sequence number into `buffer`.
    pub(super) fn fill(&self, sequence: u32, buffer: &mut Vec<u8>) {
        buffer.clear();
        match self {
            Self::Fixed(bytes) => buffer.extend_from_slice(bytes),
            Self::Generated(length) => {
                // A linear congruential generator: its period exceeds any message, so a reply
                // with parts moved or repeated differs from the original.
                let mut state = sequence.wrapping_mul(0x9e37_79b9);
                buffer.extend(
                    std::iter::repeat_with(|| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        state.to_be_bytes()[0]
                    })
                    .take(*length),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(length: usize, sequence: u32) -> Vec<u8> {
        let mut bytes = vec![1, 2, 3];
        Payload::Generated(length).fill(sequence, &mut bytes);
        bytes
    }

    #[test]
    fn generated_payloads_have_their_length_and_differ() {
        assert!(generated(0, 1).is_empty());
        assert_eq!(generated(1000, 1).len(), 1000);
        assert_eq!(generated(1000, 1), generated(1000, 1));
        assert_ne!(generated(16, 1), generated(16, 2));
    }

    #[test]
    fn generated_payloads_do_not_repeat_within_a_page() {
        let bytes = generated(8192, 1);
        assert_ne!(bytes[..4096], bytes[4096..]);
        assert_ne!(bytes[..256], bytes[256..512]);
    }
}
