// SPDX-License-Identifier: MIT OR Apache-2.0

//! The types of ICMP and ICMPv6 messages by name.

use crate::family::Family;

/// The message that `ping` sends.
pub const ECHO_REQUEST: &str = "echo-request";
/// The message that `ping` waits for.
pub const ECHO_REPLY: &str = "echo-reply";

impl Family {
    /// The common types in ascending order, with their names in nftables.
    #[must_use]
    pub fn types(self) -> &'static [(u8, &'static str)] {
        match self {
            Self::Ipv4 => &[
                (0, ECHO_REPLY),
                (3, "destination-unreachable"),
                (4, "source-quench"),
                (5, "redirect"),
                (8, ECHO_REQUEST),
                (9, "router-advertisement"),
                (10, "router-solicitation"),
                (11, "time-exceeded"),
                (12, "parameter-problem"),
                (13, "timestamp-request"),
                (14, "timestamp-reply"),
                (15, "info-request"),
                (16, "info-reply"),
                (17, "address-mask-request"),
                (18, "address-mask-reply"),
            ],
            Self::Ipv6 => &[
                (1, "destination-unreachable"),
                (2, "packet-too-big"),
                (3, "time-exceeded"),
                (4, "parameter-problem"),
                (128, ECHO_REQUEST),
                (129, ECHO_REPLY),
                (130, "mld-listener-query"),
                (131, "mld-listener-report"),
                (132, "mld-listener-done"),
                (133, "nd-router-solicit"),
                (134, "nd-router-advert"),
                (135, "nd-neighbor-solicit"),
                (136, "nd-neighbor-advert"),
                (137, "nd-redirect"),
                (138, "router-renumbering"),
                (141, "ind-neighbor-solicit"),
                (142, "ind-neighbor-advert"),
                (143, "mld2-listener-report"),
            ],
        }
    }

    /// The types of the messages that `ping` sends and waits for.
    #[inline]
    #[must_use]
    pub const fn echo_types(self) -> [u8; 2] {
        match self {
            Self::Ipv4 => [8, 0],
            Self::Ipv6 => [128, 129],
        }
    }

    /// The name of a type. `None` if [`types`](Self::types) does not have the type.
    #[inline]
    #[must_use]
    pub fn type_name(self, kind: u8) -> Option<&'static str> {
        let mut types = self.types().iter();
        types.find_map(|&(number, name)| (number == kind).then_some(name))
    }

    /// The type that has this name.
    #[must_use]
    pub fn type_named(self, name: &str) -> Option<u8> {
        let mut types = self.types().iter();
        types.find_map(|&(number, known)| (known == name).then_some(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_of_types_are_unique() {
        for family in Family::ALL {
            assert!(family.types().is_sorted_by(|a, b| a.0 < b.0));
            for &(kind, name) in family.types() {
                assert_eq!(family.type_name(kind), Some(name));
                assert_eq!(family.type_named(name), Some(kind));
            }
        }
        for family in Family::ALL {
            let names = family.echo_types().map(|kind| family.type_name(kind));
            assert_eq!(names, [Some(ECHO_REQUEST), Some(ECHO_REPLY)]);
        }
        assert_eq!(Family::Ipv4.type_name(128), None);
        assert_eq!(Family::Ipv6.type_named("redirect"), None);
    }
}
