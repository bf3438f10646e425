// SPDX-License-Identifier: GPL-2.0

//! Families of generic netlink.
//!
//! A [`Subsystem`] that implements [`Family`] and names [`Channel`] among its attachments serves a
//! family with this name in every network namespace. Like the kernel socket of a raw protocol, it
//! has [`Operation`]s, with the same policies, dumps and refusals. Its messages have a [`Command`]
//! instead of a [`MessageType`]. A command has 8 bits, and a larger number does not compile. A
//! handler that serves both is generic over [`Number`].
//!
//! # What there is once for the module, and what in each namespace
//!
//! The kernel knows a family once, for all namespaces; a request comes with the namespace that its
//! client's socket is in. So the family is registered when every namespace has its instance, and
//! unregistered before the first one goes ([`pernet::Common`](crate::net::pernet::Common)). In
//! between, a request always finds the instance: a namespace keeps its instance for as long as
//! there is a socket in it. A [`Channel`] is what remains in each namespace, the way to those who
//! listen there.
//!
//! # Who may use what, and when
//!
//! - A *request*, and the start of a dump, runs under a lock (`cb_lock` in `genetlink.c`) that
//!   unregistering takes for writing. So none runs when that returns. Meanwhile no family at all
//!   can be registered or unregistered: a handler must not wait for a module to be loaded or
//!   unloaded.
//! - A *dump that goes on* runs in its client's `recvmsg()`, without that lock, for as long as the
//!   client likes. It reads the family, and holds a reference to the module. So the family's memory
//!   is part of the module and is freed behind the last reference. The dump gets at the instance by
//!   a [`Weak`](crate::net::pernet::Weak) alone.
//! - An *event* needs the number that its group has while the family is registered; later it may be
//!   another family's. So events are sent under RCU, and unregistering waits for a grace period
//!   first.
//!
//! # Events before and after
//!
//! A socket that joins a group calls the family (`genl_family::bind`) before the first event can
//! reach the socket. Before the first such call, [`Channel::broadcast`] finds that nobody listens.
//! So a listener never misses an event because the family is registered, but an instance does not
//! know that yet. For example, a hook may send an event while the module is being loaded. When the
//! module is unloaded, nobody listens any more.
//!
//! # Who is refused, and by whom
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
/// of CPUs at once. They may sleep; meanwhile no family at all can be registered or unregistered.
pub trait Family: Subsystem {
    /// The name by which clients find it, of 1 to 15 bytes. A name that the kernel treats in a
    /// special way (`nlctrl`, `NET_DM`, `VFS_DQUOT`, `pmcraid`) does not compile.
    const NAME: &'static CStr;

    /// The version of the protocol, which the headers of all messages tell.
    const VERSION: u8;

    /// The requests that are served, at most 127. Others fail with `EOPNOTSUPP`. Two operations for
    /// one command do not compile. No attribute may have the number 0, which the kernel takes for
    /// none.
    ///
    /// The client gets an acknowledgement if it asked for one, and always if its request fails:
    /// with the error number, and with what the [`Refusal`] says. An `EINTR` goes unreported.
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
    /// Invariant: a supertype is another family, which may have fewer groups.
    _family: PhantomData<fn(T) -> T>,
}

impl<T: Family> Group<T> {
    /// The group whose name is there in [`Family::GROUPS`]; a place that is not there does not
    /// compile, if this is used for a constant.
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

/// A family in one network namespace: the way to the listeners there.
///
/// # Invariants
///
/// For the lifetime of the value, `registration` is valid, and `net` and its generic netlink socket
/// are.
pub struct Channel<T: Family> {
    registration: NonNull<Registration<T>>,
    net: NonNull<bindings::net>,
}

// SAFETY: The pointers are not tied to a thread, and what they lead to is shared.
unsafe impl<T: Family> Send for Channel<T> {}
// SAFETY: Netlink sends on a socket from any number of threads at once.
unsafe impl<T: Family> Sync for Channel<T> {}

impl<T: Family> Channel<T> {
    fn registration(&self) -> &Registration<T> {
        // SAFETY: By the type invariants the registration is valid for as long as `self`.
        unsafe { self.registration.as_ref() }
    }

    /// The family, if its groups have numbers of their own that somebody has joined.
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

