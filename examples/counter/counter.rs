// SPDX-License-Identifier: GPL-2.0

//! 256 counters in each network namespace, served by a family of generic netlink. Any client may read the counters
//! and get an event for each change. A client with `CAP_NET_ADMIN` may add to a counter.

#![deny(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};

use net::netlink::generic::{self, Channel, Command, Group};
use net::netlink::{Attribute, Attributes, Capability, Dump, Full, Operation, Page};
use net::netlink::{Payload, Policy, Refusal, Uint};
use net::{namespace::Net, pernet, pernet::Instance};

#[path = "../../net/mod.rs"]
mod net;

mod uapi {
    #![allow(dead_code, non_camel_case_types, unreachable_pub)]
    include!(concat!(env!("NET_OUT"), "/counter.h.rs"));
}

module! {
    type: pernet::Module<Counters>,
    name: "counter",
    authors: ["The rust_nldemo developers"],
    description: "Counters in every network namespace",
    license: "GPL",
    alias: ["net-pf-16-proto-16-family-counter"],
}

const GET: Command = Command::new(uapi::COUNTER_CMD_GET);
const ADD: Command = Command::new(uapi::COUNTER_CMD_ADD);
const ADD_NTF: Command = Command::new(uapi::COUNTER_CMD_ADD_NTF);
const CHANGES: Group<Counters> = Group::new(0);
const COUNT: usize = 256;
const NUMBER: Attribute<u32> = Attribute::new(uapi::COUNTER_A_NUMBER).range(0, COUNT as i64 - 1);
const VALUE: Attribute<Uint> = Attribute::new(uapi::COUNTER_A_VALUE);
const BY: Attribute<u32> = Attribute::new(uapi::COUNTER_A_BY).range(1, u32::MAX as i64);
static GET_POLICY: Policy = Policy::new(&[NUMBER.rule()]);
static ADD_POLICY: Policy = Policy::new(&[NUMBER.required().rule(), BY.required().rule()]);

struct Counters([Atomic<u64>; COUNT]);
type This<'a> = Instance<'a, Counters>;

impl Counters {
    fn tell(number: usize, value: u64) -> Payload<32> {
        let mut payload = Payload::new();
        payload.put(&NUMBER, number as u32);
        payload.put(&VALUE, Uint(value));
        payload
    }

    fn find(&self, attributes: &Attributes<'_>) -> Result<(usize, &Atomic<u64>), Refusal> {
        let missing = Refusal::new(EINVAL, c"The request names no counter");
        let number = attributes.get(&NUMBER).ok_or(missing)? as usize;
        Ok((number, self.0.get(number).ok_or(ERANGE)?))
    }
}

static COUNTERS: pernet::Key<Counters> = pernet::Key::new();

impl pernet::Subsystem for Counters {
    type Module = pernet::Module<Self>;
    type Attachments = Channel<Self>;
    const KEY: pernet::KeyRef<Self> = pernet::KeyRef::new(&COUNTERS);

    fn new(_net: &Net) -> impl PinInit<Self, Error> {
        Ok(Self([const { Atomic::new(0) }; COUNT]))
    }
}

impl generic::Family for Counters {
    const NAME: &'static CStr = c"counter";
    const VERSION: u8 = 1;
    const GROUPS: &'static [&'static CStr] = &[c"changes"];
    const OPERATIONS: &'static [Operation<Self, Command>] = &[
        Operation::new(GET, &GET_POLICY, |this: &This<'_>, request, attributes| {
            let (number, counter) = this.find(attributes)?;
            let payload = Counters::tell(number, counter.load(Relaxed));
            Ok(request.reply(GET, payload.bytes()?)?.send()?)
        })
        .dump::<All>(),
        Operation::new(ADD, &ADD_POLICY, |this: &This<'_>, _, attributes| {
            let (number, counter) = this.find(attributes)?;
            let by = attributes.get(&BY).map_or(0, u64::from);
            let value = counter.fetch_add(by, Relaxed).wrapping_add(by);
            if let Some(channel) = this.attachments().filter(|it| it.has_listeners(CHANGES)) {
                let _ = channel.broadcast(CHANGES, ADD_NTF, Counters::tell(number, value).bytes()?);
            }
            Ok(())
        })
        .needs(Capability::NetAdmin),
    ];
}

/// The dump of all counters, with one message for each counter.
struct All;

impl Dump<Counters, Command> for All {
    type Cursor = usize;

    fn start(_: &This<'_>, _: &Attributes<'_>) -> Result<usize, Refusal> {
        Ok(0)
    }

    fn generation(_: &This<'_>) -> u32 {
        0
    }

    fn fill(this: &This<'_>, next: &mut usize, page: &mut Page<'_, Command>) -> Result<(), Full> {
        while let Some(counter) = this.0.get(*next) {
            let payload = Counters::tell(*next, counter.load(Relaxed));
            page.put(GET, payload.bytes().map_err(|_| Full)?)?;
            *next += 1;
        }
        Ok(())
    }
}
