// SPDX-License-Identifier: GPL-2.0

//! Netlink kernel sockets.
//!
//! A [`Subsystem`] that implements [`Input`] and names [`KernelSocket`] among its attachments
//! serves a netlink protocol in every network namespace.
//!
//! C header: [`include/linux/netlink.h`](srctree/include/linux/netlink.h)
//!
//! # Examples
//!
//! ```
//! # use net::{
//! #     namespace::Net,
//! #     netlink::{
//! #         self, Attributes, Capability, Handled, KernelSocket, Operation, Policy, Protocol,
//! #         Refusal, Request,
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
//! #     fn get(_: &Instance<'_, Self>, _: &Request<'_>, _: &Attributes<'_>) -> Result<(), Refusal> {
//! #         Ok(())
//! #     }
//! #     fn set(_: &Instance<'_, Self>, _: &Request<'_>, _: &Attributes<'_>) -> Result<(), Refusal> {
//! #         Ok(())
//! #     }
//! # }
//! const ECHO: u32 = 16;
//! const LENGTH: u32 = 17;
//! const GET: u32 = 18;
//! const SET: u32 = 19;
//!
//! impl netlink::Input for Counter {
//!     const OPERATIONS: &'static [Operation<Self>] = &[
//!         Operation::raw(ECHO, |_, _| Ok(Handled::SendBack(ECHO as u16))),
//!         Operation::raw(LENGTH, |_, request| {
//!             let length = request.payload().len() as u32;
//!             request.reply(LENGTH as u16, &length.to_ne_bytes())?.send()?;
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
mod message;
mod multicast;
mod operation;
mod refusal;
mod reply;
mod request;
mod send_back;

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
    message::Header,
    multicast::Group,
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
};

use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};

