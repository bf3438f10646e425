// SPDX-License-Identifier: GPL-2.0

//! Tests the walk over the netlink messages in a buffer, with generated buffers.

use proptest::{
    collection::vec,
    prelude::*, //
};

use crate::{
    message::{
        Header,
        ALIGNMENT, //
    },
    property, walk,
};

/// A message. In most cases the length in its header is right.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let lie = prop_oneof![8 => Just(0), 1 => -20..20i64, 1 => any::<i32>().prop_map(i64::from)];
    (vec(any::<u8>(), 12), vec(any::<u8>(), 0..40), lie).prop_map(|(header, payload, lie)| {
        let len = (Header::LEN + payload.len()) as i64 + lie;
        let mut message = (len as u32).to_ne_bytes().to_vec();
        message.extend(header);
        message.extend(payload);
        message.resize(message.len().next_multiple_of(ALIGNMENT), 0);
        message
    })
}

#[test]
fn messages_lie_in_the_buffer_one_behind_the_other() {
    let buffers = (vec(message(), 0..6), 0..8usize).prop_map(|(messages, cut)| {
        let mut buffer = messages.concat();
        buffer.truncate(buffer.len().saturating_sub(cut));
        buffer
    });
    property::check(100_000, &buffers, |buffer| {
        walk::check(&buffer);
        Ok(())
    });
}
