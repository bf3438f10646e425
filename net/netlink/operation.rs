// SPDX-License-Identifier: GPL-2.0

//! Which messages a protocol has, and what serves them.

use kernel::{
    bindings,
    prelude::*, //
};

use super::{
    attribute::{
        Attributes,
        Policy, //
    },
    dump::{
        self,
        Dump, //
    },
    refusal::Refusal,
    request::{
        Capability,
        Request, //
    },
    Input,
    Outcome, //
};

use crate::net::pernet::Instance;

/// What a handler leaves to be done for a request that it has served.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// Nothing: the handler has sent all replies, if there are any.
    Done,
    /// The request goes back to its client, as a message of this type without flags. The payload and
    /// the sequence number stay.
    ///
    /// A message that has its buffer to itself goes back in that buffer, uncopied. A message that
    /// shares its buffer with others is copied: otherwise its client would be charged with the
    /// whole buffer for each of them.
    ///
    /// That this is the last step, behind the handler, is what makes it safe: the header in the
    /// buffer becomes the header of the reply, and an error quotes the header in the buffer. If the
    /// request cannot go back, its client gets an error of [`Reply::send`](super::Reply::send) or
    /// [`Request::reply`].
    SendBack(u16),
}

/// Serves a message whose payload is up to the handler.
type Raw<T> = fn(&Instance<'_, T>, &Request<'_>) -> Result<Handled, Refusal>;

/// Serves a message that carries attributes.
type Do<T> = fn(&Instance<'_, T>, &Request<'_>, &Attributes<'_>) -> Result<(), Refusal>;

/// What a message of one type is, who may send it, and what serves it.
///
/// Handlers run in the context of the client's `sendmsg()`: in process context, on any number of
/// CPUs at once. They may sleep, and the client waits meanwhile.
pub struct Operation<T: Input> {
    msg_type: u16,
    needs: Option<Capability>,
    handler: Handler<T>,
}

enum Handler<T: Input> {
    Raw(Raw<T>),
    Attributes {
        policy: &'static Policy,
        one: Do<T>,
        all: Option<dump::Start<T>>,
    },
}

impl<T: Input> Operation<T> {
    /// A message of type `msg_type`, which may be anything above netlink's own, whose payload is up
    /// to `handler`.
    pub const fn raw(msg_type: u32, handler: Raw<T>) -> Self {
        Self::with(msg_type, Handler::Raw(handler))
    }

    /// A message of type `msg_type` that carries the attributes that `policy` allows.
    pub const fn new(msg_type: u32, policy: &'static Policy, handler: Do<T>) -> Self {
        Self::with(
            msg_type,
            Handler::Attributes {
                policy,
                one: handler,
                all: None,
            },
        )
    }

    const fn with(msg_type: u32, handler: Handler<T>) -> Self {
        assert!(msg_type >= bindings::NLMSG_MIN_TYPE && msg_type <= u16::MAX as u32);
        Self {
            msg_type: msg_type as u16, // CAST: Just checked.
            needs: None,
            handler,
        }
    }

    /// Refuses clients that lack `capability` in the user namespace that owns the network namespace.
    pub const fn needs(self, capability: Capability) -> Self {
        Self {
            msg_type: self.msg_type,
            needs: Some(capability),
            handler: self.handler,
        }
    }

    /// Answers messages with `NLM_F_DUMP` by the dump `D`.
    pub const fn dump<D: Dump<T>>(self) -> Self {
        let Handler::Attributes { policy, one, .. } = self.handler else {
            panic!("messages without attributes have no dump")
        };
        Self {
            msg_type: self.msg_type,
            needs: self.needs,
            handler: Handler::Attributes {
                policy,
                one,
                all: Some(dump::start::<T, D>),
            },
        }
    }

    /// Serves a message of this type, and tells its client how it went.
    #[inline(always)]
    fn serve(&self, instance: &Instance<'_, T>, request: &Request<'_>) -> Outcome {
        if let Some(capability) = self.needs {
            if !request.net_capable(capability) {
                return request.conclude(Err(Refusal::new(EPERM, capability.refusal())));
            }
        }
        match &self.handler {
            Handler::Raw(handler) => request.conclude(match handler(instance, request) {
                Ok(Handled::SendBack(msg_type)) => {
                    request.send_back(msg_type).map_err(Refusal::from)
                }
                Ok(Handled::Done) => Ok(()),
                Err(refusal) => Err(refusal),
            }),
            Handler::Attributes { policy, one, all } => {
                request.conclude(serve_attributes(instance, request, policy, *one, *all))
            }
        }
    }
}

/// Serves a message that carries attributes.
fn serve_attributes<T: Input>(
    instance: &Instance<'_, T>,
    request: &Request<'_>,
    policy: &'static Policy,
    one: Do<T>,
    all: Option<dump::Start<T>>,
) -> Result<(), Refusal> {
    let attributes = Attributes::parse(request.payload(), policy)?;
    if !request.header().wants_dump() {
        return one(instance, request, &attributes);
    }
    match all {
        Some(start) => start(instance, request, &attributes),
        None => Err(Refusal::new(
            EOPNOTSUPP,
            c"Messages of this type have no dump",
        )),
    }
}

/// Serves a request by the table that `T` has, and tells its client how it went.
#[inline]
pub(super) fn serve<T: Input>(instance: &Instance<'_, T>, request: &Request<'_>) -> Outcome {
    const { assert_distinct(T::OPERATIONS) };
    match T::OPERATIONS.split_first() {
        // What it is, is known here: its handler is called without a detour.
        Some((first, _)) if first.msg_type == request.header().msg_type => {
            first.serve(instance, request)
        }
        _ => serve_others(instance, request),
    }
}

/// The same for all but the first in the table.
#[inline(never)]
fn serve_others<T: Input>(instance: &Instance<'_, T>, request: &Request<'_>) -> Outcome {
    let msg_type = request.header().msg_type;
    match T::OPERATIONS
        .iter()
        .find(|operation| operation.msg_type == msg_type)
    {
        Some(operation) => operation.serve(instance, request),
        None => request.conclude(Err(Refusal::new(EOPNOTSUPP, c"Unknown message type"))),
    }
}

/// Fails to compile if two operations serve one type of message.
const fn assert_distinct<T: Input>(operations: &[Operation<T>]) {
    let mut i = 0;
    while i < operations.len() {
        let mut j = i + 1;
        while j < operations.len() {
            assert!(
                operations[i].msg_type != operations[j].msg_type,
                "two operations serve one type of message"
            );
            j += 1;
        }
        i += 1;
    }
}
