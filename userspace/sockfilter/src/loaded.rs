// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs that are loaded into the kernel.

use std::io;
use std::os::fd::AsFd;

use aya::Ebpf;
use aya::EbpfError;
use aya::Pod;
use aya::maps::Array;
use aya::maps::MapData;
use aya::maps::MapError;
use aya::programs;
use aya::programs::ProgramError;
use aya::programs::socket_filter::SocketFilterError;
use linux_names::errno_of;
use nix::errno::Errno;

use crate::error::Error;
use crate::error::Result;
use crate::image::Program;

/// A socket filter that is loaded into the kernel. The drop of this value detaches the filter from
/// its socket. The socket must still be open then.
pub struct SocketFilter {
    name: &'static str,
    ebpf: Ebpf,
}

impl SocketFilter {
    /// Loads a program into the kernel, which verifies it. Needs `CAP_BPF`.
    pub(crate) fn load(program: &Program) -> Result<Self> {
        let name = program.name;
        let failed = |error| failed(name, &error);
        let mut filter = Self {
            name,
            ebpf: Ebpf::load(&program.image()).map_err(failed)?,
        };
        let loaded = filter.program().load();
        loaded.map_err(|error| failed(error.into()))?;
        Ok(filter)
    }

    /// Attaches the program to `socket`. From now on the kernel runs it for everything that the
    /// socket receives. Packets and messages that the socket received before stay in the socket.
    pub fn attach(&mut self, socket: impl AsFd) -> Result<()> {
        let attached = self.program().attach(socket);
        attached.map_err(|error| failed(self.name, &error.into()))?;
        Ok(())
    }

    /// Takes the map `name` of the program. The map is an array of `E`.
    pub(crate) fn take_array<E: Pod>(&mut self, name: &str) -> Result<Array<MapData, E>> {
        let map = self.ebpf.take_map(name).expect("the program has the map");
        Array::try_from(map).map_err(|error| failed(self.name, &error.into()))
    }

    fn program(&mut self) -> &mut programs::SocketFilter {
        let program = self.ebpf.program_mut(self.name);
        let program = program.expect("the image has the program");
        program.try_into().expect("it is a socket filter")
    }
}

/// The error of a call about the program `name`.
fn failed(name: &str, error: &EbpfError) -> Error {
    let (operation, source) = match error {
        EbpfError::ProgramError(ProgramError::LoadError {
            io_error,
            verifier_log,
        }) => {
            let log = verifier_log.to_string();
            if !log.is_empty() {
                return Error::Verifier {
                    program: name.to_owned(),
                    errno: errno_of(io_error),
                    log,
                };
            }
            ("load BPF program", Some(io_error))
        }
        EbpfError::MapError(MapError::CreateError { io_error, .. }) => {
            ("make the map of BPF program", Some(io_error))
        }
        EbpfError::ProgramError(ProgramError::SocketFilterError(
            SocketFilterError::SoAttachEbpfError { io_error },
        )) => ("attach BPF program", Some(io_error)),
        _ => ("load BPF program", None),
    };
    let operation = format!("{operation} '{name}'");
    match source {
        Some(error) => advised(operation, error),
        None => Error::Bpf {
            operation,
            reason: error.to_string(),
        },
    }
}

fn advised(operation: String, error: &io::Error) -> Error {
    let error = linux_names::Error::io(operation, error);
    match error.errno() {
        Errno::EPERM => error.with_fix(
            "it needs CAP_BPF if the sysctl kernel.unprivileged_bpf_disabled is not 0: run as root",
        ),
        Errno::ENOSYS => error.with_fix(
            "this kernel has no bpf(2): use a kernel with CONFIG_BPF_SYSCALL, such as a \
             distribution's",
        ),
        Errno::ENOMEM => error.with_fix(
            "there is too little memory: try again, or raise the memory limits and the sysctl \
             net.core.optmem_max",
        ),
        _ => error,
    }
    .into()
}
