// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processes and the sockets that they have open, from `/proc`.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use crate::text::Escaped;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Process number.
    pub pid: u32,
    /// The name of the process, as `ps` shows it.
    pub name: String,
}

/// Prints the number and the name. The name is escaped, because a process may choose any name.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, Escaped(self.name.as_bytes()))
    }
}

impl Process {
    /// All processes that `/proc` shows.
    pub fn all() -> impl Iterator<Item = Self> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let name = match fs::read(entry.path().join("comm")) {
                Ok(name) => String::from_utf8_lossy(&name).trim_end().to_owned(),
                Err(_) => "?".to_owned(),
            };
            Some(Self { pid, name })
        })
    }

    /// The inodes of the sockets that the process has open. There are none if the caller may not
    /// see them.
    pub fn sockets(&self) -> impl Iterator<Item = u64> + use<> {
        let path: PathBuf = format!("/proc/{}/fd", self.pid).into();
        let files = fs::read_dir(path).into_iter().flatten().flatten();
        files.filter_map(|file| {
            let target = fs::read_link(file.path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            inode.strip_suffix(']')?.parse().ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn process_is_found_by_its_socket() {
        let (socket, _other_end) = UnixStream::pair().unwrap();
        let link = format!("/proc/self/fd/{}", socket.as_raw_fd());
        let inode = fs::metadata(link).unwrap().ino();
        let mut holders = Process::all().filter(|process| process.sockets().any(|i| i == inode));
        let process = holders.next().unwrap();
        assert_eq!(process.pid, std::process::id());
        assert!(!process.name.is_empty());
    }

    #[test]
    fn name_of_a_process_does_a_terminal_no_harm() {
        let process = Process {
            pid: 7,
            name: "a\u{1b}[31m b".to_owned(),
        };
        assert_eq!(process.to_string(), r"7 a\x1b[31m b");
    }
}