    /// Whether anyone, in any network namespace, listens to `group`. If not, a message need not be
    /// made.
    pub fn has_listeners(&self, group: Group<T>) -> bool {
        // Of most families, nobody ever joined a group. That takes no section.
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

    /// Has those who listen told that there was an event.
    #[cold]
    fn tell_of_loss(&self, group: Group<T>) {
        ReadSide::with(|section| {
            if let Some(family) = self.joined(section) {
                let errno = ENOBUFS.to_errno();
                // SAFETY: By the type invariants the socket is a valid kernel socket. The error is
                // one.
                unsafe { bindings::netlink_set_err(self.socket(), 0, family.group(group), errno) };
            }
        });
    }

    /// Sends a message that is `command` to all sockets that listen to `group`: those of the
    /// network namespace, and those of others that may listen to all (`NETLINK_LISTEN_ALL_NSID`).
    ///
    /// The message has no flags and the sequence number 0, as it answers no request. A listener
    /// with `NETLINK_PKTINFO` is told the group. Context: process, may sleep (to allocate, never
    /// for a listener).
    ///
    /// # Errors
    ///
    /// - `ESRCH`: nobody listens. So it is before the family is registered and once the module
    ///   goes.
    /// - `EMSGSIZE`, `ENOBUFS`: no buffer can hold `payload`.
    ///
    /// If the receive buffer of a listener is full, its socket reports `ENOBUFS`. If there is no
    /// memory for the message, the sockets of the namespace do, and those of others report nothing.
    pub fn broadcast(&self, group: Group<T>, command: Command, payload: &[u8]) -> Result {
        let envelope =
            ReadSide::with(|section| Some(self.joined(section)?.envelope())).ok_or(ESRCH)?;
        let (msg_type, head) = (command.msg_type(envelope), command.head(envelope));
        let message = Outgoing::new(0, msg_type, 0, head, payload)
            .inspect_err(|_| self.tell_of_loss(group))?;
        ReadSide::with(|section| {
            // While the section lasts, the number is nobody else's.
            let number = self.joined(section).ok_or(ESRCH)?.group(group);
            let skb = message.into_raw().as_ptr();
            // SAFETY: The buffer is ours. Its control block holds netlink's parameters
            // (`NETLINK_CB()`), of which listeners are told the group (`nlmsg_multicast()`).
            unsafe {
                let parms: *mut bindings::netlink_skb_parms = (&raw mut (*skb).cb).cast();
                (*parms).dst_group = number;
            }
            // SAFETY: By the type invariants the socket is a valid kernel socket. The call takes
            // the buffer, whatever it returns, and does not sleep.
            to_result(unsafe {
                bindings::netlink_broadcast(self.socket(), skb, 0, number, bindings::GFP_ATOMIC)
            })
        })
    }
}

/// A family that somebody listens to, or did.
///
/// # Invariants
///
/// The family is registered, and will be for `'a`: what registering it wrote is constant.
struct Joined<'a>(&'a Opaque<bindings::genl_family>);

impl Joined<'_> {
    /// The number of a group.
    fn group<T: Family>(&self, group: Group<T>) -> u32 {
        // SAFETY: By the type invariants it is constant. CAST: There are at most 255.
        unsafe { (*self.0.get()).mcgrp_offset + group.index as u32 }
    }

    /// What its messages tell.
    fn envelope(&self) -> Envelope {
        // SAFETY: By the type invariants.
        unsafe { envelope(self.0.get()) }
    }
}

/// What there is of a family once for the module.
///
/// # Invariants
///
/// - What `family` points to are `_operations` and `_groups`, and what they point to is in
///   `_policies`.
/// - While `state` is `JOINED`, the family is registered, and stays so for a grace period more.
pub struct Registration<T: Family> {
    family: Opaque<bindings::genl_family>,
    state: Atomic<u32>,
    _operations: KVec<bindings::genl_split_ops>,
    _groups: KVec<bindings::genl_multicast_group>,
    _policies: Exported,
    /// Invariant, as for [`Group`].
    _subsystem: PhantomData<fn(T) -> T>,
}

// SAFETY: The pointers are not tied to a thread.
unsafe impl<T: Family> Send for Registration<T> {}
// SAFETY: Generic netlink has locks for what it writes to a family, and what is read of it here is
// read when it was written.
unsafe impl<T: Family> Sync for Registration<T> {}

/// Nobody has joined a group yet, be the family registered or not.
const UNHEARD: u32 = 0;
/// Somebody has.
const JOINED: u32 = 1;
/// The family is about to be unregistered.
const WITHDRAWN: u32 = 2;

impl<T: Family> Registration<T> {
    /// For each command, the place of its operation, counted from one.
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

