// SPDX-License-Identifier: MIT OR Apache-2.0

//! The processes that have sockets open.

use std::collections::HashMap;

use linux_names::process::Process;

use crate::socket::Socket;

/// The processes that have sockets open, if `/proc` shows them.
#[derive(Default)]
pub struct Owners {
    processes: Vec<Process>,
    /// For the inode of each socket, the indices of the processes that have the socket open.
    by_inode: HashMap<u32, Vec<u32>>,
}

impl Owners {
    /// Reads the sockets of all processes.
    #[must_use]
    pub fn look_up() -> Self {
        let mut owners = Self::default();
        for (place, process) in (0..).zip(Process::all()) {
            for inode in process.sockets() {
                // The answers of `sock_diag` have inode numbers of only 32 bits. So a longer number
                // belongs to no listed socket.
                let Ok(inode) = u32::try_from(inode) else {
                    continue;
                };
                let places = owners.by_inode.entry(inode).or_default();
                // A process may have several descriptors of one socket. The process is listed once
                // for the socket.
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
            owners.processes.push(process);
        }
        owners
    }

    /// The processes that have a socket open.
    pub fn of(&self, socket: &Socket) -> impl Iterator<Item = &Process> {
        let places = self.by_inode.get(&socket.inode).into_iter().flatten();
        places.filter_map(|&place| self.processes.get(usize::try_from(place).ok()?))
    }
}
