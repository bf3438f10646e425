// SPDX-License-Identifier: MIT OR Apache-2.0

//! The message types and the header of `nfnetlink_queue`.
//!
//! Each message is a netlink message. Its payload is a 4-byte nfnetlink header (family, version,
//! big-endian queue number), and attributes with big-endian payloads.

use linux_names::constant::half;

pub(crate) const NFGENMSG_LEN: usize = 4;

pub(crate) const MSG_PACKET: u16 = queue_message(libc::NFQNL_MSG_PACKET);
pub(crate) const MSG_VERDICT: u16 = queue_message(libc::NFQNL_MSG_VERDICT);
pub(crate) const MSG_CONFIG: u16 = queue_message(libc::NFQNL_MSG_CONFIG);
pub(crate) const MSG_VERDICT_BATCH: u16 = queue_message(libc::NFQNL_MSG_VERDICT_BATCH);

/// The largest number of bytes that an attribute can carry. Its 16-bit length also counts its
/// header of 4 bytes. The kernel sends a packet as one attribute, so it copies a longer packet only
/// in part.
pub(crate) const MAX_PAYLOAD: usize = u16::MAX as usize - 4;

/// The netlink message type of a message of the queue subsystem (`NFQNL_MSG_*`).
const fn queue_message(message: libc::c_int) -> u16 {
    half((libc::NFNL_SUBSYS_QUEUE << 8) | message)
}

/// The nfnetlink header of a message about a queue.
#[inline]
pub(crate) fn nfgenmsg(queue: u16) -> [u8; NFGENMSG_LEN] {
    let [queue0, queue1] = queue.to_be_bytes();
    [0, 0, queue0, queue1]
}