    /// Takes note that somebody joins a group, for a family that is registered.
    fn join(&self) {
        // INVARIANT: `withdraw` changes the state first and then waits for a grace period. Whoever
        // joins meanwhile leaves the state as it is.
        let _ = self.state.cmpxchg(UNHEARD, JOINED, Full);
    }

    fn joined<'a>(&'a self, _section: &'a ReadSide) -> Option<Joined<'a>> {
        // INVARIANT: See the type invariants; the section keeps the grace period from ending. What
        // registering wrote comes before the state was changed, in `bound`.
        (self.state.load(Acquire) == JOINED).then_some(Joined(&self.family))
    }

    /// The operation for a command.
    fn operation(command: u8) -> Option<&'static Operation<T, Command>> {
        let place = const { &Self::PLACES }[usize::from(command)];
        T::OPERATIONS.get(usize::from(place).wrapping_sub(1))
    }

    /// Appends what the C side is to have of an operation.
    fn append(
        operation: &Operation<T, Command>,
        policies: &mut Exported,
        operations: &mut KVec<bindings::genl_split_ops>,
    ) -> Result {
        let served = served(operation);
        let (policy, maxattr) = policies.export(served.policy)?;
        // CAST: Flags of an 8 bit field.
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

    /// The C side's way to what serves a request.
    ///
    /// # Safety
    ///
    /// To be called by generic netlink, as the `doit` callback of an operation of the family.
    unsafe extern "C" fn doit(
        skb: *mut bindings::sk_buff,
        info: *mut bindings::genl_info,
    ) -> c_int {
        // SAFETY: The kernel passes a valid structure.
        let (family, extack) = unsafe { ((*info).family, (*info).extack) };
        // SAFETY: The kernel calls us for a request that `skb` is at.
        unsafe {
            Self::receive(
                skb,
                family,
                extack,
                |instance, served, request, attributes| (served.one)(instance, request, attributes),
            )
        }
    }

    /// The C side's way to what starts a dump.
    ///
    /// # Safety
    ///
    /// To be called by generic netlink, as the `start` callback of an operation of the family.
    unsafe extern "C" fn start(cb: *mut bindings::netlink_callback) -> c_int {
        // SAFETY: The kernel passes a valid structure, which nobody else uses during the call.
        let cb = unsafe { &mut *cb };
        let info: *const bindings::genl_dumpit_info = cb.data.cast_const().cast();
        // SAFETY: That is what `genl_start()` put there.
        let family = unsafe { (*info).info.family };
        let (skb, extack) = (cb.skb, cb.extack);
        // SAFETY: As for `doit`: the kernel calls us from within the request that starts the dump,
        // which `skb` is at.
        unsafe {
            Self::receive(
                skb,
                family,
                extack,
                |instance, served, request, attributes| {
                    let all = served.all.ok_or(EOPNOTSUPP)?;
                    // SAFETY: The callback is being started, and `append` names `done` for its end.
                    (all.begin)(instance, attributes, request.envelope, cb)
                },
            )
        }
    }

    /// Has a request served, if its client may send it and its attributes are as they should be.
    ///
    /// # Safety
    ///
    /// To be called in a callback of generic netlink for a request of the family: `skb` starts with
    /// the request and belongs to the callback, `family` is the family, registered or being
    /// unregistered behind this call, and `extack` is what the client is told.
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
        // SAFETY: The caller's promise. Its socket is the generic netlink socket of the namespace.
        let buffer = unsafe { Buffer::from_raw(NonNull::new_unchecked(skb)) };
        // SAFETY: While the family is registered, and until unregistering it has returned, which
        // waits for this call, every namespace that a socket is in has its instance (see
        // `publish`).
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
                // SAFETY: The caller's promise: it is valid, and nobody else uses it during the
                // call.
                extack::tell(unsafe { &mut *extack }, &refusal, payload);
                refusal.error().to_errno()
            }
        }
    }

    /// Called when somebody is about to join a group of the family.
    ///
    /// # Safety
    ///
    /// To be called by generic netlink, as the `bind` callback of the family.
    unsafe extern "C" fn bound(_group: c_int) -> c_int {
        // SAFETY: A family is registered within the time that its subsystem is, and unregistering
        // it waits for this call.
        let common = unsafe { T::KEY.common() };
        if let Some(registration) = common.part::<Self>() {
            // The family is registered: `bind` is called for such alone.
            registration.join();
        }
        0
    }
}

