// SPDX-License-Identifier: MIT OR Apache-2.0

//! Interfaces by name and number, in the calling thread's network namespace.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use nix::net::if_;

use crate::number::number;
use crate::text::Escaped;

/// The length of the longest name (`IFNAMSIZ` without the NUL).
const NAME_LEN: usize = 15;

/// The named interface does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no interface '{}' in this network namespace (ENODEV); `ip link` shows all interfaces",
    Escaped(.0.as_bytes())
)]
pub struct NoInterface(OsString);

impl NoInterface {
    /// The error about the name of an interface that does not exist.
    pub fn new(name: impl Into<OsString>) -> Self {
        Self(name.into())
    }
}

/// An interface that a user has named: by its name or, if no interface has this name, by its
/// number. The name need not be valid UTF-8.
///
/// ```
/// use linux_names::interface::Interface;
///
/// let mut interface: Interface = "lo".parse().unwrap();
/// assert_eq!(interface.index(), None);
/// interface.look_up()?;
/// assert_eq!(interface.index(), Some(1));
/// # Ok::<(), linux_names::interface::NoInterface>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    name: OsString,
    /// The number. `None` before the lookup.
    index: Option<u32>,
}

/// The text cannot be the name of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the name or number of an interface, as `ip link` shows them")]
pub struct ParseInterfaceError;

impl Interface {
    /// Looks up the number of the interface. If no interface has the name, and the name is a
    /// number, this number is the result, even if no interface has this number.
    pub fn look_up(&mut self) -> Result<(), NoInterface> {
        let number = || self.name.to_str().and_then(number);
        let index = index(&self.name);
        self.index = Some(index.or_else(|error| number().ok_or(error))?);
        Ok(())
    }

    /// The name or number as the user gave it.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// The number of the interface; `None` before the lookup.
    #[must_use]
    pub fn index(&self) -> Option<u32> {
        self.index
    }

    /// Whether the interface has this number. False before the lookup.
    #[must_use]
    pub fn is(&self, index: u32) -> bool {
        self.index == Some(index)
    }
}

impl FromStr for Interface {
    type Err = ParseInterfaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OsStr::new(text).try_into()
    }
}

impl TryFrom<&OsStr> for Interface {
    type Error = ParseInterfaceError;

    fn try_from(name: &OsStr) -> Result<Self, Self::Error> {
        // The kernel's rules for names (`dev_valid_name()`). For the kernel, 0xa0 is a space, too.
        let wrong = |byte: &u8| matches!(byte, b'/' | b':' | b' ' | 9..=13 | 0xa0);
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() > NAME_LEN || bytes.iter().any(wrong) {
            return Err(ParseInterfaceError);
        }
        Ok(Self {
            name: name.to_owned(),
            index: None,
        })
    }
}

/// The number of an interface.
pub fn index(name: impl AsRef<OsStr>) -> Result<u32, NoInterface> {
    let name = name.as_ref();
    if_::if_nametoindex(name).map_err(|_| NoInterface::new(name))
}

/// The name of an interface. If the interface was removed, the result is `if` and the number, as
/// `ip link` prints it.
#[must_use]
pub fn name(index: u32) -> String {
    name_of(index).unwrap_or_else(|| format!("if{index}"))
}

/// Whether there is an interface with this number.
#[must_use]
pub fn exists(index: u32) -> bool {
    name_of(index).is_some()
}

fn name_of(index: u32) -> Option<String> {
    let name = if_::if_indextoname(index).ok()?;
    // If libc reports an error, nix 0.31 returns an empty name.
    (!name.is_empty()).then(|| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_named_and_gone_ones_numbered() {
        assert_eq!((name(1).as_str(), index("lo")), ("lo", Ok(1)));
        assert_eq!(name(i32::MAX as u32), "if2147483647");
        assert_eq!([1, i32::MAX as u32].map(exists), [true, false]);
    }

    #[test]
    fn name_of_no_interface_does_a_terminal_no_harm() {
        let text = index("\u{1b}[31m").unwrap_err().to_string();
        assert!(text.contains(r"no interface '\x1b[31m' in"), "{text}");
    }

    #[test]
    fn interfaces_are_given_by_name_or_number() {
        for (text, expected) in [
            ("lo", Ok(1)),
            ("1", Ok(1)),
            ("0x1", Ok(1)),
            ("4294967295", Ok(u32::MAX)),
            ("no-such0", Err(NoInterface::new("no-such0"))),
            ("+1", Err(NoInterface::new("+1"))),
        ] {
            let mut interface: Interface = text.parse().unwrap();
            assert!(!interface.is(1), "{text}");
            let found = interface.look_up().map(|()| interface.index().unwrap());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn names_are_any_bytes() {
        let name = OsStr::from_bytes(b"eth\xff");
        let mut interface = Interface::try_from(name).unwrap();
        assert_eq!(interface.name(), name);
        let missing = interface.look_up().unwrap_err().to_string();
        assert!(missing.contains(r"no interface 'eth\xff' in"), "{missing}");
        assert!(Interface::try_from(OsStr::from_bytes(b"a\xa0b")).is_err());
    }

    #[test]
    fn what_the_kernel_takes_for_no_name_is_none() {
        for text in ["", "longer-than-15-b", "a/b", "a b", "a:1", "a\tb"] {
            assert_eq!(
                text.parse::<Interface>(),
                Err(ParseInterfaceError),
                "{text}"
            );
        }
    }
}
