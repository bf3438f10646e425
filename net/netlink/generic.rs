// SPDX-License-Identifier: GPL-2.0

//! Families of generic netlink.
//!
//! A [`Subsystem`] serves a family of generic netlink in every network namespace if it implements
//! [`Family`] and names [`Channel`] among its attachments. Like the kernel socket of a raw
//! protocol, a family has [`Operation`]s, with the same policies, dumps and refusals. Its messages
//! have a [`Command`] instead of a [`MessageType`]. A command has 8 bits, and a larger number does
//! not compile. A handler for a family and for a raw protocol is generic over [`Number`].
//!
//! # The parts of the module and of each namespace
//!
//! The kernel has one family for all namespaces. A request has the namespace of its client's
//! socket. So the family is registered when every namespace has its instance, and unregistered
//! before the first instance ends ([`pernet::Common`](crate::net::pernet::Common)). In between, a
//! request always finds the instance: a namespace keeps its instance as long as it has a socket.
//! Each namespace has a [`Channel`], which sends events to the listeners there.
//!
//! # Lifetimes
//!
//! - A *request*, and the start of a dump, runs under a lock (`cb_lock` in `genetlink.c`).
//!   Unregistering takes this lock for writing, so no request runs when it has returned. While a
//!   request runs, no family can be registered or unregistered. So a handler must not wait until a
//!   module is loaded or unloaded.
//! - A *dump that continues* runs in its client's `recvmsg()`, without that lock, and the client
//!   can keep it for any time. The dump reads the family, and holds a reference to the module. So
//!   the family's memory is part of the module, and is freed after the last reference. The dump
//!   reaches the instance only by a [`Weak`](crate::net::pernet::Weak).
//! - An *event* needs the number of its group. The group has that number while the family is
//!   registered; later another family may get it. So events are sent under RCU, and before the
//!   family is unregistered, a grace period passes.
//!
//! # Events before and after the registration
//!
//! When a socket joins a group, the kernel calls the family (`genl_family::bind`) before the first
//! event can reach the socket. Before the first such call, [`Channel::broadcast`] finds that nobody
//! listens. An instance may send events before it can know whether the family is registered: a
//! hook may do so while the module is being loaded. By the call, an instance learns of a listener
//! in time, so no listener misses such an event. While the module is unloaded, `broadcast` finds
//! that nobody listens any more.
//!
//! # Refusals
//!
//! The kernel gets a copy of the [`Policy`], validates requests by it, and shows it to clients
//! (`CTRL_CMD_GETPOLICY`). The kernel's policies cannot express that an attribute must not be given
//! twice, or must not be missing. So the policy itself then validates each request again. The
//! operation also checks [`Operation::needs`], because the kernel would refuse such a client
//! without a text (`GENL_UNS_ADMIN_PERM`). Therefore tools do not see the capability among the
//! flags of a command, and a client without the capability may get an error about its attributes
//! first.
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
/// The callbacks run in the context of the client's `sendmsg()`: in process context, on any number
/// of CPUs at once. They may sleep. While they run, no family can be registered or unregistered.
pub trait Family: Subsystem {
    /// The name by which clients find the family, of 1 to 15 bytes. A name that the kernel treats
    /// in a special way (`nlctrl`, `NET_DM`, `VFS_DQUOT`, `pmcraid`) does not compile.
    const NAME: &'static CStr;

    /// The version of the protocol. The headers of all messages contain it.
    const VERSION: u8;

    /// The requests that are served, at most 127. Others fail with `EOPNOTSUPP`. Two operations for
    /// one command do not compile. No attribute may have the number 0, because for the kernel that
    /// is no attribute.
    ///
    /// The client gets an acknowledgement if it asked for one, and always if its request fails.
    /// Then the acknowledgement has the error number and the rest of the [`Refusal`]. `EINTR` is
    /// not reported.
    const OPERATIONS: &'static [Operation<Self, Command>];

