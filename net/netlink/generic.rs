// SPDX-License-Identifier: GPL-2.0

//! Families of generic netlink.
//!
//! A [`Subsystem`] serves a family of generic netlink in every network namespace if it
//! implements [`Family`] and names [`Channel`] among its attachments. Like the kernel socket of
//! a raw protocol, a family has [`Operation`]s, with the same policies, dumps and refusals. Its
//! messages have a [`Command`] instead of a [`MessageType`]. A command has 8 bits, and a larger
//! number does not compile. A handler that serves both a family and a raw protocol is generic
//! over [`Number`].
//!
//! # One family for the module, one channel for each namespace
//!
//! A family is registered once for all namespaces, and a request belongs to the namespace of its
//! client's socket. So the family is registered only after every namespace has its instance, and
//! it is unregistered before the first instance ends
//! ([`pernet::Common`](crate::net::pernet::Common)). In between, a request always finds its
//! instance, because a namespace keeps its instance as long as it has a socket. Each namespace
//! has a [`Channel`], which sends events to the listeners in this namespace.
//!
//! # Lifetimes
//!
//! - The handler of a *request*, and the start of a dump, run under a lock (`cb_lock` in
//!   `genetlink.c`). To unregister a family, the kernel takes this lock for writing. So no
//!   handler runs any more after its family was unregistered. While a handler runs, no family
//!   can be registered or unregistered. So a handler must not wait until a module is loaded or
//!   unloaded.
//! - A *dump that continues* runs without `cb_lock`, when its client calls `recvmsg()`. The
//!   client can keep the dump open for any time. The dump reads the memory of the family. So
//!   this memory is part of the module, and the dump holds a reference to the module. The dump
//!   reaches the instance only by a [`Weak`](crate::net::pernet::Weak).
//! - To send an *event*, code needs the number of the group. The group has this number only
//!   while the family is registered. After that, another family may get the number. So events
//!   are sent under RCU, and before the family is unregistered, `net/` waits for a grace period.
//!
//! # Events before and after the registration of the family
//!
//! An instance does not know whether the family is registered. For example, a hook may send an
//! event while the module is still being loaded. Until a socket has joined a group of the
//! family, [`Channel::broadcast`] therefore sends nothing, and returns the error for "nobody
//! listens". When a socket joins a group, the kernel calls the family (`genl_family::bind`), and
//! only then can events reach the socket. From this call on, `broadcast` sends events, so the
//! socket misses none. While the module is unloaded, `broadcast` again sends nothing.
//!
//! # Refusals
//!
//! The kernel gets a copy of the [`Policy`]. It validates requests by this copy, and shows the
//! copy to clients (`CTRL_CMD_GETPOLICY`). A policy of the kernel cannot express that an
//! attribute must not be given twice, or must not be missing. So each request is then validated
//! again, by the [`Policy`] itself. This file, and not the kernel, checks the capability of
//! [`Operation::needs`], because a refusal by the kernel would have no text
//! (`GENL_UNS_ADMIN_PERM`). This has two effects. Tools do not see the capability among the
//! flags of a command. And a client without the capability may get an error about its
//! attributes, because the kernel checks the attributes first.
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h);
//! `net/netlink/genetlink.c`.
//!
//! # Examples
//!
//! ```
//! # use net::{
//! #     namespace::Net,
//! #     netlink::{
//! #         generic::{self, Channel, Command, Group},
//! #         Attributes, Capability, Operation, Policy, Refusal, Request,
//! #     },
//! #     pernet::{self, Instance},
//! # };
//! # static COUNTER: pernet::Key<Counter> = pernet::Key::new();
//! # impl pernet::Subsystem for Counter {
//! #     type Module = crate::LocalModule;
//! #     type Attachments = Channel<Self>;
//! #     const KEY: pernet::KeyRef<Self> = pernet::KeyRef::new(&COUNTER);
//! #
//! #     fn new(_net: &Net) -> impl PinInit<Self, Error> {
//! #         Ok(Counter)
//! #     }
//! # }
//! # struct Counter;
//! # static SET_POLICY: Policy = Policy::new(&[]);
//! const GET: Command = Command::new(1);
//! const SET: Command = Command::new(2);
//! const EVENTS: Group<Counter> = Group::new(0);
//!
//! impl generic::Family for Counter {
//!     const NAME: &'static CStr = c"counter";
//!     const VERSION: u8 = 1;
//!     const OPERATIONS: &'static [Operation<Self, Command>] = &[
//!         Operation::new(GET, Policy::NONE, |_, request, _| Ok(request.reply(GET, &[])?.send()?)),
//!         Operation::new(SET, &SET_POLICY, |counter: &Instance<'_, Counter>, _, _| {
//!             if let Some(channel) = counter.attachments() {
//!                 let _ = channel.broadcast(EVENTS, SET, &[]);
//!             }
//!             Ok(())
//!         })
//!         .needs(Capability::NetAdmin),
//!     ];
//!     const GROUPS: &'static [&'static CStr] = &[c"events"];
//! }
//! ```

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    error::to_result,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed,
        Release, //
    },
    types::Opaque, //
};

