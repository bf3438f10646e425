// SPDX-License-Identifier: MIT OR Apache-2.0

//! Constants of C with the width that they have on the wire.

use libc::c_int;

/// A constant of 16 bits.
#[must_use]
pub const fn half(constant: c_int) -> u16 {
    assert!(constant >= 0 && constant <= u16::MAX as c_int);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "asserted above"
    )]
    let half = constant as u16;
    half
}

/// A constant of one byte.
#[must_use]
pub const fn octet(constant: c_int) -> u8 {
    let [high, low] = half(constant).to_be_bytes();
    assert!(high == 0);
    low
}
