// SPDX-License-Identifier: GPL-2.0

//! Netlink.
//!
//! A [`Subsystem`](super::pernet::Subsystem) serves a netlink protocol in every network namespace
//! if it implements [`Input`] and names [`KernelSocket`] among its attachments.
//!
//! [`generic`] is for families of generic netlink.
//!
//! C header: [`include/linux/netlink.h`](srctree/include/linux/netlink.h)
//!
//! # Examples
//!
//! ```
//! # use net::{
//! #     namespace::Net,
//! #     netlink::{
//! #         self, Attributes, Capability, Handled, KernelSocket, MessageType, Operation, Policy,
//! #         Protocol, Refusal, Request,
//! #     },
//! #     pernet::{self, Instance},
//! # };
//! # static COUNTER: pernet::Key<Counter> = pernet::Key::new();
//! # impl pernet::Subsystem for Counter {
//! #     type Module = crate::LocalModule;
//! #     type Attachments = KernelSocket<Self>;
//! #     const KEY: pernet::KeyRef<Self> = pernet::KeyRef::new(&COUNTER);
//! #
//! #     fn new(_net: &Net) -> impl PinInit<Self, Error> {
//! #         Err(EINVAL)
//! #     }
//! # }
//! # struct Counter {
//! #     protocol: Protocol,
//! # }
//! # static SET_POLICY: Policy = Policy::new(&[]);
//! # impl Counter {
//! #     fn get(
//! #         _: &Instance<'_, Self>,
//! #         _: &Request<'_>,
//! #         _: &Attributes<'_>,
//! #     ) -> Result<(), Refusal> {
//! #         Ok(())
//! #     }
//! #     fn set(
//! #         _: &Instance<'_, Self>,
//! #         _: &Request<'_>,
//! #         _: &Attributes<'_>,
//! #     ) -> Result<(), Refusal> {
//! #         Ok(())
//! #     }
//! # }
//! const ECHO: MessageType = MessageType::new(16);
//! const LENGTH: MessageType = MessageType::new(17);
//! const GET: MessageType = MessageType::new(18);
//! const SET: MessageType = MessageType::new(19);
//!
//! impl netlink::Input for Counter {
//!     const OPERATIONS: &'static [Operation<Self>] = &[
//!         Operation::raw(ECHO, |_, _| Ok(Handled::SendBack(ECHO))),
//!         Operation::raw(LENGTH, |_, request| {
//!             let length = request.payload().len() as u32;
//!             request.reply(LENGTH, &length.to_ne_bytes())?.send()?;
//!             Ok(Handled::Done)
//!         }),
//!         Operation::new(GET, Policy::NONE, Self::get),
//!         Operation::new(SET, &SET_POLICY, Self::set).needs(Capability::NetAdmin),
//!     ];
//!
//!     fn protocol(&self) -> Protocol {
//!         self.protocol
//!     }
//! }
//! ```

mod attribute;
mod dump;
mod exported;
mod extack;
pub mod generic;
mod incoming;
mod input;
mod message;
mod multicast;
mod number;
mod operation;
mod outgoing;
mod refusal;
mod reply;
mod request;
mod send_back;
mod socket;

pub use self::{
    attribute::{
        Attribute,
        Attributes,
        Nest,
        Payload,
        Policy,
        Rule,
        Uint,
        Value, //
    },
    dump::{
        Dump,
        Full,
        Page, //
    },
    input::{
        Input,
        Outcome,
        Protocol, //
    },
    message::{
        Header,
        MessageType, //
    },
    multicast::Group,
    number::Number,
    operation::{
        Handled,
        Operation, //
    },
    refusal::Refusal,
    reply::Reply,
    request::{
        Capability,
        Request, //
    },
    socket::KernelSocket, //
};
