// SPDX-License-Identifier: GPL-2.0

//! Compares the module's checks of attributes with an independent parser, on generated messages.

use proptest::{
    collection::vec,
    prelude::*, //
};

use crate::{
    attribute::Attributes,
    netlink_packet_core_says::{
        self,
        POLICY, //
    },
    property,
};

/// An attribute. Most attributes have a number that is in the policy, and a value that the policy
/// allows or nearly allows.
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
            // The refusal has a text. It has the offset of a wrong attribute, or the number of a
            // missing attribute.
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
        prop_assert_eq!(judged, netlink_packet_core_says::message(&message));
        Ok(())
    });
    // Accepted and refused messages must both be frequent. Otherwise the test would show little.
    assert!(fine > refused / 100 && refused > fine / 100);
}
