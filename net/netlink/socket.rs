// SPDX-License-Identifier: GPL-2.0

//! The kernel socket of a protocol, and how it handles messages.

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
    sync::atomic::{
        AtomicFlag,
        Relaxed, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

use super::{
    incoming::Buffer,
    input::{
        Input,
        Outcome, //
    },
    message::Messages,
    operation::{
        self,
        Handled, //
    },
    refusal::Refusal,
    request::Request, //
};

use crate::net::{
    bindings::{
        sk_free,
        sock_common, //
    },
    compat::{
        rcu_barrier,
        smp_mb,
        this_module,
        Full,
        EADDRINUSE, //
    },
    namespace::Net,
    pernet::{
        Attachment,
        Instance, //
    },
    task::{
        cond_resched,
        fatal_signal_pending, //
    }, //
};

/// The kernel socket that serves one instance of `T` in its network namespace.
///
/// User sockets of the protocol hold a reference to `T::Module`, so as a rule it cannot be unloaded
/// while one is open. The drop does not rely on it, since the kernel records one module for a
/// protocol's number, and another may have come first. A sender holds a reference to the kernel
/// socket for as long as it runs the callback (`netlink_unicast_kernel()`), and the drop waits
/// until it has the last one.
///
/// # Invariants
///
/// - `socket` is a kernel socket of which we hold a reference, beside the one that
///   `netlink_kernel_release()` gives back; it is released once `released` is set.
pub struct KernelSocket<T: Input> {
    pub(super) socket: NonNull<bindings::sock>,
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
    pub(super) fn is_released(&self) -> bool {
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
        const { operation::assert_valid(T::OPERATIONS) };
        // SAFETY: The kernel passes a valid buffer, so no null pointer, for the duration of this
        // call.
        let buffer = unsafe { Buffer::from_raw(NonNull::new_unchecked(skb)) };
        // SAFETY: A socket that was attached to the instance in this namespace called us. Its
        // sender holds a reference to it until we return, for which `drain` waits.
        let instance = unsafe { T::KEY.instance(buffer.net()) };

        for message in Messages::new(buffer.bytes()) {
            // A buffer can hold hundreds of thousands of messages. A signal that kills the sender,
            // and the release of the socket, must not wait for all of them.
            if message.offset != 0 {
                if fatal_signal_pending() || buffer.is_orphaned() {
                    return;
                }
                cond_resched();
            }
            let request = Request {
                buffer: &buffer,
                message: &message,
                envelope: (),
            };
            let header = &message.header;
            let outcome = if header.is_request() {
                let served = operation::serve(T::OPERATIONS, &instance, &request);
                conclude(&request, served)
            } else {
                let handled = instance.other(&request);
                if let Some(Handled::SendBack(msg_type)) = handled {
                    // A client that misses the answer has no other way to learn of an error.
                    let _ = request.send_back(msg_type);
                }
                match conclude(&request, Ok(())) {
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
    type Common = ();

    unsafe fn attach(instance: &Instance<'_, T>, (): &()) -> Result<Self> {
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
                this_module::<T::Module>().as_ptr(),
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
        // SAFETY: By the type invariants the socket was not released before, as this is called
        // once.
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
        smp_mb(Full);
    }
}

impl<T: Input> Drop for KernelSocket<T> {
    fn drop(&mut self) {
        // SAFETY: The count is zero since `drain`, which comes before the drop, so nobody else uses
        // the socket.
        unsafe { sk_free(self.socket.as_ptr()) };
    }
}

/// Sends the acknowledgement or the error, if the client gets one.
#[inline]
fn conclude(request: &Request<'_>, result: Result<(), Refusal>) -> Outcome {
    match result {
        Ok(()) if request.header().wants_ack() => {
            request.buffer.ack(request.message);
            Outcome::Acknowledged
        }
        Ok(()) => Outcome::Quiet,
        Err(refusal) => refuse(request, &refusal),
    }
}

#[cold]
fn refuse(request: &Request<'_>, refusal: &Refusal) -> Outcome {
    if refusal.error() == EINTR {
        return Outcome::Quiet;
    }
    request.buffer.refuse(request.message, refusal);
    Outcome::Failed(refusal.error())
}
