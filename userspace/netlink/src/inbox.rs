// SPDX-License-Identifier: MIT OR Apache-2.0

//! Room for several datagrams that one system call receives.

use std::fmt;
use std::io::IoSliceMut;
use std::num::NonZero;
use std::os::fd::RawFd;

use nix::sys::socket::MsgFlags;
use nix::sys::socket::MultiHeaders;
use nix::sys::socket::recv;
use nix::sys::socket::recvmmsg;

use crate::error::Error;

/// The number of datagrams to ask for when one datagram is expected. If the kernel returns only
/// one, no second datagram waits, and no other system call is needed to find that out.
const FEW: usize = 2;
/// If a call asks for several datagrams and receives only one, this number of later calls asks for
/// one datagram each. These calls do not ask the kernel whether a second datagram waits, because to
/// ask this takes a fifth of the time to receive a datagram.
const ALONE: u8 = 15;

/// Places for datagrams that [`KernelSocket::receive_many`](crate::KernelSocket::receive_many)
/// receives together.
///
/// A place takes no memory before it gets its first datagram. Then it takes as much memory as the
/// longest datagram that it has had. Place N is used only when N datagrams wait at the same time.
pub struct Inbox {
    /// The message headers that `recvmmsg()` fills. They have no room for the addresses of senders.
    headers: MultiHeaders<()>,
    /// The places, one behind the other.
    room: Vec<u8>,
    places: usize,
    place_length: usize,
    /// For each place that has a datagram: the length of the datagram before truncation.
    lengths: Vec<usize>,
    /// The number of datagrams that the first system call of `fill()` asks for. If this number is
    /// 1, no second system call follows.
    expected: usize,
    /// The number of later calls that must ask for one datagram only.
    alone: u8,
}

impl Inbox {
    /// Makes room for `places` datagrams of `place_length` bytes.
    ///
    /// # Panics
    ///
    /// Panics if all places together have more bytes than an address space can have.
    #[must_use]
    pub fn new(places: NonZero<usize>, place_length: NonZero<usize>) -> Self {
        let places = places.get();
        let bytes = places.checked_mul(place_length.get());
        Self {
            headers: MultiHeaders::preallocate(places, None),
            // For a zeroed vector, the kernel provides memory only when the program writes to it.
            room: vec![0; bytes.expect("an address space has so many bytes")],
            places,
            place_length: place_length.get(),
            lengths: Vec::with_capacity(places),
            expected: FEW,
            alone: 0,
        }
    }

    /// The number of datagrams in the inbox.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether the inbox has no datagram.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Whether all places are taken, so that more datagrams may wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lengths.len() == self.places
    }

    /// The datagrams, in the order in which the kernel sent them. If a datagram was longer
    /// than its place, the iterator returns [`Error::Truncated`] instead of the datagram.
    #[inline]
    pub fn datagrams(&self) -> impl Iterator<Item = Result<&[u8], Error>> {
        let places = self.room.chunks_exact(self.place_length);
        places.zip(&self.lengths).map(|(place, &length)| {
            let capacity = place.len();
            match place.get(..length) {
                Some(datagram) => Ok(datagram),
                None => Err(Error::Truncated { length, capacity }),
            }
        })
    }

    pub(crate) fn clear(&mut self) {
        if self.expected > 1 && self.lengths.len() == 1 {
            self.alone = ALONE;
        }
        self.expected = if let Some(alone) = self.alone.checked_sub(1) {
            self.alone = alone;
            1
        } else {
            // As many datagrams as in the last call can wait again, or more. So the next system
            // call asks for twice the number of the last call.
            (2 * self.lengths.len()).max(FEW)
        };
        self.lengths.clear();
    }

    /// The place for the datagram of a call that asks for one datagram only.
    pub(crate) fn first_place(&mut self) -> &mut [u8] {
        &mut self.room[..self.place_length]
    }

    /// Notes that the first place has a datagram. `length` is its length before truncation.
    pub(crate) fn filled(&mut self, length: usize) {
        self.lengths.clear();
        self.lengths.push(length);
    }

    /// Replaces all datagrams by `datagram`, which was received earlier.
    pub fn replace(&mut self, datagram: &[u8]) {
        let length = datagram.len().min(self.place_length);
        self.room[..length].copy_from_slice(&datagram[..length]);
        self.filled(datagram.len());
    }

    /// Receives one datagram if `expected` is 1, or else all datagrams that there is room for. If
    /// `waits` is set, waits for the first datagram.
    pub(crate) fn fill(&mut self, socket: RawFd, waits: bool) -> nix::Result<()> {
        if self.expected == 1 {
            return self.receive_one(socket, waits);
        }
        let mut flags = if waits {
            MsgFlags::MSG_WAITFORONE
        } else {
            MsgFlags::MSG_DONTWAIT
        };
        loop {
            let free = self.places - self.lengths.len();
            let wanted = self.expected.min(free);
            let received = self.receive(socket, wanted, flags)?;
            if received < wanted || received == free {
                return Ok(());
            }
            self.expected = free;
            flags = MsgFlags::MSG_DONTWAIT;
        }
    }

    /// Receives one datagram into the first place.
    fn receive_one(&mut self, socket: RawFd, waits: bool) -> nix::Result<()> {
        let mut flags = MsgFlags::MSG_TRUNC;
        flags.set(MsgFlags::MSG_DONTWAIT, !waits);
        let length = recv(socket, self.first_place(), flags)?;
        self.filled(length);
        Ok(())
    }

    fn receive(&mut self, socket: RawFd, wanted: usize, flags: MsgFlags) -> nix::Result<usize> {
        let before = self.lengths.len();
        let places = self.room.chunks_exact_mut(self.place_length);
        let mut places: Vec<_> = places
            .skip(before)
            .take(wanted)
            .map(|place| [IoSliceMut::new(place)])
            .collect();
        // With MSG_TRUNC, the kernel returns the lengths that the datagrams had before truncation.
        let flags = flags | MsgFlags::MSG_TRUNC;
        let received = recvmmsg(socket, &mut self.headers, places.iter_mut(), flags, None)?;
        self.lengths.extend(received.map(|message| message.bytes));
        Ok(self.lengths.len() - before)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("places", &self.places)
            .field("place_length", &self.place_length)
            .field("lengths", &self.lengths)
            .finish_non_exhaustive()
    }
}