use super::{
    attribute::{
        Attributes,
        Policy, //
    },
    dump,
    exported::Exported,
    extack,
    incoming::Buffer,
    message::{
        Message,
        MessageType,
        Messages, //
    },
    number::{
        Envelope,
        Number,
        HEAD_LEN, //
    },
    operation::{
        Do,
        Handler,
        Operation, //
    },
    outgoing::Outgoing,
    refusal::Refusal,
    request::Request, //
};

use crate::net::{
    bindings::{
        self,
        NET_GENL_SOCK, //
    },
    compat::{
        synchronize_rcu,
        this_module,
        EADDRINUSE,
        ENOBUFS,
        EOPNOTSUPP, //
    },
    pernet::{
        Attachment,
        Common,
        Instance,
        Subsystem, //
    },
    rcu::ReadSide, //
};

pub use super::number::Command;

/// A subsystem that serves a family of generic netlink.
///
/// The handlers run in the context of the client's `sendmsg()`: in process context, on any
/// number of CPUs at the same time. They may sleep. While a handler runs, no family can be
/// registered or unregistered.
pub trait Family: Subsystem {
    /// The name by which clients find the family, of 1 to 15 bytes. A name that the kernel treats
    /// in a special way (`nlctrl`, `NET_DM`, `VFS_DQUOT`, `pmcraid`) does not compile.
    const NAME: &'static CStr;

    /// The version of the protocol. The headers of all messages contain it.
    const VERSION: u8;

    /// The requests that the family serves, at most 127. Other requests fail with `EOPNOTSUPP`.
    /// Two operations for one command do not compile. No attribute may have the number 0,
    /// because the kernel does not accept an attribute with this number.
    ///
    /// If a request fails, the client gets the error number and the rest of the [`Refusal`]. If
    /// a request succeeds and asked for an acknowledgement, the client gets an acknowledgement.
    /// If a handler returns `EINTR`, the client gets neither an error nor an acknowledgement.
    const OPERATIONS: &'static [Operation<Self, Command>];

    /// The names of the multicast groups, of 1 to 15 bytes each, all different. Every process may
    /// join the groups.
    const GROUPS: &'static [&'static CStr] = &[];
}

/// A multicast group of a family.
///
/// # Invariants
///
/// `index` is smaller than the length of [`Family::GROUPS`].
pub struct Group<T: Family> {
    index: usize,
    /// With this field, the compiler accepts a `Group<T>` only as a group of exactly `T`, and not
    /// of a supertype of `T`. A supertype is another family, which may have fewer groups.
    _family: PhantomData<fn(T) -> T>,
}

impl<T: Family> Group<T> {
    /// The group whose name is at `index` in [`Family::GROUPS`]. In a constant, an index out of
    /// range does not compile.
    pub const fn new(index: usize) -> Self {
        assert!(index < T::GROUPS.len(), "the family has no such group");
        // INVARIANT: Just checked.
        Self {
            index,
            _family: PhantomData,
        }
    }
}

impl<T: Family> Clone for Group<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Family> Copy for Group<T> {}

