// SPDX-License-Identifier: MIT OR Apache-2.0

//! Network devices by name and number, in the calling thread's network namespace.

use nix::net::if_;

use crate::text::Escaped;

/// A network device is named that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no interface '{}' in this network namespace (ENODEV); `ip link` shows those that are",
    Escaped(.0.as_bytes())
)]
pub struct NoInterface(String);

impl NoInterface {
    /// No network device has this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

/// The number of a network device.
pub fn index(name: &str) -> Result<u32, NoInterface> {
    if_::if_nametoindex(name).map_err(|_| NoInterface::new(name))
}

/// The name of a network device, or its number if it has gone.
#[must_use]
pub fn name(index: u32) -> String {
    name_of(index).unwrap_or_else(|| format!("if{index}"))
}

/// Whether there is a network device of that number.
#[must_use]
pub fn exists(index: u32) -> bool {
    name_of(index).is_some()
}

fn name_of(index: u32) -> Option<String> {
    let name = if_::if_indextoname(index).ok()?;
    // nix 0.31 returns an empty name where libc reports an error.
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
}
