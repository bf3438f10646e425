// SPDX-License-Identifier: GPL-2.0

//! Going through the sockets that a filter means.

use nix::errno::Errno;
use nldemo::diag::Dump;
use nldemo::diag::Filter;
use nldemo::diag::Query;
use nldemo::diag::Socket;
use nldemo::diag::Term;
use nldemo::stop::Stop;

use crate::Failure;
use crate::output::Output;
use crate::usage_error;

/// Puts terms together, and ends the program if they do not go together or name what is not there.
pub(super) fn filter(terms: &[Term]) -> Filter {
    let mut filter = Filter::new(terms.iter().cloned()).unwrap_or_else(|error| usage_error(error));
    if let Err(error) = filter.look_up() {
        usage_error(error);
    }
    filter
}

/// Hands sockets to `each`, part by part.
///
/// A kind that the kernel does not tell about is an error if it was named, else a warning.
pub(super) fn search(
    filter: &Filter,
    output: &mut Output,
    stop: &Stop,
    mut each: impl FnMut(&mut Output, Vec<Socket>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for query in Query::all(filter) {
        for part in Dump::begin(query, filter)? {
            if stop.requested() {
                return Ok(());
            }
            match part {
                Ok(sockets) => each(output, sockets)?,
                Err(error) if error.errno() == Some(Errno::ENOENT) && !filter.names_kinds() => {
                    output.warn(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
