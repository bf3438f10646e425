// SPDX-License-Identifier: MIT OR Apache-2.0

//! Room for several datagrams, which one system call receives.

use std::fmt;
use std::io::IoSliceMut;
use std::num::NonZero;
use std::os::fd::RawFd;

use nix::sys::socket::MsgFlags;
use nix::sys::socket::MultiHeaders;
use nix::sys::socket::recv;
use nix::sys::socket::recvmmsg;

use crate::error::Error;

/// How many datagrams are asked for when few are expected. One more than there is tells that there are no
/// more.
const FEW: usize = 2;
/// To find that there are no more costs a fifth of what a datagram does. So behind one that came alone, so
/// many others are received without a look for more.
const ALONE: u8 = 15;

/// Places for datagrams that [`KernelSocket::receive_many`](crate::KernelSocket::receive_many) receives
/// together.
///
/// Memory of a place is used once a datagram was in it, and as much as the longest was. Later places
/// are used only when so many datagrams wait.
pub struct Inbox {
    /// Without room for addresses.
    headers: MultiHeaders<()>,
    /// The places, one behind the other.
    room: Vec<u8>,
    places: usize,
    place_length: usize,
    /// Lengths of the datagrams that were sent, in the first places.
    lengths: Vec<usize>,
    /// How many datagrams to ask for first. If that is one, no more are asked for.
    expected: usize,
    /// How many are received alone from now on.
    alone: u8,
}

impl Inbox {
    /// Makes room for so many datagrams of so many bytes.
    ///
    /// # Panics
    ///
    /// If no memory has so many bytes.
    #[must_use]
    pub fn new(places: NonZero<usize>, place_length: NonZero<usize>) -> Self {
        let places = places.get();
        let bytes = places.checked_mul(place_length.get());
        Self {
            headers: MultiHeaders::preallocate(places, None),
            // The kernel gives zeroed memory when it is written to.
            room: vec![0; bytes.expect("an address space has so many bytes")],
            places,
            place_length: place_length.get(),
            lengths: Vec::with_capacity(places),
            expected: FEW,
            alone: 0,
        }
    }

    /// How many datagrams there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Whether all places are taken, so that more datagrams may wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lengths.len() == self.places
    }

    /// The datagrams, in the order in which the kernel sent them. One that was longer than its place is
    /// [`Error::Truncated`].
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
            // Where many came, many may come again.
            (2 * self.lengths.len()).max(FEW)
        };
        self.lengths.clear();
    }

    pub(crate) fn place_length(&self) -> usize {
        self.place_length
    }

    /// Puts a datagram that was received before in place of those that are here.
    pub fn replace(&mut self, datagram: &[u8]) {
        self.lengths.clear();
        let length = datagram.len().min(self.place_length);
        self.room[..length].copy_from_slice(&datagram[..length]);
        self.lengths.push(datagram.len());
    }

    /// Receives behind what is there: one datagram, or all there is room for. May wait for the first.
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

    /// Receives the first datagram.
    fn receive_one(&mut self, socket: RawFd, waits: bool) -> nix::Result<()> {
        let mut flags = MsgFlags::MSG_TRUNC;
        flags.set(MsgFlags::MSG_DONTWAIT, !waits);
        let length = recv(socket, &mut self.room[..self.place_length], flags)?;
        self.lengths.push(length);
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
        // With MSG_TRUNC the kernel returns lengths before truncation.
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
