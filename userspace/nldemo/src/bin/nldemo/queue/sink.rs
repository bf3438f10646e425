// SPDX-License-Identifier: GPL-2.0

//! The output about packets: standard output and a capture file. The threads of all queues share them.
//!
//! The thread of a queue receives the packets that wait, decides about each packet, and sends the
//! verdicts to the kernel. Then it makes a line and a capture block for each packet. The thread
//! gathers these records. It gives the records to the writers when it has many of them, and before
//! it waits for packets. Each writer has its own thread. If a writer has no room for a record, the
//! writer leaves the record out and counts it. So output that fails, is slow or is stuck delays no
//! verdict.

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use linux_names::Error;
use nfnetlink_queue::Queue;
use nldemo::pcapng;
use nldemo::pcapng::Captured;
use nldemo::pcapng::LinkType;
use nldemo::stop::Stop;
use serde::Serialize;

use super::frame;
use super::json;
use super::seen::Seen;
use super::text::Text;
use super::text::append_decision;
use super::totals::Totals;
use crate::failure::Failure;
use crate::output;
use crate::output::Output;
use crate::writer;
use crate::writer::Ending;
use crate::writer::Records;
use crate::writer::Writer;

/// When the program ends and its output is stuck, the program waits at most for this time until the
/// output has taken the remaining records.
const PATIENCE: Duration = Duration::from_secs(2);

/// The output that the user wants.
#[derive(Clone, Copy)]
pub(super) struct Telling {
    /// Whether to print a line for each packet.
    pub(super) lines: bool,
    /// Whether to print the bytes of the packet below its line.
    pub(super) hexdump: bool,
    /// The number of bytes that may wait to be written. The lines and the capture each have this
    /// limit.
    pub(super) buffer: usize,
    /// Whether the capture goes to standard output, and the lines go to standard error.
    pub(super) aside: bool,
}

/// The first JSON object about each queue. It says that the queue is bound. So the program sees all
/// packets that come to the queue later.
#[derive(Serialize)]
struct Ready {
    event: &'static str,
    queue: u16,
    portid: u32,
}

/// The records that the thread of a queue has gathered, and has not given to the writers yet.
#[derive(Default)]
pub(super) struct Untold {
    lines: Records,
    captured: Records,
    comment: Vec<u8>,
}

/// Takes the records of decided packets from all threads.
pub(super) struct Sink<'a> {
    output: &'a Output,
    telling: Telling,
    text: Text,
    lines: Writer,
    capture: Option<Writer>,
}

impl<'a> Sink<'a> {
    /// Starts the writers. If a write fails later, the writer asks the program to stop.
    pub(super) fn new(
        output: &'a Output,
        telling: Telling,
        capture: Option<File>,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let start = |file, ending| {
            let stop = stop.clone();
            Writer::start(file, ending, telling.buffer, move || stop.request())
        };
        let capture = capture.map(|file| start(file, Ending::Whole));
        let lines = if telling.aside {
            writer::duplicate(io::stderr())
        } else {
            output.file()
        };
        Ok(Self {
            output,
            telling,
            text: Text::new(output, telling.hexdump),
            lines: start(lines?, Ending::Anywhere)?,
            capture: capture.transpose()?,
        })
    }

    /// Whether there is any output about packets.
    pub(super) fn is_used(&self) -> bool {
        self.telling.lines || self.capture.is_some()
    }

    /// Says that the queues are bound, and begins the capture. The capture has two interfaces for each
    /// queue: one for IP packets, and one for frames from bridges.
    pub(super) fn ready(&self, queues: &[Queue]) -> Result<(), Failure> {
        let mut blocks = Vec::new();
        pcapng::append_header(&mut blocks);
        for queue in queues {
            let (number, portid) = (queue.number(), queue.portid());
            for link_type in [LinkType::Raw, LinkType::Ethernet] {
                pcapng::append_interface(&mut blocks, &format!("nfqueue:{number}"), link_type);
            }
            let line = if self.output.is_json() {
                self.output.json_text(&Ready {
                    event: "ready",
                    queue: number,
                    portid,
                })?
            } else {
                format!("listening on queue {number} (portid {portid})\n").into()
            };
            self.lines.insert(&line);
        }
        if let Some(capture) = &self.capture {
            capture.insert(&blocks);
            capture.flush();
        }
        self.lines.flush();
        Ok(())
    }

    /// Whether the output has the times at which packets were received.
    pub(super) fn takes_times(&self) -> bool {
        self.capture.is_some()
    }