    /// The names of the multicast groups, of 1 to 15 bytes each, all different. Every process may
    /// join.
    const GROUPS: &'static [&'static CStr] = &[];
}

/// A multicast group of a family.
///
/// # Invariants
///
/// The index is one of [`Family::GROUPS`].
pub struct Group<T: Family> {
    index: usize,
    /// Makes the type invariant in `T`: a supertype of `T` is another family, which may have fewer
    /// groups.
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

/// A family in one network namespace. It sends events to the listeners there.
///
/// # Invariants
///
/// For the lifetime of the value, `registration`, `net` and the generic netlink socket of `net` are
/// valid.
pub struct Channel<T: Family> {
    registration: NonNull<Registration<T>>,
    net: NonNull<bindings::net>,
}

// SAFETY: The pointers are not tied to a thread, and the values behind them may be shared.
unsafe impl<T: Family> Send for Channel<T> {}
// SAFETY: Netlink sends on a socket from any number of threads at once.
unsafe impl<T: Family> Sync for Channel<T> {}

impl<T: Family> Channel<T> {
    fn registration(&self) -> &Registration<T> {
        // SAFETY: By the type invariants the registration is valid as long as `self`.
        unsafe { self.registration.as_ref() }
    }

    /// The family, if it is registered and a socket has joined one of its groups.
    fn joined<'a>(&'a self, section: &'a ReadSide) -> Option<Joined<'a>> {
        self.registration().joined(section)
    }

    fn socket(&self) -> *mut bindings::sock {
        // SAFETY: By the type invariants the namespace is valid, and there is a pointer at the
        // offset. It is written before anyone can find the namespace.
        unsafe {
            let socket = self.net.as_ptr().byte_add(NET_GENL_SOCK);
            socket.cast::<*mut bindings::sock>().read()
        }
    }

    /// Whether a socket, in any network namespace, listens to `group`. If no socket does, the
    /// caller need not make a message.
    pub fn has_listeners(&self, group: Group<T>) -> bool {
        // In most families no socket has ever joined a group. Then this needs no RCU section.
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

    /// Tells the listeners that they missed an event.
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
    /// listen to `group`, and to the sockets of other namespaces that may listen to all namespaces
    /// (`NETLINK_LISTEN_ALL_NSID`).
    ///
    /// The message has no flags. Its sequence number is 0, because it answers no request. A
    /// listener with `NETLINK_PKTINFO` gets the group.
    ///
    /// Context: process, may sleep (to allocate, never for a listener).
    ///
    /// # Errors
    ///
    /// - `ESRCH`: no socket listens. This is also the error before the family is registered, and
    ///   while the module is unloaded.
    /// - `EMSGSIZE`, `ENOBUFS`: no buffer can hold `payload`.
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
            // As long as the section lasts, no other family has the number.
            let number = self.joined(section).ok_or(ESRCH)?.group(group);
            let skb = message.into_raw().as_ptr();
            // SAFETY: The buffer is ours. Its control block holds netlink's parameters
            // (`NETLINK_CB()`). Listeners get the group from there (`nlmsg_multicast()`).
            unsafe {
                let parms: *mut bindings::netlink_skb_parms = (&raw mut (*skb).cb).cast();
                (*parms).dst_group = number;
            }
            // SAFETY: By the type invariants the socket is a valid kernel socket. The call takes
            // the buffer, also if it fails, and does not sleep.
            to_result(unsafe {
                bindings::netlink_broadcast(self.socket(), skb, 0, number, bindings::GFP_ATOMIC)
            })
        })
    }
}

/// A family whose groups a socket has joined.
///
/// # Invariants
///
/// The family is registered, and stays so for `'a`. So the fields that the registration wrote are
/// constant.
struct Joined<'a>(&'a Opaque<bindings::genl_family>);

