// SPDX-License-Identifier: MIT OR Apache-2.0

//! The constants of `NETLINK_SOCK_DIAG`, and a reader for fixed structures.
//!
//! The constants are from the kernel's `linux/sock_diag.h`, `linux/inet_diag.h`,
//! `linux/unix_diag.h`, `linux/netlink_diag.h` and `linux/packet_diag.h`. In messages, numbers are
//! in host byte order, except ports and addresses.

use knetlink::Malformed;
use linux_names::constant::octet;

/// The netlink protocol.
pub(crate) const NETLINK_SOCK_DIAG: u8 = octet(libc::NETLINK_SOCK_DIAG);

/// Message: asks for sockets. The answers have the same message type.
pub(crate) const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Message: destroys a socket.
pub(crate) const SOCK_DESTROY: u16 = 21;

pub(crate) const AF_UNIX: u8 = octet(libc::AF_UNIX);
pub(crate) const AF_INET: u8 = octet(libc::AF_INET);
pub(crate) const AF_INET6: u8 = octet(libc::AF_INET6);
pub(crate) const AF_NETLINK: u8 = octet(libc::AF_NETLINK);
pub(crate) const AF_PACKET: u8 = octet(libc::AF_PACKET);

/// The cookie of a request that is not about a certain socket. The kernel takes any socket that it
/// finds.
pub(crate) const NO_COOKIE: u64 = u64::MAX;

/// Takes the fields of a fixed structure from the start of a message.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .ok_or(Malformed("socket shorter than its structure"))?;
        self.0 = rest;
        Ok(*field)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.bytes().map(|[octet]| octet)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.bytes().map(u16::from_ne_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.bytes().map(u32::from_ne_bytes)
    }

    pub(crate) fn be16(&mut self) -> Result<u16, Malformed> {
        self.bytes().map(u16::from_be_bytes)
    }

    /// Takes a cookie: two halves of 32 bits, the lower half first.
    pub(crate) fn cookie(&mut self) -> Result<u64, Malformed> {
        let (low, high) = (self.u32()?, self.u32()?);
        Ok((u64::from(high) << 32) | u64::from(low))
    }
}

/// Appends a cookie in the form that [`Fields::cookie`] reads.
pub(crate) fn append_cookie(message: &mut Vec<u8>, cookie: u64) {
    let low = cookie & u64::from(u32::MAX);
    for half in [low, cookie >> 32] {
        // Each half has only 32 bits, so this conversion cannot fail.
        let half = u32::try_from(half).unwrap_or_default();
        message.extend(half.to_ne_bytes());
    }
}
