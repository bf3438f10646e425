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
/// User sockets of the protocol hold a reference to `T::Module`, so normally the module
/// cannot be unloaded while such a socket is open. The teardown does not rely on these
/// references: for each protocol number the kernel records only the module that used the
/// number first, and that can be another module. A sender holds a reference to the kernel
/// socket while it runs the callback (`netlink_unicast_kernel()`). `drain` waits until only
/// our reference is left.
///
/// # Invariants
///
/// - `socket` is a kernel socket. We hold one reference to it. The socket has another reference,
///   which `netlink_kernel_release()` gives up. If `released` is set, the socket was released.
pub struct KernelSocket<T: Input> {
    pub(super) socket: NonNull<bindings::sock>,
    released: AtomicFlag,
    _subsystem: PhantomData<fn() -> T>,
}

// SAFETY: The pointer is not tied to a thread.
unsafe impl<T: Input> Send for KernelSocket<T> {}
// SAFETY: Netlink allows any number of threads to send on a socket at the same time.
unsafe impl<T: Input> Sync for KernelSocket<T> {}

impl<T: Input> KernelSocket<T> {
    /// The time between two checks whether callbacks have ended.
    const DRAIN_INTERVAL: Delta = Delta::from_millis(1);

    /// Gives up our reference if it is the last one. Returns false, and keeps the reference, if
    /// there are other references.
    fn take_last_reference(&self) -> bool {
        // SAFETY: By the type invariants we own one of the references.
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

    /// Opens the socket of an instance.
    ///
    /// # Safety
    ///
    /// The same requirements as for [`Attachment::attach`].
    unsafe fn open(instance: &Instance<'_, T>) -> Result<Self> {
        let protocol = instance.protocol().number();
        let mut config = bindings::netlink_kernel_cfg {
            input: Some(Self::callback),
            // Every process may send requests, so every process may listen, too.
            flags: bindings::NL_CFG_F_NONROOT_RECV,
            ..Default::default()
        };
        // SAFETY: The namespace and the configuration are valid. The call copies the
        // configuration. The callback is code of `T::Module`.
        let socket = unsafe {
            bindings::__netlink_kernel_create(
                instance.net().as_raw(),
                c_int::from(protocol),
                this_module::<T::Module>().as_ptr(),
                &mut config,
            )
        };
        // The kernel returns a null pointer for every failure. If another module uses the number,
        // the call already fails in the initial namespace, because that namespace gets its instance
        // first. So in any other namespace the cause of the failure is a lack of memory.
        let socket = NonNull::new(socket).ok_or_else(|| {
            if !ptr::eq(instance.net(), Net::initial()) {
                return ENOMEM;
            }
            pr_err!("netlink protocol {protocol}: no kernel socket, the number may be taken\n");
            EADDRINUSE
        })?;
        // INVARIANT: Our reference is taken right below.
        let this = Self {
            socket,
            released: AtomicFlag::new(false),
            _subsystem: PhantomData,
        };
        // SAFETY: The socket is valid and not yet released, so its count is not zero.
        unsafe { bindings::refcount_inc(this.refcount()) };
        Ok(this)
    }

    /// The function that netlink calls for a buffer. It walks the messages as `netlink_rcv_skb()`
    /// does, and calls the operations of [`Input`].
    ///
    /// # Safety
    ///
    /// Only netlink may call this, as the `input` callback of the socket that `attach` created.
    unsafe extern "C" fn callback(skb: *mut bindings::sk_buff) {
        const { operation::assert_valid(T::OPERATIONS) };
        // SAFETY: The kernel passes a buffer that is valid for this call, so the pointer is not
        // null.
        let buffer = unsafe { Buffer::from_raw(NonNull::new_unchecked(skb)) };
        // SAFETY: The socket was attached to the instance in this namespace. The sender holds a
        // reference to the socket until this function returns, and `drain` waits until no sender
        // holds a reference.
        let instance = unsafe { T::KEY.instance(buffer.net()) };

        for message in Messages::new(buffer.bytes()) {
            // A buffer can hold hundreds of thousands of messages. The loop ends early if a signal
            // kills the sender, or if the socket was released.
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
                    // If the message cannot be sent back, the error is not reported to the
                    // client, because this message is not a request (`Input::other`).
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

// SAFETY: The callback reaches the instance through the socket. After `detach` nobody can find the
// socket, and `drain` waits until no sender holds a reference.
unsafe impl<T: Input> Attachment<T> for KernelSocket<T> {
    type Common = ();

    unsafe fn attach(instance: &Instance<'_, T>, (): &()) -> impl PinInit<Self, Error> {
        // SAFETY: The caller keeps the requirements of `attach`, and `open` has the same
        // requirements.
        unsafe { Self::open(instance) }
    }

    unsafe fn detach(&self) {
        self.released.store(true, Relaxed);
        // SAFETY: `detach` is called once, so the socket was not released before.
        unsafe { bindings::netlink_kernel_release(self.socket.as_ptr()) };
    }

    unsafe fn drain(&self) {
        // Besides our reference there can be references of two kinds. One is the socket's own
        // reference: the release gives it up by `call_rcu()` (`deferred_put_nlk_sk()`), so after a
        // grace period. At the end of that period every lookup of the socket has ended, so no new
        // reference can be taken later. All others are references of senders: a sender holds a
        // reference until the callback that it runs has returned.
        if !self.take_last_reference() {
            // The kernel can delay the callbacks of `call_rcu()` for seconds. `rcu_barrier()` makes
            // the kernel run them soon.
            rcu_barrier();
            while !self.take_last_reference() {
                fsleep(Self::DRAIN_INTERVAL);
            }
        }
        // The drop of the instance must be ordered after everything that the last callback did.
        // Giving up a reference has release order, but taking the last reference has no acquire
        // order. So a full barrier is needed here.
        smp_mb(Full);
    }
}

impl<T: Input> Drop for KernelSocket<T> {
    fn drop(&mut self) {
        // SAFETY: `drain` came before the drop, and took the count to zero. So nobody else uses the
        // socket.
        unsafe { sk_free(self.socket.as_ptr()) };
    }
}

/// Sends the acknowledgement, if the client asked for one, or reports the error.
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
