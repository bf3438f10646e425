// SPDX-License-Identifier: GPL-2.0

//! What the kernel says meanwhile.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::OpenOptionsExt;

/// How the kernel's reports about itself begin; `scripts/kernel-log-oracle` judges all of its log.
const ALARMS: [&str; 8] = [
    "BUG", "WARNING:", "Oops", "KASAN", "UBSAN", "panicked", "INFO: ", "cut here",
];

/// The kernel's log from the time on at which this was made.
pub struct KernelLog(File);

impl KernelLog {
    /// Opens the log.
    ///
    /// # Panics
    ///
    /// If that fails.
    #[must_use]
    pub fn open() -> Self {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .expect("/dev/kmsg can be read");
        file.seek(SeekFrom::End(0)).expect("/dev/kmsg has an end");
        Self(file)
    }

    /// Panics if the kernel reported anything since the last call, so that it is the present input
    /// that is held to be its cause.
    ///
    /// # Panics
    ///
    /// If it did.
    pub fn check(&mut self) {
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(len) => {
                    let record = String::from_utf8_lossy(&record[..len]);
                    let alarm = ALARMS.iter().any(|alarm| record.contains(alarm));
                    assert!(!alarm, "the kernel reports: {record}");
                }
                // Old records were overwritten before they were read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("/dev/kmsg: {error}"),
            }
        }
    }
}