impl Joined<'_> {
    /// The number of a group.
    fn group<T: Family>(&self, group: Group<T>) -> u32 {
        // SAFETY: By the type invariants the field is constant. CAST: There are at most 255 groups.
        unsafe { (*self.0.get()).mcgrp_offset + group.index as u32 }
    }

    /// The values that the headers of the family's messages have.
    fn envelope(&self) -> Envelope {
        // SAFETY: By the type invariants.
        unsafe { envelope(self.0.get()) }
    }
}

/// The part of a family that exists once for the module.
///
/// # Invariants
///
/// - `family` points to `_operations` and `_groups`, and these point to `_policies`.
/// - While `state` is `JOINED`, the family is registered, and it stays so for one more grace
///   period.
pub struct Registration<T: Family> {
    family: Opaque<bindings::genl_family>,
    state: Atomic<u32>,
    _operations: KVec<bindings::genl_split_ops>,
    _groups: KVec<bindings::genl_multicast_group>,
    _policies: Exported,
    /// Makes the type invariant in `T`, as in [`Group`].
    _subsystem: PhantomData<fn(T) -> T>,
}

// SAFETY: The pointers are not tied to a thread.
unsafe impl<T: Family> Send for Registration<T> {}
// SAFETY: Generic netlink writes the fields of a family under its locks. The fields that are read
// here are read only after they were written.
unsafe impl<T: Family> Sync for Registration<T> {}

/// No socket has joined a group yet. The family may be registered or not.
const UNHEARD: u32 = 0;
/// A socket has joined a group.
const JOINED: u32 = 1;
/// The family is about to be unregistered.
const WITHDRAWN: u32 = 2;

impl<T: Family> Registration<T> {
    /// For each command, the place of its operation. The first operation has place 1.
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

    /// Notes that a client joins a group of the family, which is registered.
    fn join(&self) {
        // INVARIANT: The family is registered. `withdraw` first changes the state, and then waits
        // for a grace period. A client that joins in that time does not change the state.
        let _ = self.state.cmpxchg(UNHEARD, JOINED, Full);
    }

    fn joined<'a>(&'a self, _section: &'a ReadSide) -> Option<Joined<'a>> {
        // INVARIANT: By the type invariants the family stays registered for a grace period, and
        // none ends before the section does. The registration wrote its fields before `bound`
        // changed the state.
        (self.state.load(Acquire) == JOINED).then_some(Joined(&self.family))
    }

