// SPDX-License-Identifier: GPL-2.0

//! Notices faults that the kernel reports in its log while an input runs.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::OpenOptionsExt;

/// Words that the kernel's reports of its own faults contain. After the run,
/// `scripts/kernel-log-oracle` judges the whole log.
const ALARMS: [&str; 8] = [
    "BUG", "WARNING:", "Oops", "KASAN", "UBSAN", "panicked", "INFO: ", "cut here",
];

/// Reads the messages that the kernel logs after this value was made.
pub struct KernelLog(File);

impl KernelLog {
    /// Opens the log.
    ///
    /// # Panics
    ///
    /// Panics if the log cannot be opened.
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

    /// Panics if the kernel reported a fault since the last call. The panic makes libFuzzer record
    /// the present input as the cause of the fault.
    ///
    /// # Panics
    ///
    /// Panics if the kernel reported a fault.
    pub fn check(&mut self) {
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(len) => {
                    let record = String::from_utf8_lossy(&record[..len]);
                    let alarm = ALARMS.iter().any(|alarm| record.contains(alarm));
                    assert!(!alarm, "the kernel reports: {record}");
                }
                // The kernel overwrote old records before this program read them.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("/dev/kmsg: {error}"),
            }
        }
    }
}
