// SPDX-License-Identifier: MIT OR Apache-2.0

//! The fields of a packet or message that socket filters read: the start of `struct __sk_buff`
//! (`linux/bpf.h`). Each constant is the offset of a field of four bytes. Except [`PROTOCOL`], the
//! fields are in host byte order.

/// The length of the packet or message, in bytes.
pub(crate) const LEN: i16 = 0;
/// The direction: `PACKET_*` of `linux/if_packet.h`.
pub(crate) const PKT_TYPE: i16 = 4;
/// The Ethernet protocol number, in network byte order.
pub(crate) const PROTOCOL: i16 = 16;
/// The number of the interface.
pub(crate) const IFINDEX: i16 = 40;
