// SPDX-License-Identifier: GPL-2.0

//! Netlink echo and ICMP to NFQUEUE, in every network namespace.
//!
//! The module uses [`net`], the safe abstractions over netlink kernel sockets and
//! Netfilter hooks. This file declares the parameters, the operations and the
//! attachments. The folder `nldemo/` implements what they do, and does not depend on this
//! file.

#![deny(unsafe_code)]

use kernel::{
    prelude::*,
    sync::SetOnce, //
};

use net::{
    namespace::Net,
    netfilter::{
        self,
        Hooks,
        Point,
        State,
        Verdict, //
    },
    netlink::{
        self,
        Capability,
        Handled,
        Header,
        KernelSocket,
        Operation,
        Outcome,
        Policy,
        Protocol,
        Request, //
    },
    pernet::{
        self,
        Instance, //
    },
    random::get_random_u64,
    skbuff::Packet, //
};

use nldemo::{
    config::{
        Config,
        OutOfRange,
        Parameters, //
    },
    control::Control,
    hook,
    messages::{
        CONFIG_GET,
        CONFIG_SET,
        ECHO,
        STATS_GET, //
    },
    netns::NetNs,
    serve::{
        config,
        echo,
        events,
        stats, //
    },
    stats::Statistics, //
};

pub mod net;
mod nldemo;

module! {
    type: pernet::Module<NetNs>,
    name: "rust_nldemo",
    authors: ["The rust_nldemo developers"],
    description: "Netlink echo and ICMP to NFQUEUE, in Rust",
    license: "GPL",
}

net::module_version!("0.2.0");

/// The module's parameters.
mod parameters {
    crate::net::module_parameters! {
        /// Netlink protocol number, 23 to 31 (default 23)
        protocol: i64 = 23,
        /// Start network namespaces enabled; a disabled one has no hooks (default true)
        enabled: bool = true,
        /// First NFQUEUE queue that ICMP packets go to, 0 to 65535 (default 0)
        queue: i64 = 0,
        /// How many queues to spread packets over, by flow (default 1)
        queues: i64 = 1,
        /// Let packets pass if their queue has no consumer (default true)
        bypass: bool = true,
        /// Queue ICMPv6 echo requests and replies too (default true)
        ipv6: bool = true,
        /// Hook points, bit n for NF_INET_* number n, 1 to 31 (default 1, PRE_ROUTING)
        hooks: i64 = 1,
        /// Place among the hooks of a point, lower runs earlier (default 0, filter)
        priority: i64 = 0,
        /// Packets with this mark are not queued, 0 for none (default 0)
        skip_mark: i64 = 0,
    }
}

/// The protocol and the configuration that the module was loaded with. `load` sets them.
static LOADED: SetOnce<(Protocol, Config)> = SetOnce::new();

/// Reads and checks the parameters.
fn parse() -> Result<(Protocol, Config), OutOfRange> {
    Config::new(&Parameters {
        protocol: parameters::protocol.value(),
        enabled: parameters::enabled.value(),
        queue: parameters::queue.value(),
        queues: parameters::queues.value(),
        bypass: parameters::bypass.value(),
        ipv6: parameters::ipv6.value(),
        hooks: parameters::hooks.value(),
        priority: parameters::priority.value(),
        skip_mark: parameters::skip_mark.value(),
    })
}

static NETNS: pernet::Key<NetNs> = pernet::Key::new();

impl pernet::Subsystem for NetNs {
    type Module = pernet::Module<Self>;
    type Attachments = (Hooks<Self>, KernelSocket<Self>);
    const KEY: pernet::KeyRef<Self> = pernet::KeyRef::new(&NETNS);

    fn load() -> Result {
        let loaded = parse().map_err(|out_of_range| {
            pr_err!("{out_of_range}\n");
            EINVAL
        })?;
        LOADED.populate(loaded);
        Ok(())
    }

    fn new(_net: &Net) -> impl PinInit<Self, Error> {
        let loaded = LOADED.as_ref().ok_or(EINVAL);
        try_pin_init!(Self {
            protocol: loaded?.0,
            control <- Control::new(loaded?.1),
            statistics: Statistics::new()?,
            seed: get_random_u64(),
        })
    }

    fn gone(instance: &Instance<'_, Self>, initial: &Instance<'_, Self>) {
        events::gone(instance, initial);
    }
}

impl netlink::Input for NetNs {
    const OPERATIONS: &'static [Operation<Self>] = &[
        Operation::raw(ECHO, echo::echo),
        Operation::new(CONFIG_GET, Policy::NONE, config::get),
        Operation::new(CONFIG_SET, &config::SET_POLICY, config::set).needs(Capability::NetAdmin),
        Operation::new(STATS_GET, Policy::NONE, stats::get).dump::<stats::PerCpu>(),
    ];

    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn other(&self, message: &Request<'_>) -> Option<Handled> {
        echo::hello(message)
    }

    fn served(&self, header: &Header, outcome: Outcome) {
        self.statistics.count_message(header, outcome);
    }
}

impl netfilter::Hook for NetNs {
    fn points(&self) -> impl Iterator<Item = Point> {
        self.control.config().points()
    }

    #[inline]
    fn hook(&self, packet: &Packet, state: &State, point: &Point) -> Verdict {
        hook::hook(self, packet, state, point)
    }
}