/// A family in one network namespace. It sends events to the listeners in this namespace.
///
/// # Invariants
///
/// For the lifetime of the value, `registration`, `net` and the generic netlink socket of `net` are
/// valid.
pub struct Channel<T: Family> {
    registration: NonNull<Registration<T>>,
    net: NonNull<bindings::net>,
}

// SAFETY: Any thread may use the pointers, and threads may share the values behind them.
unsafe impl<T: Family> Send for Channel<T> {}
// SAFETY: Any number of threads may send on a netlink socket at the same time.
unsafe impl<T: Family> Sync for Channel<T> {}

impl<T: Family> Channel<T> {
    fn registration(&self) -> &Registration<T> {
        // SAFETY: By the type invariants the registration is valid as long as `self` is.
        unsafe { self.registration.as_ref() }
    }

    /// The family, if it is registered and a socket has joined one of its groups.
    fn joined<'a>(&'a self, section: &'a ReadSide) -> Option<Joined<'a>> {
        self.registration().joined(section)
    }

    fn socket(&self) -> *mut bindings::sock {
        // SAFETY: By the type invariants the namespace is valid. `NET_GENL_SOCK` is the offset of a
        // pointer in `struct net`. The kernel writes this pointer before anyone can find the
        // namespace.
        unsafe {
            let socket = self.net.as_ptr().byte_add(NET_GENL_SOCK);
            socket.cast::<*mut bindings::sock>().read()
        }
    }

    /// Whether a socket, in any network namespace, listens to `group`. If no socket
    /// listens, the caller need not make a message.
    pub fn has_listeners(&self, group: Group<T>) -> bool {
        // In most families no socket has ever joined a group. Then this check is enough, and no
        // RCU section is needed.
        if self.registration().state.load(Relaxed) != JOINED {
            return false;
        }
        ReadSide::with(|section| {
            self.joined(section).is_some_and(|family| {
                // SAFETY: By the type invariants the socket is a valid kernel socket.
                unsafe { bindings::netlink_has_listeners(self.socket(), family.group(group)) != 0 }
            })
        })
    }

    /// Tells the listeners of `group` in this namespace that they missed an event.
    #[cold]
    fn tell_of_loss(&self, group: Group<T>) {
        ReadSide::with(|section| {
            if let Some(family) = self.joined(section) {
                let errno = ENOBUFS.to_errno();
                // SAFETY: By the type invariants the socket is a valid kernel socket. `ENOBUFS` is
                // a valid error.
                unsafe { bindings::netlink_set_err(self.socket(), 0, family.group(group), errno) };
            }
        });
    }

    /// Sends a message with the number `command` to the sockets of the network namespace that
    /// listen to `group`, and to the sockets of other namespaces that listen to all namespaces
    /// (`NETLINK_LISTEN_ALL_NSID`).
    ///
    /// The message has no flags. Its sequence number is 0, because it answers no request. A
    /// listener with `NETLINK_PKTINFO` also gets the number of the group.
    ///
    /// Context: process, may sleep to allocate memory. Never waits for a listener.
    ///
    /// # Errors
    ///
    /// - `ESRCH`: no socket listens. The error is the same before the family is registered, and
    ///   while the module is unloaded.
    /// - `EMSGSIZE`, `ENOBUFS`: `payload` is too long, or there is not enough memory for it.
    ///
    /// If the receive buffer of a listener is full, its socket reports `ENOBUFS`. If there is no
    /// memory for the message, the sockets of the network namespace report `ENOBUFS`, and the
    /// sockets of other namespaces report nothing.
    pub fn broadcast(&self, group: Group<T>, command: Command, payload: &[u8]) -> Result {
        let envelope =
            ReadSide::with(|section| Some(self.joined(section)?.envelope())).ok_or(ESRCH)?;
        let (msg_type, head) = (command.msg_type(envelope), command.head(envelope));
        let message = Outgoing::new(0, msg_type, 0, head, payload)
            .inspect_err(|_| self.tell_of_loss(group))?;
        ReadSide::with(|section| {
            // Until the section ends, no other family can get the number of this group.
            let number = self.joined(section).ok_or(ESRCH)?.group(group);
            let skb = message.into_raw().as_ptr();
            // SAFETY: The buffer is ours. Its control block holds netlink's parameters
            // (`NETLINK_CB()`). Listeners get the group from there (`nlmsg_multicast()`).
            unsafe {
                let parms: *mut bindings::netlink_skb_parms = (&raw mut (*skb).cb).cast();
                (*parms).dst_group = number;
            }
            // SAFETY: By the type invariants the socket is a valid kernel socket. The call takes
            // over the buffer, even if it fails. With `GFP_ATOMIC` it does not sleep.
            to_result(unsafe {
                bindings::netlink_broadcast(self.socket(), skb, 0, number, bindings::GFP_ATOMIC)
            })
        })
    }
}

