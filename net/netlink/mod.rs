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
//! ```ignore
//! impl netlink::Input for Echo {
//!     fn protocol(&self) -> Protocol {
//!         self.protocol
//!     }
//!
//!     fn request(&self, request: &Request<'_>, extack: &mut ExtAck) -> Result {
//!         match request.header().msg_type {
//!             ECHO => request.reply(ECHO, request.payload())?.send(),
//!             _ => {
//!                 extack.set_message(c"Unknown message type");
//!                 Err(EOPNOTSUPP)
//!             }
//!         }
//!     }
//! }
//! ```

mod extack;
mod message;
mod reply;
mod request;

pub use self::{
    extack::ExtAck,
    message::Header,
    reply::Reply,
    request::{
        Capability,
        Request, //
    },
};

use core::{
    marker::PhantomData,
    pin::Pin,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    prelude::*,
    sync::{
        barrier::{
            smp_mb,
            Full, //
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
        Subsystem, //
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
    /// The protocol that [`KernelSocket`] opens for an instance.
    fn protocol(&self) -> Protocol;

    /// Handles a message that [is a request](Header::is_request).
    ///
    /// The client gets an acknowledgement if it asked for one, and always if this fails: with the
    /// error number, and with what `extack` says. An `EINTR` goes unreported.
    fn request(&self, request: &Request<'_>, extack: &mut ExtAck) -> Result;

    /// Looks at a message that is no request. Such messages are to be ignored, save for what
    /// serves clients that predate the rules.
    fn other(&self, _message: &Request<'_>) {}
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
    released: bool,
    _subsystem: PhantomData<T>,
}

// SAFETY: The value is only used by way of exclusive references, on any one thread at a time.
unsafe impl<T: Input> Send for KernelSocket<T> {}

impl<T: Input> KernelSocket<T> {
    /// How long to sleep before looking again whether callbacks have ended.
    const DRAIN_INTERVAL: Delta = Delta::from_millis(1);

    /// Takes the count of references from one, ours, to zero; false if there are others.
    fn take_last_reference(&self) -> bool {
        // SAFETY: By the type invariants one of the references is ours.
        unsafe { bindings::refcount_dec_if_one(self.refcount()) }
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
        // SAFETY: The kernel passes a valid buffer, for the duration of this call.
        let buffer = unsafe { Buffer::from_raw(NonNull::new_unchecked(skb)) };
        // SAFETY: The socket of the attachment of the instance in this namespace called us.
        let instance = unsafe { T::KEY.instance(buffer.net()) };

        for message in Messages::new(buffer.bytes()) {
            let mut extack = ExtAck::default();
            let request = Request {
                buffer: &buffer,
                message: &message,
            };
            let result = if message.header.is_request() {
                instance.request(&request, &mut extack)
            } else {
                instance.other(&request);
                Ok(())
            };
            match result {
                Err(EINTR) => {}
                Ok(()) if !message.header.wants_ack() => {}
                _ => buffer.ack(&message, result, &extack),
            }
        }
    }
}

// SAFETY: The callback gets at the instance by way of the socket. `detach` makes the socket
// impossible to find, and dropping detaches, then waits until no sender holds a reference.
unsafe impl<T: Input> Attachment<T> for KernelSocket<T> {
    fn attach(net: &Net, instance: Pin<&T>) -> Result<Self> {
        let protocol = instance.protocol().number();
        let mut config = bindings::netlink_kernel_cfg {
            input: Some(Self::callback),
            ..Default::default()
        };
        // SAFETY: `net` is valid, and so is the configuration, which the call copies. The module
        // is the one that the callback belongs to.
        let socket = unsafe {
            bindings::__netlink_kernel_create(
                net.as_raw(),
                c_int::from(protocol),
                T::Module::THIS_MODULE.as_ptr(),
                &mut config,
            )
        };
        // A null pointer is all that any failure leaves. With memory at hand it means that the
        // number has a kernel socket already.
        let socket = NonNull::new(socket).ok_or_else(|| {
            pr_err!("netlink protocol {protocol}: no kernel socket, the number may be taken\n");
            EADDRINUSE
        })?;
        // INVARIANT: The reference is taken right below.
        let this = Self {
            socket,
            released: false,
            _subsystem: PhantomData,
        };
        // SAFETY: The socket is valid and not yet released, so its count is not zero.
        unsafe { bindings::refcount_inc(this.refcount()) };
        Ok(this)
    }

    fn detach(&mut self) {
        if !self.released {
            self.released = true;
            // SAFETY: By the type invariants the socket was not released before.
            unsafe { bindings::netlink_kernel_release(self.socket.as_ptr()) };
        }
    }
}

impl<T: Input> Drop for KernelSocket<T> {
    fn drop(&mut self) {
        self.detach();
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
        smp_mb(Full);
        // SAFETY: The count is zero, so nobody else uses the socket.
        unsafe { sk_free(self.socket.as_ptr()) };
    }
}
