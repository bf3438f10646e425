// SPDX-License-Identifier: GPL-2.0

//! Generates configurations that the module accepts.

use arbitrary::Arbitrary;
use arbitrary::Result;
use arbitrary::Unstructured;
use knetlink::Message;
use knetlink::attr;
use netlink_packet_core::NLM_F_ACK;
use netlink_packet_core::NLM_F_REQUEST;
use nldemo::protocol;

use crate::rarely;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    enabled: bool,
    queue: u16,
    queues: u16,
    spread: u8,
    bypass: bool,
    hooks: u8,
    priority: i32,
    /// Packets with this mark pass without being queued. 0 means that there is no such mark.
    pub skip_mark: u32,
    /// The queued types of ICMP and of `ICMPv6`, as bit masks.
    types: [[u8; protocol::TYPES_LEN]; 2],
}

impl Default for Settings {
    /// The module queues all ICMP and `ICMPv6` packets that arrive. The queue has no consumer, and
    /// bypass is on, so the packets pass. Only one hook point has hooks, so a change of the hook
    /// points takes little time.
    fn default() -> Self {
        Self {
            enabled: true,
            queue: 0,
            queues: 1,
            spread: protocol::SPREAD_FLOW,
            bypass: true,
            hooks: 1,
            priority: 0,
            skip_mark: 0,
            types: [[0xff; protocol::TYPES_LEN]; 2],
        }
    }
}

impl<'a> Arbitrary<'a> for Settings {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let types = |bytes: &mut Unstructured<'a>| {
            Ok(match bytes.int_in_range(0..=7_u8)? {
                0..=4 => [0xff; protocol::TYPES_LEN],
                5 => [0; protocol::TYPES_LEN],
                _ => [bytes.arbitrary()?; protocol::TYPES_LEN],
            })
        };
        Ok(Self {
            // If the module is disabled, or if bypass is off and so the kernel drops all queued
            // packets, the fuzzer reaches little code of the module. So both are rare.
            enabled: !rarely(bytes, 8)?,
            bypass: !rarely(bytes, 64)?,
            queue: bytes.int_in_range(0..=1)?,
            queues: *bytes.choose(&[1, 2, 7, 65535])?,
            spread: *bytes.choose(&[protocol::SPREAD_FLOW, protocol::SPREAD_CPU])?,
            hooks: 31 & !bytes.int_in_range(0..=30_u8)?,
            // When the priority changes, the module registers all hooks again. In that time, the
            // fuzzer could send many packets. So another priority is rare.
            priority: if rarely(bytes, 32)? {
                *bytes.choose(&[-400, 300, i32::MIN, i32::MAX])?
            } else {
                0
            },
            skip_mark: bytes.int_in_range(0..=1)?,
            types: [types(bytes)?, types(bytes)?],
        })
    }
}

impl Settings {
    /// Appends a message that sets this configuration, and asks for an acknowledgement.
    pub fn append_to(&self, buffer: &mut Vec<u8>, sequence: u32) {
        Message {
            kind: protocol::MSG_CONFIG_SET,
            flags: NLM_F_REQUEST | NLM_F_ACK,
            sequence,
            portid: 0,
            payload: &[],
        }
        .append_with(buffer, |payload| {
            attr::append(payload, protocol::CONFIG_A_ENABLED, [self.enabled.into()]);
            attr::append(payload, protocol::CONFIG_A_QUEUE, self.queue.to_ne_bytes());
            attr::append(
                payload,
                protocol::CONFIG_A_QUEUES,
                self.queues.to_ne_bytes(),
            );
            attr::append(payload, protocol::CONFIG_A_SPREAD, [self.spread]);
            attr::append(payload, protocol::CONFIG_A_BYPASS, [self.bypass.into()]);
            attr::append(payload, protocol::CONFIG_A_HOOKS, [self.hooks]);
            attr::append(
                payload,
                protocol::CONFIG_A_PRIORITY,
                self.priority.to_ne_bytes(),
            );
            attr::append(
                payload,
                protocol::CONFIG_A_SKIP_MARK,
                self.skip_mark.to_ne_bytes(),
            );
            let families = [protocol::CONFIG_A_IPV4, protocol::CONFIG_A_IPV6];
            for (family, types) in families.into_iter().zip(self.types) {
                attr::append_nest(payload, family, |nest| {
                    attr::append(nest, protocol::FAMILY_A_TYPES, types);
                });
            }
        });
    }
}
