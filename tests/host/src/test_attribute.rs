// SPDX-License-Identifier: GPL-2.0

//! The validation of attributes, on any bytes, against an independent parser.

use kernel::prelude::{
    Error,
    EINVAL,
    ERANGE, //
};
use netlink_packet_core::{
    NlaBuffer,
    NlasIterator, //
};
use proptest::{
    collection::vec,
    prelude::*, //
};

use crate::{
    attribute::{
        Attribute,
        Attributes,
        Nest,
        Policy,
        Uint, //
    },
    property,
};

const SMALL: Attribute<u8> = Attribute::new(1).range(1, 31);
const SIGNED: Attribute<i32> = Attribute::new(2).range(-5, 5);
const BYTES: Attribute<[u8; 6]> = Attribute::new(3);
const COUNTER: Attribute<Uint> = Attribute::new(4);
const INNER: Attribute<Nest> = Attribute::nest(5, &INNER_POLICY);
const PORT: Attribute<u16> = Attribute::new(1).required();
static INNER_POLICY: Policy = Policy::new(&[PORT.rule()]);
static POLICY: Policy = Policy::new(&[
    SMALL.rule(),
    SIGNED.rule(),
    BYTES.rule(),
    COUNTER.rule(),
    INNER.rule(),
]);

/// What is expected of a message: the first thing wrong with it, and where.
type Expected = Result<(), (Error, Option<usize>)>;

/// The verdict on attributes that start at `offset`, by the parser of netlink-packet-core.
/// `value_is_fine` judges one by its number and its value.
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
            // Which of the two comes first makes no difference to what is said.
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

fn expected_of_message(message: &[u8]) -> Expected {
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

/// An attribute, nearly always one that the policy knows, with about the right value.
fn attribute() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        vec(any::<u8>(), 0..9),
        (0..40u8).prop_map(|value| vec![value]),
        (-8..8i32).prop_map(|value| value.to_ne_bytes().to_vec()),
        any::<[u8; 6]>().prop_map(Vec::from),
        Just(vec![6, 0, 1, 0, 1, 2]),
        Just(vec![6, 0, 1, 0, 1, 2, 0, 0]),
    ];
    let number = prop_oneof![20 => 1..6u16, 1 => any::<u16>()];
    let flags = prop_oneof![20 => Just(None), 1 => (0..4u16).prop_map(Some)];
    let lie = prop_oneof![40 => Just(0), 1 => -10..10i32];
    (number, flags, value, lie).prop_map(|(number, flags, value, lie)| {
        let flags = flags.unwrap_or(u16::from(number == 5) << 1) << 14;
        let len = (4 + value.len() as i32 + lie) as u16;
        let mut bytes = [len.to_ne_bytes(), (number | flags).to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    })
}

#[test]
fn messages_are_judged_as_an_independent_parser_does() {
    let messages = (
        vec(attribute(), 0..5),
        prop_oneof![9 => Just(0), 1 => 0..8usize],
    )
        .prop_map(|(attributes, cut)| {
            let mut message = attributes.concat();
            message.truncate(message.len().saturating_sub(cut));
            message
        });
    let (mut fine, mut refused) = (0, 0);
    let counts = std::cell::RefCell::new((&mut fine, &mut refused));
    property::check(1_000_000, &messages, |message| {
        let judged = Attributes::parse(&message, &POLICY).map(|_| ());
        if let Err(refusal) = &judged {
            // It is said what is wrong, and it is one attribute that is wrong or missing.
            prop_assert!(refusal.message().is_some());
            prop_assert_eq!(
                refusal.missing_attribute(),
                refusal.offset().is_none().then_some(1)
            );
            prop_assert_eq!(refusal.missing_nest().is_some(), refusal.offset().is_none());
        }
        let judged = judged.map_err(|refusal| (refusal.error(), refusal.offset()));
        let mut counts = counts.borrow_mut();
        *if judged.is_ok() {
            &mut *counts.0
        } else {
            &mut *counts.1
        } += 1;
        prop_assert_eq!(judged, expected_of_message(&message));
        Ok(())
    });
    // Neither side of the judgement is there for show.
    assert!(fine > refused / 100 && refused > fine / 100);
}