    /// Adds the records of a packet. `queue_index` is the index of the packet's queue among all
    /// queues. `received` is the time of the receipt since the epoch.
    pub(super) fn packet(
        &self,
        seen: &Seen<'_>,
        queue_index: u32,
        received: Duration,
        untold: &mut Untold,
    ) {
        if let Some(capture) = &self.capture {
            let packet = &seen.packet;
            let comment = &mut untold.comment;
            comment.clear();
            append_decision(comment, seen.decision);
            if seen.rewriting == Some(Ok(())) {
                comment.extend_from_slice(b", rewritten");
            }
            let header = frame::header(packet);
            let captured = Captured {
                interface: 2 * queue_index + u32::from(header.is_some()),
                time: packet.timestamp.unwrap_or(received),
                link_header: header.as_deref().unwrap_or_default(),
                bytes: packet.payload,
                length: packet.length,
                comment,
            };
            let captured = |blocks: &mut Vec<u8>| pcapng::append_packet(blocks, &captured);
            untold.captured.add(captured);
            if untold.captured.len() >= capture.enough() {
                capture.give(&mut untold.captured);
            }
        }
        if self.telling.lines {
            untold.lines.add(|lines| {
                if self.output.is_json() {
                    let append =
                        |json: &mut Vec<u8>| json::append(json, seen, self.telling.hexdump);
                    self.output.append_object(lines, append);
                } else {
                    self.text.append(lines, seen);
                }
            });
            if untold.lines.len() >= self.lines.enough() {
                self.lines.give(&mut untold.lines);
            }
        }
    }

    /// Gives all gathered records to the writers.
    pub(super) fn give(&self, untold: &mut Untold) {
        self.lines.give(&mut untold.lines);
        if let Some(capture) = &self.capture {
            capture.give(&mut untold.captured);
        }
    }

    /// Waits until all records are written, and then prints the summary. The program has run for
    /// `seconds`. Returns the first failure of the output.
    ///
    /// If the output is stuck, this function waits for the records at most for the time
    /// [`PATIENCE`]. If standard output does not take the summary, the summary goes to standard
    /// error.
    pub(super) fn finish(self, mut totals: Totals, seconds: f64) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        let captured = self.capture.as_ref().map(|capture| {
            capture.finish(deadline);
            capture.left_out()
        });
        totals.uncaptured = captured.unwrap_or(0);
        let flowing = self.lines.finish(deadline);
        totals.unprinted = self.lines.left_out();
        let summary = totals.finished(seconds);
        let text = summary.text(self.telling.hexdump, self.output)?;
        let printed = flowing && {
            self.lines.insert(&text);
            self.lines
                .finish(deadline.max(Instant::now() + PATIENCE / 2))
        };
        let lines = self.lines.failure();
        let capture = self.capture.as_ref().and_then(Writer::failure);
        let (output, other) = if self.telling.aside {
            (
                capture,
                lines.map(|error| ("write to standard error", error)),
            )
        } else {
            (lines, capture.map(|error| ("write capture file", error)))
        };
        let output = output.map(Failure::Output);
        // If the reader of standard output has closed it, the reader needs no summary.
        let unwanted = output.as_ref().is_some_and(Failure::is_closed_pipe);
        if !printed && (!unwanted || self.telling.aside) {
            output::complain(summary.to_string());
        }
        if let Some((operation, error)) = other {
            return Err(Error::io(operation, &error).into());
        }
        if let Some(failure) = output {
            return Err(failure);
        }
        summary.complete()
    }
}

/// The file name that stands for standard output.
pub(super) const STANDARD_OUTPUT: &str = "-";

/// Opens a capture file. [`begin`] empties the file when the queues are bound.
///
/// If the file is a named pipe, this function waits for a reader. So the program must call this
/// function before packets can wait for a verdict.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    if path == Path::new(STANDARD_OUTPUT) {
        if io::stdout().is_terminal() {
            return Err(Failure::usage(
                "a terminal cannot show a capture: redirect standard output",
            ));
        }
        return Ok(writer::duplicate(io::stdout())?);
    }
    let mut options = File::options();
    let opened = options.write(true).create(true).truncate(false).open(path);
    Ok(opened.map_err(|error| unwritten(path, &error))?)
}

/// Empties a capture file.
pub(super) fn begin(path: &Path, file: &File) -> Result<(), Error> {
    let emptied = file.metadata().and_then(|metadata| {
        if metadata.is_file() {
            return file.set_len(0);
        }
        Ok(())
    });
    emptied.map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &io::Error) -> Error {
    Error::io(format!("write {}", path.display()), error)
}
