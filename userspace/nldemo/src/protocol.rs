// SPDX-License-Identifier: GPL-2.0

//! The constants of the module's own netlink protocol. They have the values and the names of
//! `uapi/nldemo.h`, but without the prefix `NLDEMO_`.
//!
//! `tests/protocol.rs` compares this file with the header, and the header with `specs/nldemo.yaml`.

/// Netlink protocol number that the module uses unless its parameter `protocol` says otherwise.
pub const PROTOCOL_DEFAULT: u8 = 23;
/// The lowest protocol number that the module accepts.
pub const PROTOCOL_MIN: u8 = 23;
/// The highest protocol number that the module accepts. The kernel has no higher number.
pub const PROTOCOL_MAX: u8 = 31;

/// Message: an echo request and its reply.
pub const MSG_ECHO: u16 = 16;
/// Message: asks for the configuration.
pub const MSG_CONFIG_GET: u16 = 17;
/// Message: the answer to [`MSG_CONFIG_GET`].
pub const MSG_CONFIG: u16 = 18;
/// Message: changes the configuration.
pub const MSG_CONFIG_SET: u16 = 19;
/// Event: the configuration was changed.
pub const MSG_CONFIG_NTF: u16 = 20;
/// Message: asks for the statistics.
pub const MSG_STATS_GET: u16 = 21;
/// Message: the answer to [`MSG_STATS_GET`].
pub const MSG_STATS: u16 = 22;
/// Message: the answer to a message of type 0 without flags.
pub const MSG_HELLO_REPLY: u16 = 23;
/// Event: a network namespace was deleted.
pub const MSG_NETNS_NTF: u16 = 24;

/// The multicast group of all events.
pub const GROUP_EVENTS: u32 = 1;

/// Configuration, u8: whether packets are queued.
pub const CONFIG_A_ENABLED: u16 = 1;
/// Configuration, u16: the number of the first queue.
pub const CONFIG_A_QUEUE: u16 = 2;
/// Configuration, u16: the number of queues.
pub const CONFIG_A_QUEUES: u16 = 3;
/// Configuration, u8: one of `SPREAD_*`.
pub const CONFIG_A_SPREAD: u16 = 4;
/// Configuration, u8: whether packets pass while their queue has no consumer.
pub const CONFIG_A_BYPASS: u16 = 5;
/// Configuration, u8: the hook points. Bit n is the point with the number n (`NF_INET_*`).
pub const CONFIG_A_HOOKS: u16 = 6;
/// Configuration, s32: the priority of the module's hooks among the hooks of one point.
pub const CONFIG_A_PRIORITY: u16 = 7;
/// Configuration, u32: the hooks accept packets with this mark, unless it is 0.
pub const CONFIG_A_SKIP_MARK: u16 = 8;
/// Configuration, nest of `FAMILY_A_*`: the ICMP types that are queued.
pub const CONFIG_A_IPV4: u16 = 9;
/// Configuration, nest of `FAMILY_A_*`: the `ICMPv6` types that are queued.
pub const CONFIG_A_IPV6: u16 = 10;
/// Configuration, u32, in answers and events: number of the latest event.
pub const CONFIG_A_EVENT: u16 = 11;
/// Configuration, u8, in answers and events: whether the hooks are registered.
pub const CONFIG_A_HOOKED: u16 = 12;

/// Spread by the source and destination address.
pub const SPREAD_FLOW: u8 = 0;
/// Spread by CPU.
pub const SPREAD_CPU: u8 = 1;

/// Family, binary: the set of types that are queued.
pub const FAMILY_A_TYPES: u16 = 1;

/// Length of a set of types in bytes.
pub const TYPES_LEN: usize = 32;

/// Statistics, u32, in dumps: the CPU of the counters.
pub const STATS_A_CPU: u16 = 1;
/// Statistics, counter: netlink messages handled.
pub const STATS_A_MESSAGES: u16 = 2;
/// Statistics, counter: bytes of the netlink messages that were handled.
pub const STATS_A_BYTES: u16 = 3;
/// Statistics, counter: acknowledgements without an error.
pub const STATS_A_ACKS: u16 = 4;
/// Statistics, counter: errors that the module reported.
pub const STATS_A_ERRORS: u16 = 5;
/// Statistics, counter: requests that the module refused because the sender lacks `CAP_NET_ADMIN`.
pub const STATS_A_REFUSED: u16 = 6;
/// Statistics, nest of `PACKETS_A_*`: the counters of ICMP packets.
pub const STATS_A_IPV4: u16 = 7;
/// Statistics, nest of `PACKETS_A_*`: the counters of `ICMPv6` packets.
pub const STATS_A_IPV6: u16 = 8;
/// Statistics, u8, in totals: whether the hooks are registered.
pub const STATS_A_HOOKED: u16 = 9;

/// Packets, counter: packets that the hooks saw.
pub const PACKETS_A_SEEN: u16 = 1;
/// Packets, counter: packets of a type that is queued.
pub const PACKETS_A_MATCHED: u16 = 2;
/// Packets, counter: packets that passed because of their mark, or because they met the same hook a
/// second time in a VRF.
pub const PACKETS_A_SKIPPED: u16 = 3;
/// Packets, counter: packets that were queued.
pub const PACKETS_A_QUEUED: u16 = 4;
/// Packets, counter: packets whose headers end early or contradict themselves.
pub const PACKETS_A_UNPARSABLE: u16 = 5;

/// Network namespace that was deleted, u64: its cookie.
pub const NETNS_A_COOKIE: u16 = 1;
/// Network namespace that was deleted, u32: the number of the event.
pub const NETNS_A_EVENT: u16 = 2;
