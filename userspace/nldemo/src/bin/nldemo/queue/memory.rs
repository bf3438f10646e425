// SPDX-License-Identifier: GPL-2.0

//! Whether there is memory for many queues.

use std::fs;

use crate::failure::Failure;

/// What a queue takes while few packets wait in it, in this program and in the kernel.
const PER_QUEUE: u64 = 96 << 10;

/// Fails if there is too little memory for so many queues: the kernel would kill this program, or
/// another one, on the way.
pub(super) fn check(queues: usize) -> Result<(), Failure> {
    let available = fs::read_to_string("/proc/meminfo").ok();
    let available = available.as_deref().and_then(available_bytes);
    check_with(queues as u64, available.unwrap_or(u64::MAX))
}

fn check_with(queues: u64, available: u64) -> Result<(), Failure> {
    let needed = queues * PER_QUEUE;
    // One queue is what everybody may try.
    if queues == 1 || needed <= available {
        return Ok(());
    }
    let megabytes = |bytes| bytes >> 20;
    Err(Failure::usage(format!(
        "{queues} queues need some {} MiB of memory, and {} MiB are available: listen to fewer",
        megabytes(needed),
        megabytes(available)
    )))
}

/// What `/proc/meminfo` says.
fn available_bytes(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_queues_are_refused_where_memory_is_short() {
        let text = "MemTotal:        2000 kB\nMemAvailable:       1024 kB\n";
        let available = available_bytes(text).unwrap();
        assert_eq!(
            (available, available_bytes("MemTotal: 1 kB")),
            (1 << 20, None)
        );
        assert!(check_with(1, 0).is_ok());
        assert!(check_with(10, available).is_ok());
        let refusal = check_with(3001, available).unwrap_err().to_string();
        assert!(
            refusal.contains("3001 queues need some 281 MiB"),
            "{refusal}"
        );
    }
}
