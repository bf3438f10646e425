// SPDX-License-Identifier: GPL-2.0

//! Generates messages to the module. Most messages are valid, and some have wrong lengths or
//! values.

use arbitrary::Arbitrary;
use arbitrary::Result;
use arbitrary::Unstructured;
use knetlink::HEADER_LEN;
use knetlink::aligned;
use netlink_packet_core::NLA_F_NESTED;
use netlink_packet_core::NLA_TYPE_MASK;
use netlink_packet_core::NLM_F_ACK;
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_core::NLM_F_REQUEST;
use nldemo::protocol;

use crate::pattern;
use crate::rarely;

/// A message, without the sequence number that it gets when it is sent.
#[derive(Clone, Debug)]
pub struct Message {
    kind: u16,
    flags: u16,
    /// The value of `nlmsg_pid`.
    portid: u32,
    payload: Payload,
    /// The number that is added to the real length to get the length in the message's header.
    lie: i32,
}

#[derive(Clone, Debug)]
enum Payload {
    Pattern { len: usize, seed: u8 },
    Attributes(Vec<Attribute>),
}

#[derive(Clone, Debug)]
struct Attribute {
    kind: u16,
    value: Value,
    /// The number that is added to the real length to get the length in the attribute's header.
    lie: i16,
}

#[derive(Clone, Debug)]
enum Value {
    Bytes(Vec<u8>),
    Nest(Vec<Attribute>),
}

/// The part of a message that a series changes. A series consists of copies of one message, and
/// each copy has another value in this part.
///
/// `Lengths`, `Attributes`, `Values` and `AttributeLies` change the last attribute of a message. If
/// the last attribute is a nest, they change the last attribute in the nest. In a message without
/// attributes, all four change the length of the payload.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum Series {
    /// The type.
    Types,
    /// One flag.
    Flags,
    /// The difference between the length in the message's header and the real length.
    Lies,
    /// The length of the last attribute's value.
    Lengths,
    /// The last attribute's number.
    Attributes,
    /// The bytes of the last attribute's value.
    Values,
    /// The difference between the length in the last attribute's header and the real length.
    AttributeLies,
}

impl<'a> Arbitrary<'a> for Message {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let kind = match bytes.int_in_range(0..=31_u8)? {
            0..=11 => protocol::MSG_ECHO,
            12..=21 => protocol::MSG_CONFIG_SET,
            22..=23 => protocol::MSG_CONFIG_GET,
            24..=26 => protocol::MSG_STATS_GET,
            27 => 0,
            28..=29 => bytes.int_in_range(0..=31)?,
            _ => bytes.arbitrary()?,
        };
        let flags = match bytes.int_in_range(0..=15_u8)? {
            0..=5 => NLM_F_REQUEST,
            6..=8 => NLM_F_REQUEST | NLM_F_ACK,
            9 => NLM_F_REQUEST | NLM_F_DUMP,
            10 => NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP,
            11..=13 => 0,
            _ => bytes.arbitrary()?,
        };
        let attributes = match kind {
            protocol::MSG_CONFIG_SET => !rarely(bytes, 16)?,
            protocol::MSG_CONFIG_GET | protocol::MSG_STATS_GET => rarely(bytes, 48)?,
            _ => false,
        };
        let payload = if attributes {
            Payload::Attributes(several(bytes, 4, 0)?)
        } else if matches!(kind, protocol::MSG_CONFIG_GET | protocol::MSG_STATS_GET) {
            let len = if rarely(bytes, 16)? { 5 } else { 0 };
            Payload::Pattern { len, seed: 0 }
        } else {
            Payload::Pattern {
                len: length(bytes)?,
                seed: bytes.arbitrary()?,
            }
        };
        Ok(Self {
            kind,
            flags,
            portid: if rarely(bytes, 64)? {
                bytes.arbitrary()?
            } else {
                0
            },
            payload,
            lie: match bytes.arbitrary::<u8>()? {
                255 => bytes.arbitrary()?,
                245..=254 => bytes.arbitrary::<i8>()?.into(),
                _ => 0,
            },
        })
    }
}

/// The length of a payload. Most payloads are short. A reply with one of the largest payloads needs
/// more than one piece of memory.
fn length(bytes: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match bytes.arbitrary::<u8>()? {
        short @ 0..=247 => usize::from(short) / 2,
        248..=253 => bytes.int_in_range(0..=4096)?,
        254 => bytes.int_in_range(0..=u16::MAX.into())?,
        255 => bytes.int_in_range(0..=220_000)?,
    })
}

/// At most `most` attributes.
fn several(bytes: &mut Unstructured<'_>, most: usize, depth: usize) -> Result<Vec<Attribute>> {
    let count = bytes.int_in_range(0..=most)?;
    (0..count)
        .map(|_| Attribute::arbitrary(bytes, depth))
        .collect()
}

impl Payload {
    /// Changes the value that `series` names. `place` gives the new value.
    fn vary(&mut self, series: Series, place: u8) {
        match self {
            Self::Pattern { len, .. } => *len = place.into(),
            Self::Attributes(attributes) => {
                if let Some(last) = attributes.last_mut() {
                    last.vary(series, place);
                }
            }
        }
    }
}

impl Attribute {
    /// The largest depth of nested attributes in a message. It is larger than 10, the module's
    /// limit.
    const DEPTH_MAX: usize = 12;

