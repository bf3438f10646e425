// SPDX-License-Identifier: GPL-2.0

//! Network devices by name and number, in the calling thread's network namespace.

use nix::net::if_;

/// A network device is named that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no interface '{0}' in this network namespace; `ip link` shows those that are")]
pub struct NoInterface(String);

/// The number of a network device.
pub fn index(name: &str) -> Result<u32, NoInterface> {
    if_::if_nametoindex(name).map_err(|_| NoInterface(name.to_owned()))
}

/// The name of a network device, or its number if it has gone.
#[must_use]
pub fn name(index: u32) -> String {
    match if_::if_indextoname(index) {
        // nix 0.31 returns an empty name where libc reports an error.
        Ok(name) if !name.is_empty() => name.to_string_lossy().into_owned(),
        _ => format!("if{index}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_named_and_gone_ones_numbered() {
        assert_eq!((name(1).as_str(), index("lo")), ("lo", Ok(1)));
        assert_eq!(name(i32::MAX as u32), "if2147483647");
    }
}
