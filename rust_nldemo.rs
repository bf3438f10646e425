// SPDX-License-Identifier: GPL-2.0

//! Netlink echo and ICMP to NFQUEUE, in every network namespace.
//!
//! The module at work for [`net`], safe abstractions over netlink kernel sockets and Netfilter
//! hooks. This file says what lives in a network namespace and wires it up; `nldemo/` holds what
//! it does.

#![deny(unsafe_code)]

use kernel::prelude::*;

use net::{
    namespace::Net,
    netfilter::{
        self,
        Family,
        Hooks,
        Point,
        Priority,
        Verdict, //
    },
    netlink::{
        self,
        ExtAck,
        KernelSocket,
        Protocol,
        Request, //
    },
    pernet,
    skbuff::Packet, //
};

use nldemo::{
    classify::{
        self,
        Class, //
    },
    config::{
        Config,
        OutOfRange,
        Parameters, //
    },
    echo, //
};

pub mod net;
mod nldemo;

module! {
    type: pernet::Module<NetNs>,
    name: "rust_nldemo",
    authors: ["The rust_nldemo developers"],
    description: "Netlink echo and ICMP to NFQUEUE, in Rust",
    license: "GPL",
    params: {
        protocol: i64 {
            default: 23,
            description: "Netlink protocol number, 23 to 31 (default 23)",
        },
        queue: i64 {
            default: 0,
            description: "NFQUEUE queue that ICMP packets go to, 0 to 65535 (default 0)",
        },
        bypass: bool {
            default: true,
            description: "Let packets pass when nobody listens to the queue (default true)",
        },
        hooks: i64 {
            default: 1,
            description: "Hook points, bit n for NF_INET_* number n, 1 to 31 (default 1, PRE_ROUTING)",
        },
    },
}

/// The configuration that the module was loaded with.
fn loaded_config() -> Result<Config, OutOfRange> {
    Config::new(&Parameters {
        protocol: module_parameters::protocol.value(),
        queue: module_parameters::queue.value(),
        bypass: module_parameters::bypass.value(),
        hooks: module_parameters::hooks.value(),
    })
}

/// What lives in every network namespace.
struct NetNs {
    config: Config,
}

static NETNS: pernet::Key<NetNs> = pernet::Key::new();

impl pernet::Subsystem for NetNs {
    type Module = pernet::Module<Self>;
    type Attachments = (KernelSocket<Self>, Hooks<Self>);
    const KEY: pernet::KeyRef<Self> = pernet::KeyRef::new(&NETNS);

    fn load() -> Result {
        loaded_config().map_err(|out_of_range| {
            pr_err!("{out_of_range}\n");
            EINVAL
        })?;
        Ok(())
    }

    fn new(_net: &Net) -> impl PinInit<Self, Error> {
        let config = loaded_config().map_err(|_| EINVAL)?;
        Ok(Self { config })
    }
}

impl netlink::Input for NetNs {
    fn protocol(&self) -> Protocol {
        self.config.protocol
    }

    fn request(&self, request: &Request<'_>, extack: &mut ExtAck) -> Result {
        echo::request(request, extack)
    }

    fn other(&self, message: &Request<'_>) {
        echo::hello(message);
    }
}

impl netfilter::Hook for NetNs {
    fn points(&self) -> impl Iterator<Item = Point> {
        self.config.hooknums().map(|hooknum| Point {
            family: Family::Ipv4,
            hooknum,
            priority: Priority::FILTER,
        })
    }

    #[inline]
    fn hook(&self, packet: &Packet, _state: &netfilter::State) -> Verdict {
        match classify::ipv4(packet) {
            Class::Icmp(_) => self.config.verdict,
            Class::Other | Class::LaterFragment | Class::Malformed => Verdict::ACCEPT,
        }
    }
}