    /// The operation for a command.
    fn operation(command: u8) -> Option<&'static Operation<T, Command>> {
        let place = const { &Self::PLACES }[usize::from(command)];
        T::OPERATIONS.get(usize::from(place).wrapping_sub(1))
    }

    /// Appends the description of an operation for the C side.
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

    /// The function that the C side calls for a request.
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

    /// The function that the C side calls to start a dump.
    ///
    /// # Safety
    ///
    /// Only generic netlink may call this, as the `start` callback of an operation of the family.
    unsafe extern "C" fn start(cb: *mut bindings::netlink_callback) -> c_int {
        // SAFETY: The kernel passes a valid structure, which nobody else uses during the call.
        let cb = unsafe { &mut *cb };
        let info: *const bindings::genl_dumpit_info = cb.data.cast_const().cast();
        // SAFETY: `genl_start()` stored a pointer to this structure there.
        let family = unsafe { (*info).info.family };
        let (skb, extack) = (cb.skb, cb.extack);
        // SAFETY: As for `doit`. The kernel calls this from within the request that starts the
        // dump, and `skb` starts with that request.
        unsafe {
            Self::receive(
                skb,
                family,
                extack,
                |instance, served, request, attributes| {
                    let all = served.all.ok_or(EOPNOTSUPP)?;
                    // SAFETY: The `netlink_callback` is being started. `append` has registered
                    // `done` for its end.
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
    /// start with the request and belong to the callback. `family` must be the family. It must be
    /// registered; unregistering may wait for this call. `extack` must be the one of the request.
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

    /// The C side calls this when a socket is about to join a group of the family.
    ///
    /// # Safety
    ///
    /// Only generic netlink may call this, as the `bind` callback of the family.
    unsafe extern "C" fn bound(_group: c_int) -> c_int {
        // SAFETY: The family is registered only while its subsystem is registered, and
        // unregistering the family waits for this call.
        let common = unsafe { T::KEY.common() };
        if let Some(registration) = common.part::<Self>() {
            // `bind` is called only for registered families.
            registration.join();
        }
        0
    }
}

// SAFETY: Requests and starts of dumps reach an instance from `publish` on. Unregistering the
// family waits for them under a lock (`cb_lock`). Dumps that continue hold a reference to the
// module, and reach the instance by a `Weak`. If the registration fails, nobody has seen the
// family.
unsafe impl<T: Family> Common for Registration<T> {
    const COUNT: usize = 1;

    fn new() -> Result<Self> {
        const { Self::CHECKED };
        let mut policies = Exported::new();
        let mut operations = KVec::new();
        // Operations must be in the order of their numbers. For one number the do comes first.
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
        // CAST: `PLACES` and `CHECKED` check the lengths.
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
        // Handlers may run in parallel, because instances are shared anyway. Without this flag, a
        // handler would block all other families that do not set it.
        family.set_parallel_ops(1);
        // INVARIANT: The memory of a vector does not move when the vector moves.
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
        // SAFETY: The family is valid, and does not move until nobody can use it. Its callbacks are
        // made for `T`. By the caller's promise all namespaces have their instances of `T`.
        to_result(unsafe { bindings::genl_register_family(self.family.get()) }).map_err(|error| {
            if error != EEXIST {
                return error;
            }
            pr_err!("a generic netlink family of that name is there already\n");
            // The error is not `EEXIST`, because the loader returns that for a module that is
            // loaded already.
            EADDRINUSE
        })
    }

    unsafe fn withdraw(&self) {
        self.state.store(WITHDRAWN, Release);
        // Events may be on their way to the family's groups. Once the family is unregistered,
        // another family may get the numbers of these groups, so this waits for the senders.
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
        // INVARIANT: The caller keeps `common`. The instance ends before its namespace, and before
        // the generic netlink socket there: generic netlink was registered first, so it ends last
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

/// The handler of `operation`. Commands only have handlers that get attributes.
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
/// `family` must be valid. It must be registered, or have been registered before.
unsafe fn envelope(family: *const bindings::genl_family) -> Envelope {
    // SAFETY: The caller's promise. CAST: Types of messages have 16 bits, and our versions have 8.
    unsafe {
        Envelope {
            family: MessageType::new(u32::from((*family).id as u16)),
            version: (*family).version as u8,
        }
    }
}

/// For each command, the place of its operation, starting with 1; 0 if it has none. Two operations
/// for one command do not compile.
const fn places<T: Subsystem>(operations: &[Operation<T, Command>]) -> [u8; 1 << u8::BITS] {
    // Each operation may have a do and a dump. The kernel counts both in 8 bits.
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

/// Whether a name has a valid length.
const fn is_name(name: &CStr) -> bool {
    let len = name.to_bytes().len();
    len >= 1 && len < bindings::GENL_NAMSIZ as usize
}

/// Whether the kernel treats a family with this name in a special way. For example, some must have
/// exactly one group (`genl_validate_assign_mc_groups()`, with `BUG_ON()`).
const fn is_special(name: &CStr) -> bool {
    let name = name.to_bytes();
    same(name, b"nlctrl")
        || same(name, b"NET_DM")
        || same(name, b"VFS_DQUOT")
        || same(name, b"pmcraid")
}

/// Whether two names are the same, as a constant function.
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

/// A name in the form of the C side.
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
        /// Stands for the sender of an event. It sends nothing, and stays in its section until it
        /// sees that the family is withdrawn, and a little longer.
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
        // A client may still join, until the family is unregistered.
        sender.registration.join();
        let gone = ReadSide::with(|section| sender.registration.joined(section).is_none());
        assert!(gone);
        Ok(())
    }
}
