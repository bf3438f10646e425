// SPDX-License-Identifier: MIT OR Apache-2.0

//! Netlink attributes: a 16-bit length that includes the 4-byte header, a 16-bit type, the
//! payload, padding to 4 bytes.
//!
//! Header fields are in host byte order. Each protocol defines the byte order of its payloads:
//! nfnetlink uses big-endian, the extended acknowledgement uses host order.

use netlink_packet_core::NLA_F_NESTED;
use netlink_packet_core::NLA_TYPE_MASK;

use crate::framing::Malformed;
use crate::framing::aligned;
use crate::framing::pad;

const HEADER_LEN: usize = 4;

/// One attribute, borrowed from the message that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Type without the "nested" and "network byte order" flag bits.
    pub kind: u16,
    /// Payload without padding.
    pub payload: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The first `N` bytes of the payload. Fails if the payload is shorter.
    ///
    /// A longer payload is accepted, as in the kernel, because new kernels append fields to
    /// structures.
    #[inline]
    pub fn prefix<const N: usize>(&self) -> Result<&'a [u8; N], Malformed> {
        self.payload
            .first_chunk()
            .ok_or(Malformed("attribute shorter than its type"))
    }

    /// Payload as an 8-bit number.
    pub fn octet(&self) -> Result<u8, Malformed> {
        self.prefix().map(|&[octet]| octet)
    }

    /// Payload as a big-endian 32-bit number.
    #[inline]
    pub fn be32(&self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(*self.prefix()?))
    }

    /// Payload as a 32-bit number in host byte order.
    #[inline]
    pub fn host32(&self) -> Result<u32, Malformed> {
        Ok(u32::from_ne_bytes(*self.prefix()?))
    }

    /// Payload as a counter in host byte order. The kernel sends 4 bytes if the value fits,
    /// otherwise 8.
    pub fn counter(&self) -> Result<u64, Malformed> {
        if self.payload.len() < 8 {
            return self.host32().map(u64::from);
        }
        Ok(u64::from_ne_bytes(*self.prefix()?))
    }

    /// The attributes in the payload of this attribute, which must be a nest.
    #[must_use]
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.payload)
    }

    /// Payload as text, up to its terminating NUL byte or its end.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.payload.split(|&byte| byte == 0).next();
        String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
    }
}

/// Walks the attributes in a buffer. Ends after the first malformed attribute.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Starts at the first attribute of `buffer`.
    #[inline]
    #[must_use]
    pub fn new(buffer: &'a [u8]) -> Self {
        Self { rest: buffer }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let buffer = std::mem::take(&mut self.rest);
        if buffer.is_empty() {
            return None;
        }
        let Some(&[len0, len1, kind0, kind1]) = buffer.first_chunk::<HEADER_LEN>() else {
            return Some(Err(Malformed("trailing bytes after the attributes")));
        };
        let length = usize::from(u16::from_ne_bytes([len0, len1]));
        let Some(payload) = buffer.get(HEADER_LEN..length) else {
            return Some(Err(Malformed("attribute length out of bounds")));
        };
        // The kernel does not pad the last attribute of a queued packet, so the buffer can end
        // here.
        self.rest = buffer.get(aligned(length)..).unwrap_or_default();
        Some(Ok(Attribute {
            kind: u16::from_ne_bytes([kind0, kind1]) & NLA_TYPE_MASK,
            payload,
        }))
    }
}

/// Appends one attribute, padding included, to a message under construction.
#[inline]
pub fn append<const N: usize>(message: &mut Vec<u8>, kind: u16, payload: [u8; N]) {
    const { assert!(N <= u16::MAX as usize - HEADER_LEN) };
    append_slice(message, kind, &payload);
}

/// Appends one attribute, padding included. The length of the payload need not be known at
/// compile time.
///
/// # Panics
///
/// Panics if the payload is too long: the length of an attribute is a 16-bit number.
#[inline]
pub fn append_slice(message: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let length = u16::try_from(HEADER_LEN + payload.len()).expect("an attribute is under 64 KiB");
    let ([len0, len1], [kind0, kind1]) = (length.to_ne_bytes(), kind.to_ne_bytes());
    message.extend_from_slice(&[len0, len1, kind0, kind1]);
    message.extend_from_slice(payload);
    pad(message);
}