use kernel::{
    bindings,
    prelude::*,
    sync::{
        atomic::{
            AtomicFlag,
            Relaxed, //
        },
        barrier::{
            self,
            smp_mb, //
        },
        rcu::rcu_barrier, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    ModuleMetadata, //
};

use self::{
    message::Messages,
    request::Buffer, //
};

use super::{
    bindings::{
        sk_free,
        sock_common, //
    },
    namespace::Net,
    pernet::{
        Attachment,
        Instance,
        Subsystem, //
    },
    task::{
        cond_resched,
        fatal_signal_pending, //
    },
};

/// The number of a netlink protocol, as in `socket(AF_NETLINK, SOCK_RAW, protocol)`.
///
/// # Invariants
///
/// The number is below `MAX_LINKS`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Protocol(u8);

impl Protocol {
    /// The protocol of that number; `None` if there can be none.
    pub const fn new(number: u8) -> Option<Self> {
        // CAST: Widening.
        if (number as u32) < bindings::MAX_LINKS {
            // INVARIANT: Just checked.
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A subsystem that serves a netlink protocol.
///
/// The callbacks run in the context of the client's `sendmsg()`: in process context, on any number
/// of CPUs at once. They may sleep, and the client waits meanwhile.
pub trait Input: Subsystem {
    /// The requests that are served, the most frequent ones first. Others fail with `EOPNOTSUPP`. Two
    /// operations for one type of message do not compile.
    ///
    /// The client gets an acknowledgement if it asked for one, and always if its request fails: with
    /// the error number, and with what the [`Refusal`] says. An `EINTR` goes unreported.
    const OPERATIONS: &'static [Operation<Self>];

    /// The protocol that [`KernelSocket`] opens for an instance.
    fn protocol(&self) -> Protocol;

    /// Looks at a message that is [no request](Header::is_request). `None` ignores the message, as
    /// the rules of netlink demand. Only a client that predates the rules should be served.
    ///
    /// The client never hears of an error: it asked for nothing.
    fn other(&self, _message: &Request<'_>) -> Option<Handled> {
        None
    }

    /// Told of every message that was served or answered, for statistics.
    fn served(&self, _header: &Header, _outcome: Outcome) {}
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was served, and asked for no acknowledgement.
    Quiet,
    /// It was acknowledged.
    Acknowledged,
    /// Its failure was reported.
    Failed(Error),
}

/// The kernel socket that serves one instance of `T` in its network namespace.
///
/// User sockets of the protocol hold a reference to `T::Module`, so as a rule it cannot be unloaded
/// while one is open. The drop does not rely on it, since the kernel records one module for a
/// protocol's number, and another may have come first. A sender holds a reference to the kernel
/// socket for as long as it runs the callback (`netlink_unicast_kernel()`), and the drop waits until
/// it has the last one.
///
/// # Invariants
///
/// - `socket` is a kernel socket of which we hold a reference, beside the one that
///   `netlink_kernel_release()` gives back; it is released once `released` is set.
pub struct KernelSocket<T: Input> {
    socket: NonNull<bindings::sock>,
    released: AtomicFlag,
    _subsystem: PhantomData<fn() -> T>,
}

// SAFETY: The pointer is not tied to a thread.
unsafe impl<T: Input> Send for KernelSocket<T> {}
// SAFETY: Netlink sends on a socket from any number of threads at once.
unsafe impl<T: Input> Sync for KernelSocket<T> {}

impl<T: Input> KernelSocket<T> {
    /// How long to sleep before looking again whether callbacks have ended.
    const DRAIN_INTERVAL: Delta = Delta::from_millis(1);

    /// Takes the count of references from one, ours, to zero; false if there are others.
    fn take_last_reference(&self) -> bool {
        // SAFETY: By the type invariants one of the references is ours.
        unsafe { bindings::refcount_dec_if_one(self.refcount()) }
    }

    /// Whether the socket was released.
    fn is_released(&self) -> bool {
        self.released.load(Relaxed)
    }

    /// The count of references to the socket.
    fn refcount(&self) -> *mut bindings::refcount_t {
        let socket: NonNull<sock_common> = self.socket.cast();
        // SAFETY: By the type invariants the socket is valid, and every `struct sock` starts with
        // a `struct sock_common`.
        unsafe { &raw mut (*socket.as_ptr()).skc_refcnt }
    }

    /// The C side's way to [`Input`]: walks the messages of a buffer as `netlink_rcv_skb()` does.
    ///
    /// # Safety
    ///
    /// To be called by netlink, as the `input` callback of the socket that `attach` created.
    unsafe extern "C" fn callback(skb: *mut bindings::sk_buff) {
        // SAFETY: The kernel passes a valid buffer, so no null pointer, for the duration of this call.
        let buffer = unsafe { Buffer::from_raw(NonNull::new_unchecked(skb)) };
        // SAFETY: A socket that was attached to the instance in this namespace called us. Its sender
        // holds a reference to it until we return, for which `drain` waits.
        let instance = unsafe { T::KEY.instance(buffer.net()) };

        for message in Messages::new(buffer.bytes()) {
            // A buffer can hold hundreds of thousands of messages, and somebody may wait for its end:
            // who kills the sender, or who takes the socket down.
            if message.offset != 0 {
                if fatal_signal_pending() || buffer.is_orphaned() {
                    return;
                }
                cond_resched();
            }
            let request = Request {
                buffer: &buffer,
                message: &message,
            };
            let header = &message.header;
            let outcome = if header.is_request() {
                operation::serve(&instance, &request)
            } else {
                let handled = instance.other(&request);
                if let Some(Handled::SendBack(msg_type)) = handled {
                    // A client that misses the answer has no other way to learn of an error.
                    let _ = request.send_back(msg_type);
                }
                match request.conclude(Ok::<_, Refusal>(())) {
                    Outcome::Quiet if handled.is_none() => continue,
                    outcome => outcome,
                }
            };
            instance.served(header, outcome);
        }
    }
}

// SAFETY: The callback gets at the instance by way of the socket. `detach` makes the socket
// impossible to find, and `drain` waits until no sender holds a reference.
unsafe impl<T: Input> Attachment<T> for KernelSocket<T> {
    unsafe fn attach(instance: &Instance<'_, T>) -> Result<Self> {
        let protocol = instance.protocol().number();
        let mut config = bindings::netlink_kernel_cfg {
            input: Some(Self::callback),
            // Who may ask may listen.
            flags: bindings::NL_CFG_F_NONROOT_RECV,
            ..Default::default()
        };
        // SAFETY: The namespace is valid, and so is the configuration, which the call copies. The
        // module is the one that the callback belongs to.
        let socket = unsafe {
            bindings::__netlink_kernel_create(
                instance.net().as_raw(),
                c_int::from(protocol),
                T::Module::THIS_MODULE.as_ptr(),
                &mut config,
            )
        };
        // A null pointer is all that any failure leaves. Another holder of the number is met in the
        // initial namespace, which comes first: anywhere else it is memory that is lacking.
        let socket = NonNull::new(socket).ok_or_else(|| {
            if !ptr::eq(instance.net(), Net::initial()) {
                return ENOMEM;
            }
            pr_err!("netlink protocol {protocol}: no kernel socket, the number may be taken\n");
            EADDRINUSE
        })?;
        // INVARIANT: The reference is taken right below.
        let this = Self {
            socket,
            released: AtomicFlag::new(false),
            _subsystem: PhantomData,
        };
        // SAFETY: The socket is valid and not yet released, so its count is not zero.
        unsafe { bindings::refcount_inc(this.refcount()) };
        Ok(this)
    }

    unsafe fn detach(&self) {
        self.released.store(true, Relaxed);
        // SAFETY: By the type invariants the socket was not released before, as this is called once.
        unsafe { bindings::netlink_kernel_release(self.socket.as_ptr()) };
    }

    unsafe fn drain(&self) {
        // Two others may hold a reference. The release gives back its own by `call_rcu()`, behind a
        // grace period that also ends every lookup of the socket (`deferred_put_nlk_sk()`): from
        // one reference on there can only be fewer. And senders hold one until the callback that
        // they run has returned.
        if !self.take_last_reference() {
            // Such calls may be put off for seconds, if nobody asks.
            rcu_barrier();
            while !self.take_last_reference() {
                fsleep(Self::DRAIN_INTERVAL);
            }
        }
        // What the last callback did comes before the drop of the instance. Giving up a reference
        // releases, and taking the last one does not acquire by itself.
        smp_mb(barrier::Full);
    }
}

impl<T: Input> Drop for KernelSocket<T> {
    fn drop(&mut self) {
        // SAFETY: The count is zero since `drain`, which comes before the drop, so nobody else uses
        // the socket.
        unsafe { sk_free(self.socket.as_ptr()) };
    }
}