/// A family of which a socket has joined a group.
///
/// # Invariants
///
/// The family is registered, and stays registered for `'a`. So the fields that the registration
/// wrote are constant.
struct Joined<'a>(&'a Opaque<bindings::genl_family>);

impl Joined<'_> {
    /// The number of a group.
    fn group<T: Family>(&self, group: Group<T>) -> u32 {
        // SAFETY: By the type invariants the field is constant. CAST: There are at most 255 groups.
        unsafe { (*self.0.get()).mcgrp_offset + group.index as u32 }
    }

    /// The values that the headers of the family's messages have.
    fn envelope(&self) -> Envelope {
        // SAFETY: By the type invariants the family is registered.
        unsafe { envelope(self.0.get()) }
    }
}

/// The registration of a family, which exists once for the module.
///
/// # Invariants
///
/// - `family` points to `_operations` and `_groups`, and these point to `_policies`.
/// - While `state` is `JOINED`, the family is registered. After `state` has changed, the family
///   stays registered for one more grace period.
pub struct Registration<T: Family> {
    family: Opaque<bindings::genl_family>,
    state: Atomic<u32>,
    _operations: KVec<bindings::genl_split_ops>,
    _groups: KVec<bindings::genl_multicast_group>,
    _policies: Exported,
    /// With this field, the compiler accepts a `Registration<T>` only as that of exactly `T`, and
    /// not of a supertype of `T`. A supertype is another family.
    _subsystem: PhantomData<fn(T) -> T>,
}

// SAFETY: Any thread may use the pointers.
unsafe impl<T: Family> Send for Registration<T> {}
// SAFETY: Generic netlink writes the fields of a family under its locks. This file reads only
// fields that generic netlink writes once, and reads them only after this write.
unsafe impl<T: Family> Sync for Registration<T> {}

/// No socket has joined a group yet. The family may be registered or not.
const UNHEARD: u32 = 0;
/// A socket has joined a group.
const JOINED: u32 = 1;
/// The family is about to be unregistered.
const WITHDRAWN: u32 = 2;

impl<T: Family> Registration<T> {
    /// For each command, the place of its operation in [`Family::OPERATIONS`], counted from 1. 0
    /// means that the command has no operation.
    const PLACES: [u8; 1 << u8::BITS] = places(T::OPERATIONS);

    const CHECKED: () = {
        assert!(is_name(T::NAME), "a family's name has 1 to 15 bytes");
        assert!(
            !is_special(T::NAME),
            "the kernel treats families of that name in a special way"
        );
        assert!(T::GROUPS.len() <= u8::MAX as usize);
        let mut i = 0;
        while i < T::GROUPS.len() {
            assert!(is_name(T::GROUPS[i]), "a group's name has 1 to 15 bytes");
            let mut j = i + 1;
            while j < T::GROUPS.len() {
                assert!(
                    !same(T::GROUPS[i].to_bytes(), T::GROUPS[j].to_bytes()),
                    "two groups of one name"
                );
                j += 1;
            }
            i += 1;
        }
    };

    /// Records that a client joins a group of the family. The family must be registered.
    fn join(&self) {
        // INVARIANT: The family is registered. `withdraw` first changes the state, and then waits
        // for a grace period. A client that joins in that time does not change the state.
        let _ = self.state.cmpxchg(UNHEARD, JOINED, Full);
    }