/// Appends a nest: an attribute whose payload is the attributes that `content` appends.
///
/// # Panics
///
/// Panics if the payload is too long: the length of an attribute is a 16-bit number.
pub fn append_nest(message: &mut Vec<u8>, kind: u16, content: impl FnOnce(&mut Vec<u8>)) {
    let start = message.len();
    append(message, kind | NLA_F_NESTED, []);
    content(message);
    let length = u16::try_from(message.len() - start).expect("a nest is under 64 KiB");
    message[start..start + 2].copy_from_slice(&length.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(length: u16, kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn what_is_appended_is_read_back() {
        let mut buffer = Vec::new();
        append(&mut buffer, 1, [0xde, 0xad, 0xbe, 0xef]);
        append(&mut buffer, 2, [7]);
        append(&mut buffer, 3, []);
        assert_eq!(buffer.len(), 8 + 8 + 4);

        let all: Vec<_> = Attributes::new(&buffer).map(Result::unwrap).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].be32().unwrap(), 0xdead_beef);
        assert_eq!((all[1].kind, all[1].payload), (2, &[7][..]));
        assert_eq!((all[2].kind, all[2].payload), (3, &[][..]));
    }

    #[test]
    fn last_attribute_may_lack_padding() {
        let bytes = raw(5, 10, &[0x45]);
        let only = Attributes::new(&bytes).next().unwrap().unwrap();
        assert_eq!(only.payload, [0x45]);
    }

    #[test]
    fn flag_bits_are_not_part_of_the_type() {
        let bytes = raw(4, 0xc013, &[]);
        assert_eq!(Attributes::new(&bytes).next().unwrap().unwrap().kind, 0x13);
    }

    #[test]
    fn nasty_lengths_end_the_walk_with_an_error() {
        for bytes in [
            raw(0, 1, &[]),
            raw(3, 1, &[0; 8]),
            raw(9, 1, &[0; 4]),
            raw(u16::MAX, 1, &[0; 64]),
            vec![4],
            vec![4, 0, 0],
        ] {
            let mut walk = Attributes::new(&bytes);
            assert!(walk.next().unwrap().is_err(), "{bytes:?}");
            assert!(walk.next().is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn short_numbers_are_errors() {
        let short = Attribute {
            kind: 3,
            payload: &[1, 2, 3],
        };
        assert!(short.be32().is_err());
        assert!(short.host32().is_err());
        assert!(short.counter().is_err());
    }

    #[test]
    fn counters_have_either_width() {
        let narrow = 7_u32.to_ne_bytes();
        let wide = u64::MAX.to_ne_bytes();
        let counter = |payload| Attribute { kind: 1, payload }.counter().unwrap();
        assert_eq!((counter(&narrow), counter(&wide)), (7, u64::MAX));
    }

    #[test]
    fn nest_is_marked_as_one_and_holds_what_was_appended() {
        let mut buffer = Vec::new();
        append_nest(&mut buffer, 9, |nest| {
            append(nest, 1, [7]);
            append(nest, 2, [1, 2, 3, 4]);
        });
        append(&mut buffer, 10, []);
        assert_eq!(buffer[..4], raw(20, 9 | NLA_F_NESTED, &[]));
        let all: Vec<_> = Attributes::new(&buffer).map(Result::unwrap).collect();
        assert_eq!((all[0].kind, all[1].kind, all.len()), (9, 10, 2));
        let inner: Vec<_> = all[0].nested().map(Result::unwrap).collect();
        assert_eq!(
            (inner[0].payload, inner[1].payload),
            (&[7][..], &[1, 2, 3, 4][..])
        );
    }

    #[test]
    fn text_stops_at_nul_and_survives_its_absence() {
        let text = |payload| Attribute { kind: 1, payload }.text();
        assert_eq!(text(b"no such type\0\0"), "no such type");
        assert_eq!(text(b"bare"), "bare");
        assert_eq!(text(b""), "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let mut payload = 0;
            for attribute in Attributes::new(&bytes).flatten() {
                payload += HEADER_LEN + attribute.payload.len();
            }
            prop_assert!(payload <= bytes.len());
        }
    }
}
