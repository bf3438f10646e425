// SPDX-License-Identifier: GPL-2.0

//! Where packets are told of: standard output and a capture file, shared by the threads of all
//! queues.

use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use linux_names::Error;
use nldemo::pcapng::Captured;
use nldemo::pcapng::Writer;

use super::record::Record;
use super::seen::Seen;
use crate::failure::Failure;
use crate::output::Output;

/// Takes packets from all threads.
pub(super) struct Sink<'a> {
    places: Option<Mutex<Places<'a>>>,
    hexdump: bool,
}

struct Places<'a> {
    /// Unless nothing is to be printed.
    output: Option<&'a mut Output>,
    capture: Option<Writer<BufWriter<File>>>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(
        output: Option<&'a mut Output>,
        hexdump: bool,
        capture: Option<Writer<BufWriter<File>>>,
    ) -> Self {
        let wanted = output.is_some() || capture.is_some();
        Self {
            places: wanted.then(|| Mutex::new(Places { output, capture })),
            hexdump,
        }
    }

    /// Whether it does anything with packets.
    pub(super) fn is_used(&self) -> bool {
        self.places.is_some()
    }

    /// Tells of a packet.
    pub(super) fn packet(&self, seen: &Seen<'_>) -> Result<(), Failure> {
        let Some(mut places) = self.lock() else {
            return Ok(());
        };
        if let Some(capture) = &mut places.capture {
            let packet = seen.packet;
            let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let mut comment = seen.decision.to_string();
            if seen.rewriting == Some(&Ok(())) {
                comment += ", rewritten";
            }
            let captured = Captured {
                interface: seen.queue_index,
                time: packet
                    .timestamp
                    .unwrap_or_else(|| now().unwrap_or(Duration::ZERO)),
                bytes: packet.payload,
                length: packet.length,
                comment: &comment,
            };
            capture
                .packet(&captured)
                .map_err(|error| unwritten(&error))?;
        }
        if let Some(output) = &mut places.output {
            Record::new(seen).print(seen.packet, self.hexdump, output)?;
        }
        Ok(())
    }

    /// Hands over what is buffered, to whoever reads the file meanwhile.
    pub(super) fn flush(&self) -> Result<(), Failure> {
        match self
            .lock()
            .as_mut()
            .and_then(|places| places.capture.as_mut())
        {
            Some(capture) => Ok(capture.flush().map_err(|error| unwritten(&error))?),
            None => Ok(()),
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Places<'a>>> {
        let places = self.places.as_ref()?;
        // What another thread left off in the middle of is still good to write to.
        Some(places.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Begins a capture file, an interface a queue.
pub(super) fn capture(
    path: &Path,
    queues: impl Iterator<Item = u16>,
) -> Result<Writer<BufWriter<File>>, Error> {
    let begin = || -> io::Result<_> {
        let mut capture = Writer::new(BufWriter::new(File::create(path)?))?;
        for queue in queues {
            capture.interface(&format!("nfqueue:{queue}"))?;
        }
        capture.flush()?;
        Ok(capture)
    };
    begin().map_err(|error| Error::io(format!("write {}", path.display()), &error))
}

fn unwritten(error: &io::Error) -> Error {
    Error::io("write capture file", error)
}
