// SPDX-License-Identifier: GPL-2.0

//! A writer with its own thread, so that no other thread waits for a file.
//!
//! Without such a thread, any write may block. The writer cannot use `O_NONBLOCK`, because this
//! flag belongs to the open file, which other programs may share. `poll` does not help: after
//! `poll` has reported room, another process may fill the room, or a terminal may stop in the
//! middle of a line. For a regular file on a slow disk, `poll` always reports room. `RWF_NOWAIT`
//! works only for some kinds of files.

use std::fs::File;
use std::io;
use std::io::Seek;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Instant;

use linux_names::Error;

use crate::patient;

/// The number of bytes that a program should gather before it gives them to the thread. A system
/// call for fewer bytes costs too much.
const ENOUGH: usize = 64 << 10;
/// A pipe takes a write of at most this number of bytes completely or not at all (`PIPE_BUF`).
const ATOMIC: usize = 4096;
/// The size of the thread's stack, which is more than the thread needs.
const STACK_LEN: usize = 64 << 10;

/// Takes records. A thread writes them to a file.
///
/// The drop of the writer does not wait for the thread, because the thread may be stuck.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    limit: usize,
}

/// The place where a regular file ends after a write has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// After the last byte that was written. The file may end within a record. The writer does not
    /// cut the file, because other programs may write to it, too.
    Anywhere,
    /// At the end of a record. The writer cuts off a record that was written in part.
    Whole,
}

struct Shared {
    state: Mutex<State>,
    /// Signals that there is something to write.
    given: Condvar,
    /// Signals that something was written, or that writing failed.
    taken: Condvar,
}

#[derive(Default)]
struct State {
    /// The records that the thread has not taken yet.
    waiting: Records,
    /// The size of the records that the thread has taken and not written yet.
    writing: Size,
    /// Whether the thread waits for something to write.
    idle: bool,
    left_out: u64,
    failure: Option<io::Error>,
}

#[derive(Clone, Copy, Default)]
struct Size {
    bytes: usize,
    /// The number of records, without records from [`Writer::insert`].
    records: u64,
}

/// Records that were gathered, one after the other.
///
/// A program gives gathered records to the writer together. So the program takes the lock and wakes
/// the thread only once for many records.
#[derive(Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    ends: Vec<End>,
    /// The number of records whose `counts` is set.
    counted: u64,
}

#[derive(Clone, Copy)]
struct End {
    /// The offset of the byte after the record.
    at: usize,
    /// Whether the record is counted if it is left out. Records from [`Writer::insert`] are not
    /// counted.
    counts: bool,
}

impl Records {
    /// Adds a record. `append` adds its bytes.
    #[inline]
    pub(crate) fn add(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        append(&mut self.bytes);
        self.end(true);
    }

