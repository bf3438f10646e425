// SPDX-License-Identifier: GPL-2.0

//! Where packets are told of: standard output and a capture file, shared by the threads of all
//! queues.
//!
//! The way of packets: those that wait are received together, each is decided, their verdicts go to the
//! kernel together, then their lines and blocks are made. The queue's thread gathers these, and gives
//! them to writers, which have threads of their own, when they are many or before it waits for packets.
//! What the writers have no room for is left out and counted. So output that fails, or is slow, or stuck
//! delays no verdict.

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

/// How long the end waits for output that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is told of packets.
#[derive(Clone, Copy)]
pub(super) struct Telling {
    /// A line for each.
    pub(super) lines: bool,
    /// Its bytes below.
    pub(super) hexdump: bool,
    /// How many bytes may wait to be written, of lines and of the capture.
    pub(super) buffer: usize,
    /// Whether the capture has standard output, and everything else standard error.
    pub(super) aside: bool,
}

/// First JSON object: the queue is bound, packets will be seen from now on.
#[derive(Serialize)]
struct Ready {
    event: &'static str,
    queue: u16,
    portid: u32,
}

/// What one thread has to tell and the writers do not have yet.
#[derive(Default)]
pub(super) struct Untold {
    lines: Records,
    captured: Records,
    comment: Vec<u8>,
}

/// Takes packets from all threads.
pub(super) struct Sink<'a> {
    output: &'a Output,
    telling: Telling,
    text: Text,
    lines: Writer,
    capture: Option<Writer>,
}

impl<'a> Sink<'a> {
    /// Begins to write. If that fails at any time, it is time to stop.
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

    /// Whether it does anything with packets.
    pub(super) fn is_used(&self) -> bool {
        self.telling.lines || self.capture.is_some()
    }

    /// Tells that the queues are bound, and begins the capture, with two interfaces for each: for
    /// packets of IP, and for frames of bridges.
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

    /// Whether it is to know when packets were received.
    pub(super) fn takes_times(&self) -> bool {
        self.capture.is_some()
    }

    /// Tells of a packet of the queue at this place among all, which was received at a time since the
    /// epoch.
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

    /// Has what was told written, for whoever reads along.
    pub(super) fn give(&self, untold: &mut Untold) {
        self.lines.give(&mut untold.lines);
        if let Some(capture) = &self.capture {
            capture.give(&mut untold.captured);
        }
    }

    /// Prints the summary behind all else, after `seconds` of running, and tells what went wrong.
    ///
    /// Output that takes nothing is waited for, but not for long. The summary goes to standard error
    /// if standard output does not take it.
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
        // Whoever reads standard output has seen enough.
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

/// What stands for standard output instead of a file.
pub(super) const STANDARD_OUTPUT: &str = "-";

/// Opens a capture file, which is emptied when its queues are bound ([`begin`]).
///
/// That of a named pipe waits for a reader: do it while no packet waits.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    if path == Path::new(STANDARD_OUTPUT) {
        if io::stdout().is_terminal() {
            return Err(Failure::usage(
                "a capture is nothing for a terminal: redirect it",
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
