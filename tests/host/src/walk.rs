// SPDX-License-Identifier: GPL-2.0

//! What the walk over netlink messages promises, whatever the bytes are.

use crate::message::{
    Header,
    Messages,
    ALIGNMENT, //
};

/// Walks a buffer: messages lie in it one behind the other, up to one that cannot be.
pub(crate) fn check(buffer: &[u8]) {
    let mut end = 0;
    for message in Messages::new(buffer) {
        let len = message.header.len as usize;
        assert_eq!(message.offset, end);
        assert_eq!(
            [&message.header.to_bytes()[..], message.payload].concat(),
            &buffer[end..end + len]
        );
        end += len.next_multiple_of(ALIGNMENT);
    }
    // What is left starts with no message that could be walked.
    if let Some((len, _)) = buffer.get(end..).and_then(<[u8]>::split_first_chunk) {
        let len = u32::from_ne_bytes(*len) as usize;
        let rest = buffer.len() - end;
        assert!(rest < Header::LEN || len < Header::LEN || len > rest);
    }
}
