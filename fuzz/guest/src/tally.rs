// SPDX-License-Identifier: GPL-2.0

//! Counts the messages or packets that a fuzzer has sent.

use std::env;
use std::fs;
use std::path::PathBuf;

/// A counter. It is written to the file that `NLDEMO_FUZZ_TALLY` names, so that other programs can
/// read it.
pub struct Tally {
    file: PathBuf,
    count: u64,
    written: u64,
}

impl Tally {
    /// The counter is written to the file when it has grown by at least this number since the last
    /// write.
    const STEP: u64 = 100;

    /// Starts from zero.
    ///
    /// # Panics
    ///
    /// Panics if the environment variable `NLDEMO_FUZZ_TALLY` does not exist.
    #[must_use]
    pub fn new() -> Self {
        let file = env::var_os("NLDEMO_FUZZ_TALLY").expect("NLDEMO_FUZZ_TALLY names a file");
        Self {
            file: file.into(),
            count: 0,
            written: 0,
        }
    }

    /// Adds to the counter.
    ///
    /// # Panics
    ///
    /// Panics if the file cannot be written.
    pub fn add(&mut self, more: usize) {
        self.count += more as u64;
        if self.count - self.written >= Self::STEP {
            fs::write(&self.file, self.count.to_string()).expect("the tally can be written");
            self.written = self.count;
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}
