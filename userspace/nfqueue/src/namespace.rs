// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the kernel accepts new content for packets in this network namespace.

use std::fs;
use std::path::Path;

/// Whether the kernel accepts new content for packets of the calling thread's network namespace.
/// The kernel accepts it only if the initial user namespace owns the network namespace. If this
/// function cannot find out the owner, it returns true.
///
/// The kernel tells the owner only by an ioctl, which needs `unsafe`. But in network namespaces
/// with another owner, the kernel hides most settings of the IPv6 route table. So if the namespace
/// has IPv6, these settings show whether the initial user namespace is the owner.
pub(crate) fn namespace_allows() -> bool {
    allows(Path::new("/proc/sys/net"), Path::new("/proc/self/ns/user"))
}

fn allows(settings: &Path, user_namespace: &Path) -> bool {
    /// The initial user namespace. The number is the kernel's `PROC_USER_INIT_INO`.
    const INITIAL: &str = "user:[4026531837]";
    let ipv6 = settings.join("ipv6");
    let hidden = ipv6.join("conf").exists() && !ipv6.join("route/mtu_expires").exists();
    // If this process is in another user namespace, it can bind queues only in network namespaces
    // that this user namespace, or a user namespace below it, owns. So the initial user namespace
    // does not own the network namespace.
    let inside = fs::read_link(user_namespace).is_ok_and(|link| link.as_os_str() != INITIAL);
    !hidden && !inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_of_containers_are_told_by_what_they_lack() {
        let directory = std::env::temp_dir().join(format!("nldemo-rewrite-{}", std::process::id()));
        let routes = directory.join("ipv6/route");
        let user = directory.join("user");
        let mut seen = vec![allows(&directory, &user)];
        fs::create_dir_all(directory.join("ipv6/conf")).unwrap();
        fs::create_dir_all(&routes).unwrap();
        seen.push(allows(&directory, &user));
        fs::write(routes.join("mtu_expires"), "").unwrap();
        seen.push(allows(&directory, &user));
        std::os::unix::fs::symlink("user:[4026531837]", &user).unwrap();
        seen.push(allows(&directory, &user));
        fs::remove_file(&user).unwrap();
        std::os::unix::fs::symlink("user:[4026532000]", &user).unwrap();
        seen.push(allows(&directory, &user));
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(seen, [true, false, true, true, false]);
    }
}