    fn joined<'a>(&'a self, _section: &'a ReadSide) -> Option<Joined<'a>> {
        // INVARIANT: By the type invariants the family stays registered for a grace period, and
        // no grace period ends before the section does. The registration wrote the fields of the
        // family before `bound` changed the state.
        (self.state.load(Acquire) == JOINED).then_some(Joined(&self.family))
    }

    /// The operation for a command.
    fn operation(command: u8) -> Option<&'static Operation<T, Command>> {
        let place = const { &Self::PLACES }[usize::from(command)];
        T::OPERATIONS.get(usize::from(place).wrapping_sub(1))
    }

    /// Makes the entries that generic netlink needs for one operation, and appends them to
    /// `operations`. Appends the policy of the operation to `policies`.
    fn append(
        operation: &Operation<T, Command>,
        policies: &mut Exported,
        operations: &mut KVec<bindings::genl_split_ops>,
    ) -> Result {
        let served = served(operation);
        let (policy, maxattr) = policies.export(served.policy)?;
        // CAST: The field for flags has 8 bits.
        let mut one = bindings::genl_split_ops {
            policy,
            maxattr,
            cmd: operation.number.number(),
            flags: bindings::GENL_CMD_CAP_DO as u8,
            ..Default::default()
        };
        one.__bindgen_anon_1.__bindgen_anon_1.doit = Some(Self::doit);
        operations.push(one, GFP_KERNEL)?;
        if let Some(all) = served.all {
            let dump = bindings::genl_split_ops {
                flags: bindings::GENL_CMD_CAP_DUMP as u8,
                __bindgen_anon_1: bindings::genl_split_ops__bindgen_ty_1 {
                    __bindgen_anon_2: bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_2 {
                        start: Some(Self::start),
                        dumpit: Some(all.fill),
                        done: Some(dump::done::<T>),
                    },
                },
                ..one
            };
            operations.push(dump, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// The function that generic netlink calls for a request.
    ///
    /// # Safety
    ///
    /// Only generic netlink may call this, as the `doit` callback of an operation of the family.
    unsafe extern "C" fn doit(
        skb: *mut bindings::sk_buff,
        info: *mut bindings::genl_info,
    ) -> c_int {
        // SAFETY: The kernel passes a valid structure.
        let (family, extack) = unsafe { ((*info).family, (*info).extack) };
        // SAFETY: The kernel calls this for a request, and `skb` starts with the request.
        unsafe {
            Self::receive(
                skb,
                family,
                extack,
                |instance, served, request, attributes| (served.one)(instance, request, attributes),
            )
        }
    }

    /// The function that generic netlink calls to start a dump.
    ///
    /// # Safety
    ///
    /// Only generic netlink may call this, as the `start` callback of an operation of the family.
    unsafe extern "C" fn start(cb: *mut bindings::netlink_callback) -> c_int {
        // SAFETY: The kernel passes a valid structure, which nobody else uses during the call.
        let cb = unsafe { &mut *cb };
        let info: *const bindings::genl_dumpit_info = cb.data.cast_const().cast();
        // SAFETY: `genl_start()` stored a pointer to a `genl_dumpit_info` in `data`.
        let family = unsafe { (*info).info.family };
        let (skb, extack) = (cb.skb, cb.extack);
        // SAFETY: The kernel calls this for a request that starts a dump, while it handles the
        // request. `skb` starts with that request.
        unsafe {
            Self::receive(
                skb,
                family,
                extack,
                |instance, served, request, attributes| {
                    let all = served.all.ok_or(EOPNOTSUPP)?;
                    // SAFETY: The `netlink_callback` is new. `append` put `done` into the same
                    // operation, so the kernel calls `done` at the end of the dump.
                    (all.begin)(instance, attributes, request.envelope, cb)
                },
            )
        }
    }

    /// Serves a request, if its client may send it and its attributes are valid.
    ///
    /// # Safety
    ///
    /// Only a callback of generic netlink for a request of the family may call this. `skb` must
    /// start with the request, and during the callback nobody else may use this `sk_buff`.
    /// `family` must be the family of `T`. It must be registered, and unregistering it must wait
    /// for this call. `extack` must be that of the request.
    #[inline(always)]
    unsafe fn receive(
        skb: *mut bindings::sk_buff,
        family: *const bindings::genl_family,
        extack: *mut bindings::netlink_ext_ack,
        serve: impl FnOnce(
            &Instance<'_, T>,
            &Served<'_, T>,
            &Request<'_, Command>,
            &Attributes<'_>,
        ) -> Result<(), Refusal>,
    ) -> c_int {
        // SAFETY: The caller's promise. The buffer's socket is the generic netlink socket of the
        // namespace.
        let buffer = unsafe { Buffer::from_raw(NonNull::new_unchecked(skb)) };
        // SAFETY: Every namespace that has a socket has its instance until unregistering the family
        // has returned (see `publish`). Unregistering waits for this call.
        let instance = unsafe { T::KEY.instance(buffer.net()) };
        let Some(message) = Messages::new(buffer.bytes()).next() else {
            return EINVAL.to_errno();
        };
        let Some((&[command, ..], payload)) = message.payload.split_first_chunk::<HEAD_LEN>()
        else {
            return EINVAL.to_errno();
        };
        let request = Request {
            buffer: &buffer,
            message: &Message { payload, ..message },
            // SAFETY: The caller's promise.
            envelope: unsafe { envelope(family) },
        };
        let parse = || {
            let operation = Self::operation(command).ok_or(EOPNOTSUPP)?;
            request.permit(operation.needs)?;
            let served = served(operation);
            Attributes::with(payload, served.policy, |attributes| {
                serve(&instance, &served, &request, attributes)
            })
        };
        match parse() {
            Ok(()) => 0,
            Err(refusal) => {
                // SAFETY: The caller's promise: `extack` is valid, and nobody else uses it during
                // the call.
                extack::tell(unsafe { &mut *extack }, &refusal, payload);
                refusal.error().to_errno()
            }
        }
    }

    /// Generic netlink calls this when a socket is about to join a group of the family.
    ///
    /// # Safety
    ///
    /// Only generic netlink may call this, as the `bind` callback of the family.
    unsafe extern "C" fn bound(_group: c_int) -> c_int {
        // SAFETY: The family is registered only while its subsystem is registered, and
        // unregistering the family waits for this call.
        let common = unsafe { T::KEY.common() };
        if let Some(registration) = common.part::<Self>() {
            // The kernel calls `bind` only for registered families.
            registration.join();
        }
        0
    }
}

// SAFETY: Handlers and starts of dumps reach an instance from `publish` on. Unregistering the
// family waits for both, because they hold a lock (`cb_lock`). Dumps that continue hold a
// reference to the module, and reach the instance by a `Weak`. If the registration fails, no
// client has reached the family.
unsafe impl<T: Family> Common for Registration<T> {
    const COUNT: usize = 1;

    fn new() -> Result<Self> {
        const { Self::CHECKED };
        let mut policies = Exported::new();
        let mut operations = KVec::new();
        // The kernel wants the operations in the order of their commands. For one command, the
        // entry with `doit` must come before the entry with `dumpit`.
        for operation in (0..=u8::MAX).filter_map(Self::operation) {
            Self::append(operation, &mut policies, &mut operations)?;
        }
        let mut groups = KVec::new();
        for name in T::GROUPS {
            let group = bindings::genl_multicast_group {
                name: to_array(name),
                flags: 0,
            };
            groups.push(group, GFP_KERNEL)?;
        }
        // CAST: `PLACES` and `CHECKED` check that the lengths fit into 8 bits.
        let mut family = bindings::genl_family {
            name: to_array(T::NAME),
            version: T::VERSION.into(),
            n_split_ops: operations.len() as u8,
            split_ops: operations.as_ptr(),
            n_mcgrps: groups.len() as u8,
            mcgrps: groups.as_ptr(),
            bind: Some(Self::bound),
            module: this_module::<T::Module>().as_ptr(),
            ..Default::default()
        };
        family.set_netnsok(1);
        // Handlers may run in parallel, because threads may share an instance anyway. Without
        // this flag, a handler would run under a lock that all families without the flag share
        // (`genl_mutex`).
        family.set_parallel_ops(1);
        // INVARIANT: The vectors move, but their memory does not move, so the pointers stay
        // valid.
        Ok(Self {
            family: Opaque::new(family),
            state: Atomic::new(UNHEARD),
            _operations: operations,
            _groups: groups,
            _policies: policies,
            _subsystem: PhantomData,
        })
    }

    unsafe fn publish(&self) -> Result {
        // SAFETY: The family is valid, and does not move as long as anybody can use it. Its
        // callbacks are made for `T`. By the caller's promise all namespaces have their
        // instances of `T`.
        to_result(unsafe { bindings::genl_register_family(self.family.get()) }).map_err(|error| {
            if error != EEXIST {
                return error;
            }
            pr_err!("another module has a generic netlink family of the same name\n");
            // This does not return `EEXIST`, because with `EEXIST` the module loader reports
            // that the module is already loaded.
            EADDRINUSE
        })
    }

    unsafe fn withdraw(&self) {
        self.state.store(WITHDRAWN, Release);
        // Threads may be sending events to the family's groups. After the family is
        // unregistered, another family may get the numbers of these groups. So this first waits
        // for these threads.
        synchronize_rcu();
        // SAFETY: `publish` registered the family, and this is called once.
        unsafe { bindings::genl_unregister_family(self.family.get()) };
    }
}

// SAFETY: A channel has no callbacks. Only `Registration` reaches instances.
unsafe impl<T: Family> Attachment<T> for Channel<T> {
    type Common = Registration<T>;

    unsafe fn attach(
        instance: &Instance<'_, T>,
        common: &Registration<T>,
    ) -> impl PinInit<Self, Error> {
        // INVARIANT: The caller keeps `common` until the attachment is dropped. The instance
        // ends before its namespace, and before the generic netlink socket of the namespace:
        // generic netlink registered its `pernet_operations` earlier, so they end later
        // (`ops_undo_list()`).
        Ok(Self {
            registration: NonNull::from(common),
            net: NonNull::from(instance.net()).cast(),
        })
    }

    unsafe fn detach(&self) {}

    unsafe fn drain(&self) {}
}

/// The handler of an operation.
struct Served<'a, T: Subsystem> {
    policy: &'static Policy,
    one: Do<T, Command>,
    all: Option<&'a dump::Functions<T, Command>>,
}

/// The handler of `operation`. For a command there is no handler of the kind `Raw`.
fn served<T: Subsystem>(operation: &Operation<T, Command>) -> Served<'_, T> {
    match &operation.handler {
        Handler::Raw(_, never) => match *never {},
        Handler::Attributes { policy, one, all } => Served {
            policy,
            one: *one,
            all: all.as_ref(),
        },
    }
}

