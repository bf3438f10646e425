// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel modules that an operation needs, and advice if the kernel lacks them.

use std::fs;
use std::path::Path;

/// The advice to a user if the kernel lacks a feature that its module `module` provides. `option`
/// is the configuration option of the module. The result is `None` if the module is loaded or built
/// in, because then the feature is missing for another reason.
///
/// ```
/// use linux_names::module;
///
/// assert!(module::remedy("no_such", "CONFIG_NO_SUCH").is_some());
/// ```
#[must_use]
pub fn remedy(module: &str, option: &str) -> Option<String> {
    if Path::new("/sys/module").join(module).exists() {
        return None;
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let directory = Path::new("/lib/modules").join(release.trim());
    let list = |name| fs::read_to_string(directory.join(name)).ok();
    let (built_in, loadable) = (list("modules.builtin"), list("modules.dep"));
    remedy_by(module, option, built_in.as_deref(), loadable.as_deref())
}

/// The advice of [`remedy`], from the lists of modules that `depmod` makes. A list is `None` if it
/// cannot be read.
fn remedy_by(
    module: &str,
    option: &str,
    built_in: Option<&str>,
    loadable: Option<&str>,
) -> Option<String> {
    if built_in.is_some_and(|list| names(list, module)) {
        return None;
    }
    Some(match loadable {
        Some(list) if names(list, module) => format!("run `modprobe {module}`"),
        Some(_) => format!("it was built without {option}"),
        // A container, for example, may have no lists of the running kernel's modules.
        None => format!("run `modprobe {module}`, if the kernel has this module ({option})"),
    })
}

/// Whether a list has the file of a module. Each line of the list begins with the path of a file.
fn names(list: &str, module: &str) -> bool {
    list.lines().any(|line| {
        let path = line.split(':').next().unwrap_or_default();
        let file = path.rsplit('/').next().unwrap_or_default();
        let name = file.split_once(".ko").map(|(name, _)| name);
        name.is_some_and(|name| name.replace('-', "_") == module)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_to_be_loaded_only_where_there_are_any() {
        let built_in = Some("kernel/net/packet/af_packet.ko\nkernel/net/nfnetlink.ko\n");
        let loadable = Some(
            "kernel/net/nfnetlink_queue.ko.xz: kernel/net/nfnetlink.ko.xz\nkernel/a/b-c.ko:\n",
        );
        let remedy = |module, lists: (_, _)| remedy_by(module, "CONFIG_X", lists.0, lists.1);
        let both = (built_in, loadable);
        assert_eq!(remedy("af_packet", both), None);
        // `nfnetlink` is built in, but `nfnetlink_queue`, which needs it, is not.
        assert_eq!(
            remedy("nfnetlink_queue", both).unwrap(),
            "run `modprobe nfnetlink_queue`"
        );
        assert_eq!(remedy("b_c", both).unwrap(), "run `modprobe b_c`");
        assert_eq!(
            remedy("queue", both).unwrap(),
            "it was built without CONFIG_X"
        );
        assert_eq!(
            remedy("queue", (None, None)).unwrap(),
            "run `modprobe queue`, if the kernel has this module (CONFIG_X)"
        );
    }
}
