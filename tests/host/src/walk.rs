// SPDX-License-Identifier: GPL-2.0

//! Checks the walk over the netlink messages in a buffer. Tests and a fuzzer use this check.

use crate::message::{
    Header,
    Messages,
    ALIGNMENT, //
};

/// Checks the walk over a buffer: messages follow each other without a gap, and the walk ends at
/// the first message with an impossible length.
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
    // The rest of the buffer does not begin with a valid message.
    if let Some((len, _)) = buffer.get(end..).and_then(<[u8]>::split_first_chunk) {
        let len = u32::from_ne_bytes(*len) as usize;
        let rest = buffer.len() - end;
        assert!(rest < Header::LEN || len < Header::LEN || len > rest);
    }
}