/// The values that the headers of a family's messages have.
///
/// # Safety
///
/// `family` must be valid. It must be registered, or must have been registered before.
unsafe fn envelope(family: *const bindings::genl_family) -> Envelope {
    // SAFETY: The caller's promise. CAST: Types of messages have 16 bits, and our versions have 8.
    unsafe {
        Envelope {
            family: MessageType::new(u32::from((*family).id as u16)),
            version: (*family).version as u8,
        }
    }
}

/// For each command, the place of its operation in `operations`, counted from 1. 0 means that
/// the command has no operation. Two operations for one command do not compile.
const fn places<T: Subsystem>(operations: &[Operation<T, Command>]) -> [u8; 1 << u8::BITS] {
    // The kernel counts the entries of all operations in 8 bits. An operation has up to two
    // entries: one with `doit` and one with `dumpit`.
    assert!(operations.len() <= (u8::MAX / 2) as usize);
    let mut places = [0; 1 << u8::BITS];
    let mut i = 0;
    while i < operations.len() {
        let place = &mut places[operations[i].number.number() as usize];
        assert!(*place == 0, "two operations serve one command");
        i += 1;
        *place = i as u8; // CAST: Just checked.
    }
    places
}

/// Whether a name has 1 to 15 bytes.
const fn is_name(name: &CStr) -> bool {
    let len = name.to_bytes().len();
    len >= 1 && len < bindings::GENL_NAMSIZ as usize
}

