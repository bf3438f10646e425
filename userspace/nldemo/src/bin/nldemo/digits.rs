// SPDX-License-Identifier: GPL-2.0

//! Appends the text of numbers and addresses to a vector of bytes.
//!
//! For one number, `write!` takes several hundred instructions. That is more than the program takes
//! to receive a packet.

use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;

/// For each octet: its digits as text with a dot behind them, and the number of digits.
static OCTETS: [([u8; 4], u8); 256] = octets();

const fn octets() -> [([u8; 4], u8); 256] {
    let mut octets = [(*b"0.  ", 1); 256];
    let mut number: u8 = 0;
    while number < u8::MAX {
        number += 1;
        let digits = (number / 100, number / 10 % 10, b'0' + number % 10);
        octets[number as usize] = match digits {
            (0, 0, ones) => ([ones, b'.', 0, 0], 1),
            (0, tens, ones) => ([b'0' + tens, ones, b'.', 0], 2),
            (hundreds, tens, ones) => ([b'0' + hundreds, b'0' + tens, ones, b'.'], 3),
        };
    }
    octets
}

/// Appends a number in decimal.
#[inline]
pub(crate) fn decimal<N>(bytes: &mut Vec<u8>, number: N)
where
    N: itoa::Integer + TryInto<u8> + Copy,
{
    if let Ok(number) = number.try_into() {
        octet(bytes, number, false);
    } else {
        bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// Appends an octet, with the dot or without. This function always copies four bytes and then cuts
/// the text to its length. A copy of a constant length is faster, because it needs no call of
/// `memcpy`.
#[inline]
fn octet(bytes: &mut Vec<u8>, number: u8, dot: bool) {
    let (text, digits) = OCTETS[usize::from(number)];
    let length = bytes.len() + usize::from(digits) + usize::from(dot);
    bytes.extend_from_slice(&text);
    bytes.truncate(length);
}

/// Appends two hexadecimal digits for each byte.
#[inline]
pub(crate) fn hex(text: &mut Vec<u8>, bytes: &[u8]) {
    bytes
        .iter()
        .for_each(|&byte| text.extend_from_slice(&pair(byte)));
}

/// Appends the address of a device: two hexadecimal digits for each byte, and colons between them.
#[inline]
pub(crate) fn hardware_address(text: &mut Vec<u8>, bytes: &[u8]) {
    for (place, &byte) in bytes.iter().enumerate() {
        let [high, low] = pair(byte);
        if place == 0 {
            text.extend_from_slice(&[high, low]);
        } else {
            text.extend_from_slice(&[b':', high, low]);
        }
    }
}

#[inline]
fn pair(byte: u8) -> [u8; 2] {
    let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
    [digit(byte >> 4), digit(byte & 0xf)]
}

/// Appends a number in hexadecimal, with the prefix 0x.
#[inline]
pub(crate) fn hexadecimal(bytes: &mut Vec<u8>, number: u32) {
    if number == 0 {
        bytes.extend_from_slice(b"0x0");
        return;
    }
    written(write!(bytes, "{number:#x}"));
}

/// Appends an address.
#[inline]
pub(crate) fn address(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => ipv4(bytes, address),
        IpAddr::V6(address) => written(write!(bytes, "{address}")),
    }
}

#[inline]
fn ipv4(bytes: &mut Vec<u8>, address: Ipv4Addr) {
    let [first, second, third, fourth] = address.octets();
    octet(bytes, first, true);
    octet(bytes, second, true);
    octet(bytes, third, true);
    octet(bytes, fourth, false);
}

/// Checks the result of a write to a vector, which cannot fail.
pub(crate) fn written(result: std::io::Result<()>) {
    result.expect("a vector takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_what_display_has() {
        let mut bytes = Vec::new();
        for number in (0..=300).chain([1000, u32::MAX]) {
            bytes.clear();
            decimal(&mut bytes, number);
            bytes.push(b' ');
            hexadecimal(&mut bytes, number);
            assert_eq!(bytes, format!("{number} {number:#x}").as_bytes());
        }
        bytes.clear();
        hex(&mut bytes, &[0, 0x1f, 0xff]);
        bytes.push(b' ');
        hardware_address(&mut bytes, &[2, 0, 0xab]);
        hardware_address(&mut bytes, &[]);
        assert_eq!(bytes, b"001fff 02:00:ab");
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
