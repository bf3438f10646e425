// SPDX-License-Identifier: GPL-2.0

//! Writing from a thread of its own, so that nobody waits for a file.
//!
//! Without a thread, every way to write can block. `O_NONBLOCK` belongs to the open file, which other
//! programs share. After `poll` says that there is room, another writer may use the room, or a terminal
//! may be stopped in the middle of a line. For regular files on a slow disk, `poll` always says that
//! there is room. `RWF_NOWAIT` works with some kinds of files only.

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

/// So many bytes are worth a write of their own.
const ENOUGH: usize = 64 << 10;
/// Up to so many bytes a pipe takes whole or not at all (`PIPE_BUF`).
const ATOMIC: usize = 4096;
/// More than the thread needs.
const STACK_LEN: usize = 64 << 10;

/// Takes records, whole, and has a thread write them.
///
/// The thread is left alone when the writer is dropped: it may be stuck.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    limit: usize,
}

/// What a regular file ends with if writing fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With as much as there was room for. Other programs may write to the same file.
    Anywhere,
    /// With a record.
    Whole,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    given: Condvar,
    /// Something was written, or failed.
    taken: Condvar,
}

#[derive(Default)]
struct State {
    /// What the thread has not taken yet.
    waiting: Records,
    /// How much of what the thread has taken is not written yet.
    writing: Size,
    /// Whether the thread waits for something to write.
    idle: bool,
    left_out: u64,
    failure: Option<io::Error>,
}

#[derive(Clone, Copy, Default)]
struct Size {
    bytes: usize,
    /// Those that count.
    records: u64,
}

/// Records one behind the other, as their maker gathers them.
///
/// So the lock is taken, and the thread woken, once for many.
#[derive(Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    ends: Vec<End>,
    /// How many count.
    counted: u64,
}

#[derive(Clone, Copy)]
struct End {
    /// Offset of what follows the record.
    at: usize,
    /// Whether anybody is told if the record is left out.
    counts: bool,
}

impl Records {
    /// Adds a record, which `append` adds to the bytes.
    #[inline]
    pub(crate) fn add(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        append(&mut self.bytes);
        self.end(true);
    }

    /// How many bytes they take.
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

    /// Moves the first records behind those of another that are no more than `limit` bytes, at least
    /// one if that is empty, and forgets the others. Returns how many of those count.
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
    /// Starts the thread. Up to `limit` bytes wait to be written. If writing fails, the thread calls
    /// `failed`, and nothing is written any more.
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

    /// How many bytes of records are to be gathered before they are given.
    pub(crate) fn enough(&self) -> usize {
        ENOUGH.min(self.limit)
    }

    /// Takes records, and has the thread write them. Leaves records out, and counts that, if too much
    /// waits. One record may be longer than the limit.
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

    /// Adds a record in any case.
    pub(crate) fn insert(&self, record: &[u8]) {
        self.shared.lock().waiting.push(record, false);
    }

    /// Has the thread write what was inserted.
    pub(crate) fn flush(&self) {
        let state = self.shared.lock();
        if state.idle && !state.waiting.bytes.is_empty() {
            self.shared.given.notify_one();
        }
    }

    /// Has the thread write what is there, and waits for that until the deadline; whether all was
    /// written.
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

    /// How many records were left out, with those that are not written yet.
    pub(crate) fn left_out(&self) -> u64 {
        let state = self.shared.lock();
        state.left_out + state.waiting.counted + state.writing.records
    }

    /// Why writing failed.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        let mut state = self.shared.lock();
        let failure = state.failure.as_mut()?;
        let kind = failure.kind();
        Some(std::mem::replace(failure, kind.into()))
    }
}

/// Writes what is given, until that fails.
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
        // The other way round, the thread returns the memory of what it has written.
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

/// Writes records, and tells after each write how much is left. With an error comes how many bytes
/// of an unfinished record were written.
///
/// To pipes and terminals only as much at once as a pipe takes whole: so what comes out of a pipe
/// ends with a record, unless one is longer, even if the process ends while it waits for the reader.
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

/// Takes the last bytes off a file, unless somebody else wrote more behind them.
fn cut(mut file: &File, length: usize) {
    let (Ok(place), Ok(metadata)) = (file.stream_position(), file.metadata()) else {
        return;
    };
    if length > 0 && place == metadata.len() {
        // The file is what it is if that fails, and the reason is told already.
        let _ = file.set_len(place.saturating_sub(length as u64));
    }
}

/// A second descriptor of a file that stays open until the process ends.
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
        // What is held, what is given, and how many of these find room.
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
    fn records_are_written_in_order_and_waited_for() {
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
    fn what_finds_no_room_is_left_out_and_counted() {
        let (file, mut reader) = pair();
        let writer = Writer::start(file, Ending::Anywhere, 1 << 20, || ()).unwrap();
        let record = [b'x'; 1000];
        for _ in 0..10_000 {
            offer(&writer, &record);
        }
        // Nobody reads: some records are in the socket, as many bytes as the limit wait.
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
        // The thread has the descriptor for as long as the process lives.
        drop(writer);
        drop(reading);
    }

    #[test]
    fn one_record_is_taken_however_long_it_is() {
        let (file, mut reader) = pair();
        let writer = Writer::start(file, Ending::Anywhere, 10, || ()).unwrap();
        offer(&writer, &[b'x'; 100]);
        assert!(writer.finish(Instant::now() + LONG));
        assert_eq!(writer.left_out(), 0);
        let mut found = [0; 100];
        reader.read_exact(&mut found).unwrap();
    }

    #[test]
    fn failure_is_told_and_what_comes_behind_it_is_left_out() {
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
        // What fits 4096 bytes; of one that does not, so much; and the rest.
        assert_eq!(left, [(9008, 3), (9007, 2), (4911, 2), (815, 2), (0, 0)]);
        drop(file);
        let mut found = Vec::new();
        assert_eq!(reader.read_to_end(&mut found).unwrap(), 13_104);
    }
}