/// Whether the kernel treats a family with this name in a special way. For example, families
/// with some of these names must have exactly one group (`BUG_ON()` in
/// `genl_validate_assign_mc_groups()`).
const fn is_special(name: &CStr) -> bool {
    let name = name.to_bytes();
    same(name, b"nlctrl")
        || same(name, b"NET_DM")
        || same(name, b"VFS_DQUOT")
        || same(name, b"pmcraid")
}

/// Whether two names are the same. A constant function cannot use `==` for this.
const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// A name as an array, for the fields `name` of C structures.
fn to_array(name: &CStr) -> [c_char; bindings::GENL_NAMSIZ as usize] {
    let mut array = [0; bindings::GENL_NAMSIZ as usize];
    for (to, from) in array.iter_mut().zip(name.to_bytes()) {
        *to = *from;
    }
    array
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_generic)]
mod tests {
    use super::*;

    use core::hint::spin_loop;

    use kernel::{
        sync::Arc,
        time::{
            Delta,
            Instant,
            Monotonic, //
        },
        workqueue, //
    };

    use crate::net::{
        namespace::Net,
        pernet::{
            Key,
            KeyRef, //
        },
        task::msleep_interruptible, //
    };

    /// A family that is never registered.
    struct Nobody;
    static NOBODY: Key<Nobody> = Key::new();