// SAFETY: Requests and starts of dumps reach an instance from `publish` on. Unregistering the
// family waits for them under a lock (`cb_lock`), and dumps that go on hold a reference to the
// module, with a `Weak`. Registering that fails has shown the family to nobody.
unsafe impl<T: Family> Common for Registration<T> {
    const COUNT: usize = 1;

    fn new() -> Result<Self> {
        const { Self::CHECKED };
        let mut policies = Exported::new();
        let mut operations = KVec::new();
        // They must be in the order of their numbers, each with its do first.
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
        // CAST: `PLACES` and `CHECKED` have the lengths.
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
        // Instances are shared anyway; otherwise a handler would hold up all families of that kind.
        family.set_parallel_ops(1);
        // INVARIANT: The memory of vectors stays where it is when they are moved.
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
        // SAFETY: The family is valid. It stays where it is until nobody can use it, and its
        // callbacks are made for `T`, whose instances are all there, by the caller's promise.
        to_result(unsafe { bindings::genl_register_family(self.family.get()) }).map_err(|error| {
            if error != EEXIST {
                return error;
            }
            pr_err!("a generic netlink family of that name is there already\n");
            // `EEXIST` is what the loader says of a module that is there already.
            EADDRINUSE
        })
    }

    unsafe fn withdraw(&self) {
        self.state.store(WITHDRAWN, Release);
        // Events are being sent to groups of these numbers.
        synchronize_rcu();
        // SAFETY: `publish` registered it, and this is called once.
        unsafe { bindings::genl_unregister_family(self.family.get()) };
    }
}

// SAFETY: What reaches instances is `Registration`. A channel starts no callbacks.
unsafe impl<T: Family> Attachment<T> for Channel<T> {
    type Common = Registration<T>;

    unsafe fn attach(instance: &Instance<'_, T>, common: &Registration<T>) -> Result<Self> {
        // INVARIANT: The caller keeps `common`. The instance goes before its namespace, and before
        // the socket there: generic netlink came first, so it is torn down last
        // (`ops_undo_list()`).
        Ok(Self {
            registration: NonNull::from(common),
            net: NonNull::new(instance.net().as_raw()).ok_or(EINVAL)?,
        })
    }

    unsafe fn detach(&self) {}

    unsafe fn drain(&self) {}
}

/// What serves an operation.
struct Served<'a, T: Subsystem> {
    policy: &'static Policy,
    one: Do<T, Command>,
    all: Option<&'a dump::Functions<T, Command>>,
}

/// What serves `operation`: commands have no other handlers than those of attributes.
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

/// What the messages of a family tell.
///
/// # Safety
///
/// `family` must be valid and registered, or have been.
unsafe fn envelope(family: *const bindings::genl_family) -> Envelope {
    // SAFETY: The caller's promise. CAST: Types of messages are of 16 bits, and our versions of 8.
    unsafe {
        Envelope {
            family: MessageType::new(u32::from((*family).id as u16)),
            version: (*family).version as u8,
        }
    }
}

/// For each command, the place of its operation, counted from one; 0 for none. Two operations for
/// one command do not compile.
const fn places<T: Subsystem>(operations: &[Operation<T, Command>]) -> [u8; 1 << u8::BITS] {
    // Of each there may be a do and a dump, which are counted in 8 bits.
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

/// Whether a name fits.
const fn is_name(name: &CStr) -> bool {
    let len = name.to_bytes().len();
    len >= 1 && len < bindings::GENL_NAMSIZ as usize
}

/// Whether the kernel treats a family with this name in a special way: some must have one group
/// (`genl_validate_assign_mc_groups()`, with `BUG_ON()`).
const fn is_special(name: &CStr) -> bool {
    let name = name.to_bytes();
    same(name, b"nlctrl")
        || same(name, b"NET_DM")
        || same(name, b"VFS_DQUOT")
        || same(name, b"pmcraid")
}

/// Whether two names are the same, for constants.
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

/// A name as the C side has it.
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

    /// A family that nobody registers.
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
        /// Sends no event, and takes its time: until it sees that the family is withdrawn, and
        /// longer.
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
        // SAFETY: Nobody registered the family, so that there is nothing to unregister. Nobody else
        // calls it.
        unsafe { sender.registration.withdraw() };
        assert_eq!(sender.progress.load(Acquire), SENT);
        // A client may still join, until the family is unregistered.
        sender.registration.join();
        let gone = ReadSide::with(|section| sender.registration.joined(section).is_none());
        assert!(gone);
        Ok(())
    }
}
