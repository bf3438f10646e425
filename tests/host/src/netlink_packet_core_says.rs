// SPDX-License-Identifier: GPL-2.0

//! The policy of the test, and the refusal that the module must return for a message with this
//! policy. The refusal is derived from the results of netlink-packet-core, an independent parser.

use kernel::prelude::{
    Error,
    EINVAL,
    ERANGE, //
};
use netlink_packet_core::{
    NlaBuffer,
    NlasIterator, //
};

use crate::attribute::{
    Attribute,
    Nest,
    Policy,
    Uint, //
};

const SMALL: Attribute<u8> = Attribute::new(1).range(1, 31);
const SIGNED: Attribute<i32> = Attribute::new(2).range(-5, 5);
const BYTES: Attribute<[u8; 6]> = Attribute::new(3);
const COUNTER: Attribute<Uint> = Attribute::new(4);
const INNER: Attribute<Nest> = Attribute::nest(5, &INNER_POLICY);
const PORT: Attribute<u16> = Attribute::new(1).required();
static INNER_POLICY: Policy = Policy::new(&[PORT.rule()]);
pub(crate) static POLICY: Policy = Policy::new(&[
    SMALL.rule(),
    SIGNED.rule(),
    BYTES.rule(),
    COUNTER.rule(),
    INNER.rule(),
]);

/// The expected result for a message. The error is that of the first mistake in the message, with
/// the offset of the mistake. A missing attribute has no offset.
pub(crate) type Expected = Result<(), (Error, Option<usize>)>;

/// The expected result for the attributes in `bytes`, derived from the parser of
/// netlink-packet-core. `offset` is the place of `bytes` in the message. `value_is_fine` checks the
/// number and the value of an attribute.
fn expected(
    bytes: &[u8],
    offset: usize,
    required: Option<u16>,
    value_is_fine: impl Fn(&NlaBuffer<&[u8]>, usize) -> Expected,
) -> Expected {
    let mut seen = Vec::new();
    let mut at = 0;
    for attribute in NlasIterator::new(&bytes) {
        let Ok(attribute) = attribute else {
            break;
        };
        let refused = Err((EINVAL, Some(offset + at)));
        if seen.contains(&attribute.kind()) || attribute.network_byte_order_flag() {
            // The number is repeated, or the attribute has the byte-order flag. Both mistakes give
            // the same error, so it does not matter which of them the module finds first.
            return refused;
        }
        seen.push(attribute.kind());
        value_is_fine(&attribute, offset + at)?;
        at += (attribute.length() as usize).next_multiple_of(4);
    }
    if at < bytes.len() {
        return Err((EINVAL, Some(offset + at)));
    }
    match required {
        Some(number) if !seen.contains(&number) => Err((EINVAL, None)),
        _ => Ok(()),
    }
}

/// The expected result for a message with [`POLICY`].
pub(crate) fn message(message: &[u8]) -> Expected {
    expected(message, 0, None, |attribute, at| {
        let value = attribute.value();
        let error = |error| Err((error, Some(at)));
        if attribute.nested_flag() != (attribute.kind() == 5) {
            return error(EINVAL);
        }
        let in_range = match (attribute.kind(), value.len()) {
            (1, 1) => (1..=31).contains(&value[0]),
            (2, 4) => (-5..=5).contains(&i32::from_ne_bytes(value.try_into().unwrap())),
            (3, 6) | (4, 4 | 8) => true,
            (5, _) => {
                return expected(value, at + 4, Some(1), |inner, at| {
                    let fine =
                        !inner.nested_flag() && inner.kind() == 1 && inner.value().len() == 2;
                    fine.then_some(()).ok_or((EINVAL, Some(at)))
                });
            }
            _ => return error(EINVAL),
        };
        in_range.then_some(()).ok_or((ERANGE, Some(at)))
    })
}