    fn arbitrary(bytes: &mut Unstructured<'_>, depth: usize) -> Result<Self> {
        let number = match bytes.int_in_range(0..=31_u16)? {
            known @ 1..=10 => known,
            // The nest of an address family has only this attribute.
            11..=23 if depth > 0 => protocol::FAMILY_A_TYPES,
            known @ 11..=20 => known - 10,
            21..=25 => protocol::CONFIG_A_IPV4,
            26..=27 => protocol::CONFIG_A_EVENT,
            28..=29 => protocol::CONFIG_A_HOOKED,
            _ => bytes.arbitrary()?,
        };
        let nest = matches!(number, protocol::CONFIG_A_IPV4 | protocol::CONFIG_A_IPV6);
        let value = if nest && depth < Self::DEPTH_MAX && !rarely(bytes, 16)? {
            Value::Nest(several(bytes, 2, depth + 1)?)
        } else {
            Value::Bytes(Self::value(bytes, number, depth)?)
        };
        let flags = if rarely(bytes, 16)? {
            bytes.arbitrary::<u16>()? & !NLA_TYPE_MASK
        } else if nest {
            NLA_F_NESTED
        } else {
            0
        };
        let lie = if rarely(bytes, 8)? {
            bytes.arbitrary::<i8>()?.into()
        } else {
            0
        };
        Ok(Self {
            kind: number | flags,
            value,
            lie,
        })
    }

    /// Changes the value that `series` names. `place` gives the new value.
    fn vary(&mut self, series: Series, place: u8) {
        if let Value::Nest(nest) = &mut self.value {
            if let Some(last) = nest.last_mut() {
                return last.vary(series, place);
            }
        }
        match (series, &mut self.value) {
            (Series::Lengths, Value::Bytes(bytes)) => bytes.resize(place.into(), 0),
            (Series::Values, Value::Bytes(bytes)) => bytes.fill(place),
            (Series::AttributeLies, _) => self.lie = i8::from_ne_bytes([place]).into(),
            _ => self.kind = self.kind & !NLA_TYPE_MASK | u16::from(place),
        }
    }

    /// A value for the attribute `number`. Most values have the right length, and many of them are
    /// in range.
    fn value(bytes: &mut Unstructured<'_>, number: u16, depth: usize) -> Result<Vec<u8>> {
        if rarely(bytes, 16)? {
            let len = bytes.int_in_range(0..=40)?;
            return Ok(pattern(len, 0));
        }
        if depth > 0 {
            return Ok(pattern(protocol::TYPES_LEN, bytes.arbitrary()?));
        }
        Ok(match number {
            protocol::CONFIG_A_ENABLED | protocol::CONFIG_A_SPREAD | protocol::CONFIG_A_BYPASS => {
                vec![bytes.int_in_range(0..=2)?]
            }
            protocol::CONFIG_A_HOOKS => vec![bytes.int_in_range(0..=35)?],
            protocol::CONFIG_A_QUEUE | protocol::CONFIG_A_QUEUES => {
                bytes.arbitrary::<u16>()?.to_ne_bytes().to_vec()
            }
            _ => bytes.arbitrary::<[u8; 4]>()?.to_vec(),
        })
    }

    fn append_to(&self, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.extend([0; 4]);
        match &self.value {
            Value::Bytes(bytes) => buffer.extend(bytes),
            Value::Nest(attributes) => append_all(attributes, buffer),
        }
        let len = u16::try_from(buffer.len() - start).expect("an attribute is under 64 KiB");
        let len = len.wrapping_add_signed(self.lie);
        buffer[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        buffer[start + 2..start + 4].copy_from_slice(&self.kind.to_ne_bytes());
        buffer.resize(aligned(buffer.len()), 0);
    }
}

fn append_all(attributes: &[Attribute], buffer: &mut Vec<u8>) {
    for attribute in attributes {
        attribute.append_to(buffer);
    }
}

impl Message {
    /// Changes the value that `series` names. `place` gives the new value.
    pub fn vary(&mut self, series: Series, place: u8) {
        match series {
            Series::Types => self.kind = place.into(),
            Series::Flags => self.flags ^= 1 << (place % 16),
            Series::Lies => self.lie = i8::from_ne_bytes([place]).into(),
            Series::Lengths | Series::Attributes | Series::Values | Series::AttributeLies => {
                self.payload.vary(series, place);
            }
        }
    }

    /// Whether the message may change the configuration.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.kind == protocol::MSG_CONFIG_SET
    }

    /// Appends the message to `buffer`, with this sequence number. The message starts at the next
    /// aligned offset (`NLMSG_ALIGN()`).
    ///
    /// # Panics
    ///
    /// Never panics, because every generated message is short enough for its length field.
    pub fn append_to(&self, buffer: &mut Vec<u8>, sequence: u32) {
        buffer.resize(aligned(buffer.len()), 0);
        let start = buffer.len();
        let (payload, attributes): (_, &[_]) = match &self.payload {
            &Payload::Pattern { len, seed } => (pattern(len, seed), &[]),
            Payload::Attributes(attributes) => (Vec::new(), attributes),
        };
        knetlink::Message {
            kind: self.kind,
            flags: self.flags,
            sequence,
            portid: self.portid,
            payload: &payload,
        }
        .append_with(buffer, |buffer| append_all(attributes, buffer));
        if self.lie != 0 {
            let len = HEADER_LEN + payload.len();
            let len = u32::try_from(len)
                .expect("short")
                .wrapping_add_signed(self.lie);
            buffer[start..start + 4].copy_from_slice(&len.to_ne_bytes());
        }
    }
}
