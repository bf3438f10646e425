// SPDX-License-Identifier: GPL-2.0

//! Numbers and addresses as text, added to bytes.
//!
//! `write!` takes several hundred instructions for a number, which is more than receiving a packet
//! takes a program.

use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;

/// Adds a number in decimal.
#[inline]
pub(crate) fn decimal(bytes: &mut Vec<u8>, number: impl itoa::Integer) {
    bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Adds a number in hexadecimal, behind 0x.
#[inline]
pub(crate) fn hexadecimal(bytes: &mut Vec<u8>, number: u32) {
    if number == 0 {
        bytes.extend_from_slice(b"0x0");
        return;
    }
    written(write!(bytes, "{number:#x}"));
}

/// Adds an address.
#[inline]
pub(crate) fn address(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => ipv4(bytes, address),
        IpAddr::V6(address) => written(write!(bytes, "{address}")),
    }
}

#[inline]
fn ipv4(bytes: &mut Vec<u8>, address: Ipv4Addr) {
    let [first, others @ ..] = address.octets();
    decimal(bytes, first);
    for octet in others {
        bytes.push(b'.');
        decimal(bytes, octet);
    }
}

/// What comes of writing to a vector.
pub(crate) fn written(result: std::io::Result<()>) {
    result.expect("a vector takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_what_display_has() {
        let mut bytes = Vec::new();
        for number in [0, 9, 10, 99, 100, 1000, u32::MAX] {
            bytes.clear();
            decimal(&mut bytes, number);
            bytes.push(b' ');
            hexadecimal(&mut bytes, number);
            assert_eq!(bytes, format!("{number} {number:#x}").as_bytes());
        }
        for text in [
            "0.0.0.0",
            "10.9.0.255",
            "255.255.255.255",
            "::",
            "fe80::1",
            "2001:db8::1:0:0:1",
        ] {
            bytes.clear();
            address(&mut bytes, text.parse().unwrap());
            assert_eq!(bytes, text.as_bytes());
        }
    }
}
