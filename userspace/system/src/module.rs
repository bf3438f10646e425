// SPDX-License-Identifier: MIT OR Apache-2.0

//! Modules of the kernel that an operation needs and the kernel may lack.

use std::fs;
use std::path::Path;

/// Advice for a kernel that lacks a function of a module. `option` is the configuration option of
/// the module. `None` if the module is loaded or built in: then the lack has another reason.
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

/// The same by the lists that `depmod` makes, if they can be read.
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
        Some(list) if names(list, module) => format!("modprobe {module}"),
        Some(_) => format!("it was built without {option}"),
        // For example in a container: its files do not belong to the running kernel.
        None => format!("modprobe {module}, if there is that module ({option})"),
    })
}

/// Whether a list has the file of a module. Each line of the list begins with a file.
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
        // Only a module that it needs is built in.
        assert_eq!(
            remedy("nfnetlink_queue", both).unwrap(),
            "modprobe nfnetlink_queue"
        );
        assert_eq!(remedy("b_c", both).unwrap(), "modprobe b_c");
        assert_eq!(
            remedy("queue", both).unwrap(),
            "it was built without CONFIG_X"
        );
        assert_eq!(
            remedy("queue", (None, None)).unwrap(),
            "modprobe queue, if there is that module (CONFIG_X)"
        );
    }
}
