// SPDX-License-Identifier: GPL-2.0

//! The numbers of the module's own netlink protocol.

use std::ops::RangeInclusive;

/// Netlink protocol number that the module uses unless its parameter `protocol` says otherwise.
pub const DEFAULT_PROTOCOL: u8 = 23;

/// Netlink protocol numbers that the module accepts: the ones that no mainline user has.
pub const PROTOCOLS: RangeInclusive<u8> = 23..=31;

/// Message type of an echo request and of its reply.
pub const MSG_ECHO: u16 = 16;

/// Message type that the old demo client sends, without any flag.
pub const MSG_LEGACY_REQUEST: u16 = 0;

/// Message type of the answer to [`MSG_LEGACY_REQUEST`].
pub const MSG_LEGACY_REPLY: u16 = 23;

/// First queue number that the module uses unless its parameter `queue` says otherwise.
pub const DEFAULT_QUEUE: u16 = 0;
