// SPDX-License-Identifier: GPL-2.0

//! Checks that there is memory for many queues.

use std::fs;
use std::path::Path;

use crate::failure::Failure;

/// The memory that a queue takes in this program and in the kernel while few packets wait. With 100
/// to 2000 queues, each queue took 80 to 117 KiB.
const PER_QUEUE: u64 = 128 << 10;

/// Fails if there is too little memory for this number of queues. Without this check, the kernel
/// could run out of memory while the program binds the queues, and then kill this program or
/// another program.
pub(super) fn check(queues: usize) -> Result<(), Failure> {
    let of_machine = fs::read_to_string("/proc/meminfo").ok();
    let of_machine = of_machine.as_deref().and_then(available_bytes);
    let of_groups = fs::read_to_string("/proc/self/cgroup").ok();
    let of_groups =
        of_groups.and_then(|groups| left_by_groups(&groups, Path::new("/sys/fs/cgroup")));
    let available = of_machine.into_iter().chain(of_groups).min();
    check_with(queues as u64, available.unwrap_or(u64::MAX))
}

fn check_with(queues: u64, available: u64) -> Result<(), Failure> {
    let needed = queues * PER_QUEUE;
    // A single queue is always allowed, even if the memory seems too little.
    if queues == 1 || needed <= available {
        return Ok(());
    }
    let megabytes = |bytes| bytes >> 20;
    Err(Failure::usage(format!(
        "{queues} queues need about {} MiB of memory, and {} MiB are available: choose fewer queues",
        megabytes(needed),
        megabytes(available)
    )))
}

/// The available memory, from the text of `/proc/meminfo`.
fn available_bytes(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// The memory that this process may still use before it reaches a limit of its control groups
/// (version 2). Its own group and each group above may have a limit. The result is for the limit
/// that is reached first. Cached files are not counted as used memory, because the kernel drops
/// them before memory runs out.
fn left_by_groups(groups: &str, root: &Path) -> Option<u64> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let levels = root.join(own);
    let levels = levels
        .ancestors()
        .take_while(|level| level.starts_with(root));
    levels.filter_map(left_by_group).min()
}

/// The memory that a control group may still use. `None` if the group has no limit.
fn left_by_group(group: &Path) -> Option<u64> {
    let read = |file| fs::read_to_string(group.join(file)).ok();
    let number = |file| read(file)?.trim().parse::<u64>().ok();
    let (limit, used) = (number("memory.max")?, number("memory.current")?);
    let text = read("memory.stat").unwrap_or_default();
    let bytes = |name| {
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.and_then(|bytes| bytes.parse::<u64>().ok())
    };
    // The kernel's number of cached bytes includes files of tmpfs (`shmem`). The kernel cannot drop
    // files of tmpfs, so they are used memory.
    let cached = bytes("file ").unwrap_or(0);
    let dropped_first = cached.saturating_sub(bytes("shmem ").unwrap_or(0));
    Some(limit.saturating_sub(used.saturating_sub(dropped_first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tightest_group_decides_how_much_is_left() {
        let root = std::env::temp_dir().join(format!("nldemo-groups-{}", std::process::id()));
        let group = |path: &str, files: &[(&str, &str)]| {
            let group = root.join(path);
            fs::create_dir_all(&group).unwrap();
            for (file, text) in files {
                fs::write(group.join(file), text).unwrap();
            }
        };
        group(
            "a/b",
            &[("memory.max", "max\n"), ("memory.current", "70\n")],
        );
        group("a", &[("memory.max", "100\n"), ("memory.current", "80\n")]);
        let left = |groups| left_by_groups(groups, &root);
        assert_eq!(left("1:name=x:/\n0::/a/b\n"), Some(20));
        group("a", &[("memory.stat", "anon 50\nfile 30\nfile_mapped 1\n")]);
        assert_eq!(left("0::/a/b\n"), Some(50));
        group("a", &[("memory.stat", "file 30\nshmem 10\n")]);
        assert_eq!(left("0::/a/b\n"), Some(40));
        assert_eq!((left("0::/c\n"), left("3:memory:/a\n")), (None, None));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn many_queues_are_refused_where_memory_is_short() {
        let text = "MemTotal:        2000 kB\nMemAvailable:       1024 kB\n";
        let available = available_bytes(text).unwrap();
        assert_eq!(
            (available, available_bytes("MemTotal: 1 kB")),
            (1 << 20, None)
        );
        assert!(check_with(1, 0).is_ok());
        assert!(check_with(8, available).is_ok());
        let refusal = check_with(3001, available).unwrap_err().to_string();
        assert!(
            refusal.contains("3001 queues need about 375 MiB"),
            "{refusal}"
        );
    }
}