    /// The number of bytes of all records.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn end(&mut self, counts: bool) {
        let at = self.bytes.len();
        self.ends.push(End { at, counts });
        self.counted += u64::from(counts);
    }

    fn push(&mut self, record: &[u8], counts: bool) {
        self.bytes.extend_from_slice(record);
        self.end(counts);
    }

    /// Moves records from the start of `self` to the end of `other` until there is no more room,
    /// and discards the rest. Returns the number of discarded records whose `counts` is set.
    ///
    /// `held` is the number of bytes that the writer already holds. These bytes and the moved
    /// records together may have at most `limit` bytes. But if `held` is 0, at least one record is
    /// moved, however long it is.
    fn move_to(&mut self, other: &mut Self, limit: usize, held: usize) -> u64 {
        let room = limit.saturating_sub(held);
        let mut kept = self.ends.partition_point(|end| end.at <= room);
        if held == 0 {
            kept = kept.max(1);
        }
        if other.ends.is_empty() && kept >= self.ends.len() {
            std::mem::swap(self, other);
            return 0;
        }
        let (before, mut start, mut left_out) = (other.bytes.len(), 0, 0);
        for (place, end) in self.ends.iter().enumerate() {
            if place < kept {
                other.ends.push(End {
                    at: before + end.at,
                    counts: end.counts,
                });
                other.counted += u64::from(end.counts);
                start = end.at;
            } else {
                left_out += u64::from(end.counts);
            }
        }
        other
            .bytes
            .extend_from_slice(self.bytes.get(..start).unwrap_or_default());
        self.clear();
        left_out
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.counted = 0;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Starts the thread. Up to `limit` bytes may wait to be written. If a write fails, the thread calls
    /// `failed` and ends. After that, no record is written.
    pub(crate) fn start(
        file: File,
        ending: Ending,
        limit: usize,
        failed: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            given: Condvar::new(),
            taken: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().stack_size(STACK_LEN);
        let started = thread.spawn(move || {
            let failure = write_for_ever(&file, ending, &theirs);
            theirs.lock().failure = Some(failure);
            theirs.taken.notify_all();
            failed();
        });
        started.map_err(|error| Error::io("start a thread that writes", &error))?;
        Ok(Self { shared, limit })
    }

    /// The number of bytes that a program should gather before it gives the records.
    pub(crate) fn enough(&self) -> usize {
        ENOUGH.min(self.limit)
    }

    /// Takes records, and lets the thread write them. If too many bytes wait, leaves records out
    /// and counts them. A single record may be longer than the limit.
    pub(crate) fn give(&self, records: &mut Records) {
        if records.ends.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        if state.failure.is_some() {
            state.left_out += records.counted;
            records.clear();
            return;
        }
        let held = state.waiting.bytes.len() + state.writing.bytes;
        state.left_out += records.move_to(&mut state.waiting, self.limit, held);
        if state.idle {
            self.shared.given.notify_one();
        }
    }

    /// Adds a record, even if too many bytes wait. Does not wake the thread.
    pub(crate) fn insert(&self, record: &[u8]) {
        self.shared.lock().waiting.push(record, false);
    }

    /// Wakes the thread to write the inserted records.
    pub(crate) fn flush(&self) {
        let state = self.shared.lock();
        if state.idle && !state.waiting.bytes.is_empty() {
            self.shared.given.notify_one();
        }
    }

    /// Waits until the thread has written all records, or until the deadline. Returns whether the
    /// thread has written all records.
    pub(crate) fn finish(&self, deadline: Instant) -> bool {
        self.flush();
        let mut state = self.shared.lock();
        loop {
            if state.failure.is_some() {
                return false;
            }
            if state.waiting.bytes.is_empty() && state.writing.bytes == 0 {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.taken.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The number of records that were left out or are not written yet.
    pub(crate) fn left_out(&self) -> u64 {
        let state = self.shared.lock();
        state.left_out + state.waiting.counted + state.writing.records
    }

    /// The reason why a write failed.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        let mut state = self.shared.lock();
        let failure = state.failure.as_mut()?;
        let kind = failure.kind();
        Some(std::mem::replace(failure, kind.into()))
    }
}

/// Writes the records that are given, until a write fails.
fn write_for_ever(file: &File, ending: Ending, shared: &Shared) -> io::Error {
    let is_regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let mut records = Records::default();
    loop {
        let mut state = shared.lock();
        while state.waiting.bytes.is_empty() {
            state.idle = true;
            let waited = shared.given.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        // After the swap, `state.waiting` has the empty vectors of the records that were written
        // before. So other threads use the memory of these vectors again.
        std::mem::swap(&mut state.waiting, &mut records);
        state.writing = Size {
            bytes: records.bytes.len(),
            records: records.counted,
        };
        drop(state);
        let written = write_records(file, is_regular, &records, |size| {
            shared.lock().writing = size;
            shared.taken.notify_all();
        });
        if let Err((error, part)) = written {
            if is_regular && ending == Ending::Whole {
                cut(file, part);
            }
            return error;
        }
        records.clear();
    }
}

/// Writes records. After each write, calls `tell` with the size of the records that are left. If a
/// write fails, returns the error, and the number of bytes of an unfinished record that were
/// written.
///
/// Each write to a pipe or a terminal has at most [`ATOMIC`] bytes and, if possible, ends at the
/// end of a record. A pipe takes such a write completely or not at all. So the data in a pipe ends
/// with a whole record, even if the process ends while it waits for the reader. Only a record that
/// is longer than [`ATOMIC`] can be cut.
fn write_records(
    file: &File,
    is_regular: bool,
    records: &Records,
    mut tell: impl FnMut(Size),
) -> Result<(), (io::Error, usize)> {
    let mut ends = records.ends.iter().copied().peekable();
    let mut left = Size {
        bytes: records.bytes.len(),
        records: records.counted,
    };
    let (mut start, mut whole) = (0, 0);
    while start < records.bytes.len() {
        let piece = if is_regular {
            records.bytes.len()
        } else {
            let fitting = ends.clone().take_while(|end| end.at <= start + ATOMIC);
            fitting.last().map_or(start + ATOMIC, |end| end.at)
        };
        let piece = records.bytes.get(start..piece.min(records.bytes.len()));
        let written = patient::write(file, piece.unwrap_or_default());
        start += written.map_err(|error| (error, start - whole))?;
        while let Some(end) = ends.next_if(|end| end.at <= start) {
            whole = end.at;
            left.records -= u64::from(end.counts);
        }
        left.bytes = records.bytes.len() - start;
        tell(left);
    }
    Ok(())
}

/// Removes the last bytes of a file, unless another program has written more after them.
fn cut(mut file: &File, length: usize) {
    let (Ok(place), Ok(metadata)) = (file.stream_position(), file.metadata()) else {
        return;
    };
    if length > 0 && place == metadata.len() {
        // If the cut fails, the file keeps the bytes. The program reports the error of the write
        // anyway.
        let _ = file.set_len(place.saturating_sub(length as u64));
    }
}

/// Makes a second descriptor of an open file. A thread that is stuck may keep this descriptor until
/// the process ends.
pub(crate) fn duplicate(file: impl AsFd) -> io::Result<File> {
    Ok(file.as_fd().try_clone_to_owned()?.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn pair() -> (File, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (duplicate(&ours).unwrap(), theirs)
    }

    fn offer(writer: &Writer, record: &[u8]) {
        let mut records = Records::default();
        records.push(record, true);
        writer.give(&mut records);
        assert!(records.ends.is_empty() && records.bytes.is_empty());
    }

    #[test]
    fn records_are_given_together_up_to_the_limit() {
        // Each row has the lengths of the records that are held, the lengths of the records that
        // are given, and the number of given records that have room.
        for (held, given, kept) in [
            (&[][..], &[4, 4, 4][..], 2),
            (&[], &[20, 1], 1),
            (&[3], &[4, 4], 1),
            (&[8], &[4, 4], 0),
            (&[2, 2], &[3, 3], 2),
        ] {
            let (mut waiting, mut records) = (Records::default(), Records::default());
            held.iter()
                .for_each(|&length| waiting.push(&vec![b'h'; length], true));
            given
                .iter()
                .for_each(|&length| records.push(&vec![b'g'; length], true));
            let bytes: usize = held.iter().sum();
            let left_out = records.move_to(&mut waiting, 10, bytes);
            assert_eq!(
                left_out,
                u64::try_from(given.len() - kept).unwrap(),
                "{held:?} {given:?}"
            );
            let bytes = bytes + given[..kept].iter().sum::<usize>();
            assert_eq!(waiting.bytes.len(), bytes);
            assert_eq!(waiting.ends.last().map_or(0, |end| end.at), bytes);
            assert_eq!(usize::try_from(waiting.counted), Ok(held.len() + kept));
            assert!(records.ends.is_empty());
        }
    }

    #[test]
    fn finish_waits_until_records_are_written_in_order() {
        let (file, mut reader) = pair();
        let writer = Writer::start(file, Ending::Anywhere, 100, || ()).unwrap();
        writer.insert(b"begin ");
        offer(&writer, b"one ");
        offer(&writer, b"two");
        assert!(writer.finish(Instant::now() + LONG));
        assert_eq!(writer.left_out(), 0);
        let mut found = [0; 13];
        reader.read_exact(&mut found).unwrap();
        assert_eq!(&found, b"begin one two");
    }

    #[test]
    fn records_without_room_are_left_out_and_counted() {
        let (file, mut reader) = pair();
        let writer = Writer::start(file, Ending::Anywhere, 1 << 20, || ()).unwrap();
        let record = [b'x'; 1000];
        for _ in 0..10_000 {
            offer(&writer, &record);
        }
        // No thread has read from the socket yet. So the socket is full, and the writer holds as
        // many bytes as the limit allows.
        assert!(!writer.finish(Instant::now()));
        let left_out = writer.left_out();
        assert!(left_out > 10_000 - 1049 && left_out <= 10_000, "{left_out}");
        writer.insert(b"end");
        let reading = thread::spawn(move || {
            let mut found = Vec::new();
            reader.read_to_end(&mut found).unwrap();
            found
        });
        assert!(writer.finish(Instant::now() + LONG));
        let written = 10_000 - writer.left_out();
        assert!(written >= 1048, "{written}");
        // The test does not join the reading thread. This thread would never see the end of the
        // data, because the writer's thread keeps its descriptor.
        drop(writer);
        drop(reading);
    }

    #[test]
    fn single_record_of_any_length_is_taken() {
        let (file, mut reader) = pair();
        let writer = Writer::start(file, Ending::Anywhere, 10, || ()).unwrap();
        offer(&writer, &[b'x'; 100]);
        assert!(writer.finish(Instant::now() + LONG));
        assert_eq!(writer.left_out(), 0);
        let mut found = [0; 100];
        reader.read_exact(&mut found).unwrap();
    }

    #[test]
    fn failure_is_told_and_later_records_are_left_out() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (tell, told) = mpsc::channel();
        let failed = move || tell.send(()).unwrap();
        let writer = Writer::start(full, Ending::Whole, 100, failed).unwrap();
        offer(&writer, b"one");
        writer.flush();
        told.recv_timeout(LONG).unwrap();
        offer(&writer, b"two");
        assert!(!writer.finish(Instant::now() + LONG));
        assert_eq!(writer.left_out(), 2);
        let failure = writer.failure().unwrap();
        assert_eq!(failure.kind(), io::ErrorKind::StorageFull);
        assert_eq!(failure.raw_os_error(), Some(libc::ENOSPC));
    }

    #[test]
    fn pipe_gets_whole_records_at_once() {
        let mut records = Records::default();
        for length in [3000, 1000, 96, 1, 9000, 7] {
            records.push(&vec![0; length], true);
        }
        let (file, mut reader) = pair();
        let mut left = Vec::new();
        write_records(&file, false, &records, |size| {
            left.push((size.bytes, size.records));
        })
        .unwrap();
        // Each write has as many whole records as fit into 4096 bytes. A longer record takes
        // several writes of 4096 bytes, and a write for the rest.
        assert_eq!(left, [(9008, 3), (9007, 2), (4911, 2), (815, 2), (0, 0)]);
        drop(file);
        let mut found = Vec::new();
        assert_eq!(reader.read_to_end(&mut found).unwrap(), 13_104);
    }
}