    impl Subsystem for Nobody {
        type Module = crate::LocalModule;
        type Attachments = Channel<Self>;
        const KEY: KeyRef<Self> = KeyRef::new(&NOBODY);

        fn new(_net: &Net) -> impl PinInit<Self, Error> {
            Ok(Nobody)
        }
    }

    impl Family for Nobody {
        const NAME: &'static CStr = c"nobody";
        const VERSION: u8 = 1;
        const OPERATIONS: &'static [Operation<Self, Command>] = &[];
        const GROUPS: &'static [&'static CStr] = &[c"events"];
    }

    const STARTING: u32 = 0;
    const SENDING: u32 = 1;
    const SENT: u32 = 2;
    const NOT_TOLD: u32 = 3;

    struct Sender {
        registration: Registration<Nobody>,
        progress: Atomic<u32>,
    }

    impl Sender {
        /// Does what the sender of an event does, but sends nothing. It stays in its RCU section
        /// until it sees that the family is withdrawn, and then for another 100 ms.
        fn send(&self) {
            let spin = |milliseconds, until: &dyn Fn() -> bool| {
                let start = Instant::<Monotonic>::now();
                while !until() && start.elapsed() < Delta::from_millis(milliseconds) {
                    spin_loop();
                }
            };
            ReadSide::with(|section| {
                let withdrawn = || self.registration.joined(section).is_none();
                self.progress.store(SENDING, Release);
                spin(1000, &withdrawn);
                let told = withdrawn();
                spin(100, &|| false);
                self.progress
                    .store(if told { SENT } else { NOT_TOLD }, Release);
            });
        }
    }

    #[test]
    fn withdrawing_tells_senders_and_waits_for_them() -> Result {
        let sender = Sender {
            registration: Registration::new()?,
            progress: Atomic::new(STARTING),
        };
        sender.registration.join();
        let sender = Arc::new(sender, GFP_KERNEL)?;
        let sending = sender.clone();
        workqueue::system_unbound().try_spawn(GFP_KERNEL, move || sending.send())?;
        while sender.progress.load(Acquire) == STARTING {
            msleep_interruptible(1);
        }
        // SAFETY: The family was never registered, so there is nothing to unregister. Nobody else
        // calls this.
        unsafe { sender.registration.withdraw() };
        assert_eq!(sender.progress.load(Acquire), SENT);
        // While a real `withdraw` waits for the grace period, the family is still registered, and
        // a client may join. That must not undo the withdrawal.
        sender.registration.join();
        let gone = ReadSide::with(|section| sender.registration.joined(section).is_none());
        assert!(gone);
        Ok(())
    }
}
