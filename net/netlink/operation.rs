// SPDX-License-Identifier: GPL-2.0

//! The messages of a protocol, and their handlers.

use kernel::prelude::*;

use super::{
    attribute::{
        Attributes,
        Policy, //
    },
    dump::{
        self,
        Dump, //
    },
    message::MessageType,
    number::Number,
    refusal::Refusal,
    request::{
        Capability,
        Request, //
    }, //
};

use crate::net::{
    compat::EOPNOTSUPP,
    pernet::{
        Instance,
        Subsystem, //
    }, //
};

/// The work that is left after a handler has served a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// No work is left: the handler has sent all replies, if there are any.
    Done,
    /// The request goes back to its client, as a message of this type without flags. The payload
    /// and the sequence number stay the same.
    ///
    /// If the message is the only one in its buffer, the buffer itself goes back, without a copy.
    /// If the buffer has other messages, the message is copied. Without the copy, each reply would
    /// count with the size of the whole buffer against the client's receive buffer.
    ///
    /// The request goes back only after the handler has returned, because this must be the
    /// last step. After this step the buffer can hold the reply's header, but the report of
    /// a later error would have to quote the request's header. If the request cannot go
    /// back, the client gets an error of [`Reply::send`](super::Reply::send) or
    /// [`Request::reply`].
    SendBack(MessageType),
}

/// A handler that gets the payload as bytes, and parses them itself.
type Raw<T> = fn(&Instance<'_, T>, &Request<'_>) -> Result<Handled, Refusal>;

/// A handler that gets the payload as attributes, which were checked before.
pub(super) type Do<T, N> =
    fn(&Instance<'_, T>, &Request<'_, N>, &Attributes<'_>) -> Result<(), Refusal>;

/// How messages with one number are served: their attributes, the clients that may send them, and
/// their handler.
///
/// Handlers run in the context of the client's `sendmsg()`: in process context, and on several CPUs
/// at the same time. Handlers may sleep, and the client waits until they return.
pub struct Operation<T: Subsystem, N: Number = MessageType> {
    pub(super) number: N,
    pub(super) needs: Option<Capability>,
    pub(super) handler: Handler<T, N>,
}

pub(super) enum Handler<T: Subsystem, N: Number> {
    Raw(Raw<T>, N::Raw),
    Attributes {
        policy: &'static Policy,
        one: Do<T, N>,
        all: Option<dump::Functions<T, N>>,
    },
}

impl<T: Subsystem> Operation<T> {
    /// Serves messages of type `msg_type`. `handler` reads their payload.
    pub const fn raw(msg_type: MessageType, handler: Raw<T>) -> Self {
        Self::with(msg_type, Handler::Raw(handler, ()))
    }
}

impl<T: Subsystem, N: Number> Operation<T, N> {
    /// Serves messages with this number. They carry the attributes that `policy` allows.
    pub const fn new(number: N, policy: &'static Policy, handler: Do<T, N>) -> Self {
        Self::with(
            number,
            Handler::Attributes {
                policy,
                one: handler,
                all: None,
            },
        )
    }

    const fn with(number: N, handler: Handler<T, N>) -> Self {
        Self {
            number,
            needs: None,
            handler,
        }
    }

    /// Refuses clients that lack `capability` in the user namespace that owns the network
    /// namespace.
    pub const fn needs(self, capability: Capability) -> Self {
        Self {
            number: self.number,
            needs: Some(capability),
            handler: self.handler,
        }
    }

    /// If a message has `NLM_F_DUMP`, the dump `D` answers it.
    ///
    /// Requests with and without `NLM_F_DUMP` have the same policy. So an attribute that
    /// only one of the two kinds of requests needs must not be
    /// [`required`](super::Attribute::required).
    pub const fn dump<D: Dump<T, N>>(self) -> Self {
        let Handler::Attributes { policy, one, .. } = self.handler else {
            panic!("messages without attributes have no dump")
        };
        Self {
            number: self.number,
            needs: self.needs,
            handler: Handler::Attributes {
                policy,
                one,
                all: Some(dump::Functions::of::<D>()),
            },
        }
    }
}

impl<T: Subsystem> Operation<T> {
    /// Serves a message of this type.
    #[inline(always)]
    fn serve(&self, instance: &Instance<'_, T>, request: &Request<'_>) -> Result<(), Refusal> {
        request.permit(self.needs)?;
        match &self.handler {
            Handler::Raw(handler, ()) => match handler(instance, request)? {
                Handled::SendBack(msg_type) => Ok(request.send_back(msg_type)?),
                Handled::Done => Ok(()),
            },
            Handler::Attributes { policy, one, all } => {
                serve_attributes(instance, request, policy, *one, all.as_ref())
            }
        }
    }
}

/// Serves a message that carries attributes.
fn serve_attributes<T: Subsystem>(
    instance: &Instance<'_, T>,
    request: &Request<'_>,
    policy: &'static Policy,
    one: Do<T, MessageType>,
    all: Option<&dump::Functions<T, MessageType>>,
) -> Result<(), Refusal> {
    let attributes = Attributes::parse(request.payload(), policy)?;
    if !request.header().wants_dump() {
        return one(instance, request, &attributes);
    }
    match all {
        Some(all) => dump::start(instance, request, &attributes, all),
        None => Err(Refusal::new(
            EOPNOTSUPP,
            c"Messages of this type have no dump",
        )),
    }
}

/// Calls the operation that serves the type of `request`. The compiler must know `operations` as a
/// constant: only then can it call the first handler directly.
#[inline(always)]
pub(super) fn serve<T: Subsystem>(
    operations: &'static [Operation<T>],
    instance: &Instance<'_, T>,
    request: &Request<'_>,
) -> Result<(), Refusal> {
    match operations.split_first() {
        // `serve` is inlined, so the first operation is a constant, and its handler is called
        // directly.
        Some((first, _)) if first.number == request.header().msg_type => {
            first.serve(instance, request)
        }
        _ => serve_others(operations, instance, request),
    }
}

/// Does the same as [`serve`] for requests that the first operation does not serve.
#[inline(never)]
fn serve_others<T: Subsystem>(
    operations: &'static [Operation<T>],
    instance: &Instance<'_, T>,
    request: &Request<'_>,
) -> Result<(), Refusal> {
    let msg_type = request.header().msg_type;
    match operations
        .iter()
        .find(|operation| operation.number == msg_type)
    {
        Some(operation) => operation.serve(instance, request),
        None => Err(Refusal::new(EOPNOTSUPP, c"Unknown message type")),
    }
}

/// Fails to compile if two operations serve the same type of message, or if an operation serves a
/// type that belongs to netlink itself.
pub(super) const fn assert_valid<T: Subsystem>(operations: &[Operation<T>]) {
    let mut i = 0;
    while i < operations.len() {
        assert!(
            operations[i].number.is_of_protocol(),
            "an operation serves a type of message that belongs to netlink"
        );
        let mut j = i + 1;
        while j < operations.len() {
            assert!(
                operations[i].number.number() != operations[j].number.number(),
                "two operations serve one type of message"
            );
            j += 1;
        }
        i += 1;
    }
}
