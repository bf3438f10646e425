// SPDX-License-Identifier: GPL-2.0

//! Drops the packets that have one IPv4 source address and arrive at one device. A netlink client
//! with `CAP_NET_ADMIN` can set this address and this device while packets pass. For each packet,
//! the hook uses either the whole old rule or the whole new rule.

#![deny(unsafe_code)]

use kernel::prelude::*;

use net::netfilter::{self, Family, Hooknum, Hooks, Point, Priority, State, Verdict};
use net::netlink::{self, Attribute, Attributes, Capability, KernelSocket, MessageType};
use net::netlink::{Operation, Payload, Policy, Protocol, Refusal, Request};
use net::pernet::{self, Instance};
use net::rcu::{Prepared, Published, ReadSide};
use net::skbuff::{Packet, ReadAt};

#[path = "../../net/mod.rs"]
mod net;

module! {
    type: pernet::Module<Gate>,
    name: "gate",
    authors: ["The rust_nldemo developers"],
    description: "Drops packets from one address at one device, in every network namespace",
    license: "GPL",
}

const SET: MessageType = MessageType::new(16);
const GET: MessageType = MessageType::new(17);
const RULE: MessageType = MessageType::new(18);

/// The index of the device. 0 means no device.
const DEVICE: Attribute<i32> = Attribute::new(1).range(0, i32::MAX as i64).required();
/// The IPv4 address.
const SOURCE: Attribute<[u8; 4]> = Attribute::new(2).required();
static SET_POLICY: Policy = Policy::new(&[DEVICE.rule(), SOURCE.rule()]);

/// The rule: the hook drops packets that have this source address and arrive at this device.
#[derive(Clone, Copy, Default)]
struct Rule {
    device: i32,
    source: [u8; 4],
}

struct Gate {
    rule: Published<Rule>,
}

impl Gate {
    /// Answers with the rule.
    fn get(
        gate: &Instance<'_, Self>,
        request: &Request<'_>,
        _: &Attributes<'_>,
    ) -> Result<(), Refusal> {
        let rule = ReadSide::with(|section| *gate.rule.read(section));
        let mut payload = Payload::<16>::new();
        payload.put(&DEVICE, rule.device);
        payload.put(&SOURCE, rule.source);
        Ok(request.reply(RULE, payload.bytes()?)?.send()?)
    }

    /// Changes the rule. `SET_POLICY` refuses a request that lacks `DEVICE` or `SOURCE`.
    fn set(
        gate: &Instance<'_, Self>,
        _: &Request<'_>,
        attributes: &Attributes<'_>,
    ) -> Result<(), Refusal> {
        if let (Some(device), Some(source)) = (attributes.get(&DEVICE), attributes.get(&SOURCE)) {
            gate.rule.publish(Prepared::new(Rule { device, source })?);
        }
        Ok(())
    }
}

static GATE: pernet::Key<Gate> = pernet::Key::new();

impl pernet::Subsystem for Gate {
    type Module = pernet::Module<Self>;
    type Attachments = (Hooks<Self>, KernelSocket<Self>);
    const KEY: pernet::KeyRef<Self> = pernet::KeyRef::new(&GATE);

    fn new(_net: &net::namespace::Net) -> impl PinInit<Self, Error> {
        Ok(Self {
            rule: Published::new(Rule::default())?,
        })
    }
}

impl netfilter::Hook for Gate {
    fn points(&self) -> impl Iterator<Item = Point> {
        core::iter::once(Point {
            family: Family::Ipv4,
            hooknum: Hooknum::PreRouting,
            priority: Priority::FILTER,
        })
    }

    fn hook(&self, packet: &Packet, state: &State, _point: &Point) -> Verdict {
        let rule = self.rule.read(state.read_side());
        let device = state.in_device().map(|device| device.ifindex());
        if device == Some(rule.device) && packet.read_at(12) == Some(rule.source) {
            Verdict::DROP
        } else {
            Verdict::ACCEPT
        }
    }
}

impl netlink::Input for Gate {
    const OPERATIONS: &'static [Operation<Self>] = &[
        Operation::new(SET, &SET_POLICY, Self::set).needs(Capability::NetAdmin),
        Operation::new(GET, Policy::NONE, Self::get),
    ];

    fn protocol(&self) -> Protocol {
        const { Protocol::new(25).unwrap() }
    }
}
