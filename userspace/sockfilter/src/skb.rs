// SPDX-License-Identifier: MIT OR Apache-2.0

//! What socket filters see of a packet or message: the start of `struct __sk_buff`
//! (`linux/bpf.h`), fields of four bytes in host byte order, by their offsets.

/// Length in bytes.
pub(crate) const LEN: i16 = 0;
/// Whether it goes in or out: `PACKET_*` of `linux/if_packet.h`.
pub(crate) const PKT_TYPE: i16 = 4;
/// The Ethernet protocol number, in network byte order.
pub(crate) const PROTOCOL: i16 = 16;
/// The number of the interface.
pub(crate) const IFINDEX: i16 = 40;
