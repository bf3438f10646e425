// SPDX-License-Identifier: GPL-2.0

//! Network namespaces by the names that `ip netns` gives them.

use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::CloneFlags;

use crate::error::Error;
use crate::error::Result;

/// Moves the calling thread into the named network namespace.
///
/// Sockets that were opened before this call stay in their namespace. Call this function before the
/// program starts another thread, because it moves only the calling thread.
pub fn enter(name: &str) -> Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(linux_names::Error::new(
            format!("network namespace name '{}'", name.escape_default()),
            Errno::EINVAL,
        )
        .with_fix("give a name as `ip netns list` shows it, not a path")
        .into());
    }
    let path = Path::new("/run/netns").join(name);
    let namespace = File::open(&path).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => Error::NoNamespace(name.to_owned()),
        _ => linux_names::Error::io(format!("open {}", path.display()), &error).into(),
    })?;
    nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| {
        let error = linux_names::Error::new(format!("enter network namespace '{name}'"), errno);
        match errno {
            Errno::EPERM => error.with_fix("it needs CAP_SYS_ADMIN: run as root"),
            Errno::EINVAL => error.with_fix(format!(
                "{} is not a network namespace; `ip netns delete {name}` removes the stale name",
                path.display()
            )),
            _ => error,
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_namespace_is_named() {
        let error = enter("no-such-namespace").unwrap_err();
        assert!(matches!(error, Error::NoNamespace(name) if name == "no-such-namespace"));
    }

    #[test]
    fn paths_are_not_names() {
        for name in ["", ".", "..", "../netns/a", "/run/netns/a", "a\0b"] {
            assert_eq!(enter(name).unwrap_err().errno(), Some(Errno::EINVAL));
        }
    }
}
