// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ranges of addresses.

use std::net::IpAddr;

use cidr::IpInet;

use crate::number::number;

pub use cidr::IpCidr as Network;

/// Reads an address, or `ADDRESS/LENGTH`. The first LENGTH bits of all addresses of the network are
/// equal.
#[must_use]
pub fn network(text: &str) -> Option<Network> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    match length {
        Some(length) => Some(IpInet::new(address, number(length)?).ok()?.network()),
        None => Some(Network::new_host(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_contains_what_its_prefix_says() {
        for (text, canonical, inside, outside) in [
            ("10.1.2.3", "10.1.2.3", "10.1.2.3", "10.1.2.2"),
            ("10.1.2.3/32", "10.1.2.3", "10.1.2.3", "::ffff:10.1.2.3"),
            ("10.1.2.3/31", "10.1.2.2/31", "10.1.2.2", "10.1.2.4"),
            ("10.1.2.3/1", "0.0.0.0/1", "127.255.255.255", "128.0.0.0"),
            ("0.0.0.0/0", "0.0.0.0/0", "255.255.255.255", "::"),
            ("fe80::1/10", "fe80::/10", "febf::", "fec0::"),
            ("::/0", "::/0", "ffff::", "0.0.0.0"),
            ("::1/127", "::/127", "::", "::2"),
        ] {
            let range = network(text).unwrap();
            assert!(range.contains(&inside.parse().unwrap()), "{text} {inside}");
            assert!(
                !range.contains(&outside.parse().unwrap()),
                "{text} {outside}"
            );
            assert_eq!(range.to_string(), canonical);
            assert_eq!(network(canonical), Some(range));
        }
    }

    #[test]
    fn nothing_else_is_a_range() {
        for text in [
            "",
            "10",
            "10.1/16",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0.0-10.0.0.9",
        ] {
            assert_eq!(network(text), None, "{text}");
        }
    }
}
