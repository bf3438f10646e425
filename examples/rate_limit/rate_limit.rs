// SPDX-License-Identifier: GPL-2.0

//! Limits how many ICMP messages a network namespace receives in a second. A netlink client can ask how many ICMP
//! messages passed, and how many were dropped.

#![deny(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};
use kernel::time::{Instant, Monotonic, NSEC_PER_SEC};

use net::netfilter::{self, Family, Hooknum, Hooks, Point, Priority, State, Verdict};
use net::netlink::{self, Attribute, KernelSocket, MessageType, Operation};
use net::netlink::{Payload, Policy, Protocol, Uint};
use net::skbuff::{Packet, ReadAt};
use net::{percpu::Counters, pernet};

#[path = "../../net/mod.rs"]
mod net;

mod uapi {
    #![allow(non_camel_case_types, unreachable_pub)]
    include!(concat!(env!("NET_OUT"), "/rate_limit.h.rs"));
}

module! {
    type: pernet::Module<RateLimit>,
    name: "rate_limit",
    authors: ["The rust_nldemo developers"],
    description: "Limits ICMP in every network namespace",
    license: "GPL",
}

const GET: MessageType = MessageType::new(uapi::RATE_LIMIT_MSG_GET);
const COUNTS: MessageType = MessageType::new(uapi::RATE_LIMIT_MSG_COUNTS);

/// The time between two messages at the allowed rate of ten messages in a second, in nanoseconds.
const INTERVAL: i64 = NSEC_PER_SEC / 10;
/// After a pause, this number of messages may pass without any time between them.
const BURST: i64 = 5;

struct RateLimit {
    begin: Instant<Monotonic>,
    /// The end of the last `INTERVAL` that a message took, in nanoseconds since `begin`.
    due: Atomic<i64>,
    /// The number of messages that passed, and the number of messages that were dropped.
    counters: Counters<2>,
}

impl RateLimit {
    /// Whether one more message may pass. If another CPU changes `due` meanwhile, this CPU tries again.
    fn admits(&self) -> bool {
        let now = self.begin.elapsed().as_nanos();
        let mut due = self.due.load(Relaxed);
        loop {
            let next = due.max(now) + INTERVAL;
            if next - now > INTERVAL * BURST {
                return false;
            }
            match self.due.cmpxchg(due, next, Relaxed) {
                Ok(_) => return true,
                Err(current) => due = current,
            }
        }
    }
}

static RATE_LIMIT: pernet::Key<RateLimit> = pernet::Key::new();

impl pernet::Subsystem for RateLimit {
    type Module = pernet::Module<Self>;
    type Attachments = (Hooks<Self>, KernelSocket<Self>);
    const KEY: pernet::KeyRef<Self> = pernet::KeyRef::new(&RATE_LIMIT);

    fn new(_net: &net::namespace::Net) -> impl PinInit<Self, Error> {
        Ok(Self {
            begin: Instant::now(),
            due: Atomic::new(0),
            counters: Counters::new()?,
        })
    }
}

impl netfilter::Hook for RateLimit {
    fn points(&self) -> impl Iterator<Item = Point> {
        core::iter::once(Point {
            family: Family::Ipv4,
            hooknum: Hooknum::LocalIn,
            priority: Priority::FILTER,
        })
    }

    fn hook(&self, packet: &Packet, _state: &State, _point: &Point) -> Verdict {
        // Byte 9 of the IPv4 header is the protocol number. ICMP has number 1.
        if packet.read_at(9) != Some([1]) {
            return Verdict::ACCEPT;
        }
        let admitted = self.admits();
        self.counters.increment(usize::from(!admitted));
        match admitted {
            true => Verdict::ACCEPT,
            false => Verdict::DROP,
        }
    }
}

impl netlink::Input for RateLimit {
    const OPERATIONS: &'static [Operation<Self>] =
        &[Operation::new(GET, Policy::NONE, |limit, request, _| {
            let [passed, dropped] = limit.counters.total();
            let mut payload = Payload::<32>::new();
            payload.put(&Attribute::new(uapi::RATE_LIMIT_A_PASSED), Uint(passed));
            payload.put(&Attribute::new(uapi::RATE_LIMIT_A_DROPPED), Uint(dropped));
            Ok(request.reply(COUNTS, payload.bytes()?)?.send()?)
        })];

    fn protocol(&self) -> Protocol {
        const { Protocol::new(24).unwrap() }
    }
}
