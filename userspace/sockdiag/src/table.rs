// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sockets from the tables in `/proc/net`, for kinds that `sock_diag` does not list completely.

use std::fs;
use std::io;

use knetlink::Result;
use linux_names::Error;
use nix::errno::Errno;

use crate::socket::Socket;

/// The sockets in a table of the calling thread's network namespace. A table has a heading, and
/// below it a line for each socket. If the kernel has no table with this name, there are no
/// sockets.
pub(crate) fn sockets(name: &str, parse: impl Fn(&str) -> Option<Socket>) -> Result<Vec<Socket>> {
    let path = format!("/proc/thread-self/net/{name}");
    let table = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        table => table.map_err(|error| Error::io(format!("read {path}"), &error))?,
    };
    let lines = table.lines().skip(1);
    let sockets = lines.map(|line| {
        let broken = || Error::new(format!("read '{line}' in {path}"), Errno::EBADMSG);
        Ok(parse(line).ok_or_else(broken)?)
    });
    sockets.collect()
}
