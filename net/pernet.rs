// SPDX-License-Identifier: GPL-2.0

//! State that lives in every network namespace.
//!
//! A [`Subsystem`] is a type that has one instance in every network namespace: in the namespaces
//! that exist when its [`Module`] is loaded, and in each that is created until the module is
//! unloaded. The rest of the kernel reaches an instance by its [`Attachment`]s (a netlink socket, a
//! Netfilter hook). The order of events is the same for all attachments:
//!
//! | step | when | what may run meanwhile |
//! |---|---|---|
//! | [`Subsystem::load`] | module loaded | nothing |
//! | [`Common::new`] | right after the step above | nothing |
//! | [`Subsystem::new`] | namespace created, or module loaded | nothing reaches the instance |
//! | [`Attachment::attach`] | right after the step above | callbacks run from here on |
//! | [`Subsystem::gone`] | `pre_exit` | callbacks |
//! | [`Attachment::detach`] | right after the step above | callbacks that run may continue |
//! | an RCU grace period | between `pre_exit` and `exit` | most callbacks end |
//! | [`Attachment::drain`] | `exit` | the last callback ends |
//! | drop of attachments and instance | right after the step above | nothing |
//!
//! Some attachments also need a part that exists once for the module, not in each namespace. A
//! family of generic netlink is such a part. It is the [`Common`] of the attachment, and outlives
//! all instances:
//!
//! | step | when |
//! |---|---|
//! | [`Common::publish`] | module loaded, after [`Attachment::attach`] in all namespaces that exist
//! |
//! | [`Common::withdraw`] | module unloaded, before [`Subsystem::gone`] in any namespace |
//! | drop | when all instances are gone, and nobody holds a reference to the module |
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h);
//! `register_pernet_subsys()` and `ops_undo_list()` in `net/core/net_namespace.c`.
//!
//! # Examples
//!
//! ```
//! # use kernel::{
//! #     prelude::*,
//! #     sync::atomic::{Atomic, Relaxed},
//! # };
//! # use net::{
//! #     namespace::Net,
//! #     netfilter::{self, Point, State, Verdict},
//! #     pernet,
//! #     skbuff::Packet,
//! # };
//! # mod net;
//! module! {
//!     type: pernet::Module<Counter>,
//!     name: "counter",
//!     authors: ["A. U. Thor"],
//!     description: "Counts packets in every network namespace",
//!     license: "GPL",
//! }
//!
//! #[pin_data]
//! struct Counter {
//!     packets: Atomic<u64>,
//! }
//!
//! static COUNTER: pernet::Key<Counter> = pernet::Key::new();
//!
//! impl pernet::Subsystem for Counter {
//!     type Module = pernet::Module<Self>;
//!     type Attachments = netfilter::Hooks<Self>;
//!     const KEY: pernet::KeyRef<Self> = pernet::KeyRef::new(&COUNTER);
//!
//!     fn new(_net: &Net) -> impl PinInit<Self, Error> {
//!         pin_init!(Self { packets: Atomic::new(0) }? Error)
//!     }
//! }
//! # impl netfilter::Hook for Counter {
//! #     fn points(&self) -> impl Iterator<Item = Point> {
//! #         core::iter::empty()
//! #     }
//! #
//! #     fn hook(&self, _packet: &Packet, _state: &State, _point: &Point) -> Verdict {
//! #         self.packets.add(1, Relaxed);
//! #         Verdict::ACCEPT
//! #     }
//! # }
//! ```

use core::{
    any::Any,
    cell::UnsafeCell,
    marker::{
        PhantomData,
        PhantomPinned, //
    },
    mem::{
        self,
        ManuallyDrop,
        MaybeUninit, //
    },
    ops::Deref,
    ptr::null, //
};

use kernel::{
    current,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            AtomicFlag,
            Full,
            Release, //
        },
        new_mutex,
        rcu,
        Arc,
        Mutex, //
    },
    types::{
        Opaque,
        ScopeGuard, //
    },
    ModuleMetadata, //
};

use super::{
    acquire::read_acquire,
    bindings::{
        self,
        net_generic,
        NET_GEN, //
    },
    compat::{
        raw_try_init,
        this_module,
        ESHUTDOWN, //
    },
    namespace::Net,
    task::msleep_interruptible, //
};

/// A type that has one instance in every network namespace.
///
/// Instances are shared by callbacks on any number of CPUs, hence `Send + Sync`.
pub trait Subsystem: Sized + Send + Sync + 'static {
    /// The module that the callbacks belong to.
    ///
    /// A user socket holds a reference to the module, so that the code which serves the socket is
    /// not unloaded.
    type Module: ModuleMetadata;

    /// The attachments, by which the rest of the kernel reaches an instance: one, or a pair, of
    /// which each part may be a pair.
    ///
    /// Nothing else calls the instance. If a type implements the trait of an attachment, such as
    /// `netfilter::Hook`, and does not name the attachment here, the compiler does not warn.
    ///
    /// The attachments are attached in this order. Put hooks before a netlink socket: hooks can
    /// fail for lack of room, programs can hold a socket open, and a load that fails waits for
    /// these programs.
    type Attachments: Attachment<Self>;

    /// The `static` [`Key`] that leads to the instances.
    const KEY: KeyRef<Self>;

    /// Called once when the module is loaded, before anything else.
    ///
    /// Context: process, may sleep. An error keeps the module from being loaded.
    fn load() -> Result {
        Ok(())
    }

    /// Makes the instance of a network namespace.
    ///
    /// Context: process, may sleep; the kernel holds `pernet_ops_rwsem`. An error fails the
    /// creation of the namespace, or the loading of the module.
    fn new(net: &Net) -> impl PinInit<Self, Error>;

    /// Called before an instance is removed, while all its attachments are attached: when its
    /// namespace dies, and when the module is unloaded or fails to load.
    ///
    /// `initial` is the instance of the initial network namespace, which outlives all other
    /// instances. When the module is unloaded, this is called for the initial namespace first. The
    /// attachments there are detached before this is called for other namespaces. Context: process,
    /// may sleep; the kernel holds `pernet_ops_rwsem`.
    fn gone(instance: &Instance<'_, Self>, initial: &Instance<'_, Self>) {
        let _ = (instance, initial);
    }
}

/// The instance of a [`Subsystem`] in a network namespace, borrowed for the duration of a callback.
///
/// # Invariants
///
/// For `'a`, all parts of the slot may be shared, and it is the slot of `net`.
pub struct Instance<'a, T: Subsystem> {
    net: &'a Net,
    slot: &'a Slot<T>,
}

impl<'a, T: Subsystem> Instance<'a, T> {
    /// The namespace.
    pub fn net(&self) -> &'a Net {
        self.net
    }

    /// The attachments of the instance. `None` until the last attachment is attached. Callbacks of
    /// the first attachments may run before that.
    pub fn attachments(&self) -> Option<&'a T::Attachments> {
        self.slot.attachments.get()
    }

    /// A weak reference to the instance. It may be kept beyond the callback.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`.
    /// - `ESHUTDOWN`: the instance ends.
    pub fn downgrade(&self) -> Result<Weak<T>> {
        let mut gateway = self.slot.gateway.lock();
        match &*gateway {
            Gateway::Closed => Err(ESHUTDOWN),
            Gateway::Open(weak) => Ok(weak.clone()),
            Gateway::Unused => {
                // INVARIANT: The slot is that of `net`. `Slot::close` closes the gate.
                let weak = Weak::open(self.net)?;
                *gateway = Gateway::Open(weak.clone());
                Ok(weak)
            }
        }
    }
}

impl<T: Subsystem> Deref for Instance<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.slot.instance
    }
}

/// A weak reference to an instance. It may be kept for any time, and leads to the instance while
/// the instance exists.
///
/// The code that keeps a value must not be unloaded before it drops it.
pub struct Weak<T: Subsystem>(Arc<Gate<T>>);

/// # Invariants
///
/// While `open` is true and locked, the slot of `net` for `T` may be shared.
#[pin_data]
struct Gate<T> {
    net: *mut bindings::net,
    #[pin]
    open: Mutex<bool>,
    /// Makes the type invariant in `T`. A supertype of `T` can be another [`Subsystem`], which has
    /// another slot or none, so a `Weak<T>` must not coerce to a `Weak` of the supertype.
    _subsystem: PhantomData<fn(T) -> T>,
}

// SAFETY: The pointer is not tied to a thread, and is used only under the lock. It leads to an
// instance, and every `Subsystem` may be shared.
unsafe impl<T> Send for Gate<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Gate<T> {}

impl<T: Subsystem> Weak<T> {
    /// Makes a gate that is open. The caller must establish its invariant.
    fn open(net: &Net) -> Result<Self> {
        let gate = Arc::pin_init(
            pin_init!(Gate {
                net: net.as_raw(),
                open <- new_mutex!(true, "pernet::Weak"),
                _subsystem: PhantomData,
            }),
            GFP_KERNEL,
        )?;
        Ok(Self(gate))
    }

    /// Calls `f` with the instance, or returns `None` if the instance is gone. The instance stays
    /// until `f` returns. So `f` must not wait for the instance's end. `f` must not call this
    /// function again.
    ///
    /// Context: process, may sleep.
    pub fn with<R>(&self, f: impl FnOnce(&Instance<'_, T>) -> R) -> Option<R> {
        let open = self.0.open.lock();
        if !*open {
            return None;
        }
        // SAFETY: By the type invariants the slot may be shared while we hold the lock. `f` accepts
        // any lifetime, so it cannot keep the instance beyond its call, which ends under the lock.
        // The namespace exists as long as its slot.
        let instance = unsafe { T::KEY.instance(Net::from_raw(self.0.net)) };
        Some(f(&instance))
    }

    /// Hands the value to the C side.
    pub(super) fn into_raw(self) -> *mut c_void {
        Arc::into_raw(self.0).cast_mut().cast()
    }

    /// Borrows a value that was handed to the C side.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`into_raw`](Self::into_raw). [`from_raw`](Self::from_raw) must not
    /// take it back during `'a`.
    pub(super) unsafe fn borrow<'a>(raw: *mut c_void) -> impl Deref<Target = Self> + 'a {
        // SAFETY: The caller's promise. `ManuallyDrop` keeps the reference that `raw` stands for.
        ManuallyDrop::new(Self(unsafe { Arc::from_raw(raw.cast()) }))
    }

    /// Takes a value back from the C side.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`into_raw`](Self::into_raw), once for each call.
    pub(super) unsafe fn from_raw(raw: *mut c_void) -> Self {
        // SAFETY: The caller's promise.
        Self(unsafe { Arc::from_raw(raw.cast()) })
    }

    /// From here on [`with`](Self::with) does not find the instance. Waits for calls of `with` that
    /// run.
    fn close(&self) {
        *self.0.open.lock() = false;
    }
}

impl<T: Subsystem> Clone for Weak<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Something that makes an instance of `T` reachable from the rest of the kernel.
///
/// # Safety
///
/// - Callbacks may use the instance from [`attach`](Attachment::attach) on until
///   [`drain`](Attachment::drain) has returned.
/// - After [`detach`](Attachment::detach) no new callback may start, with one exception: a caller
///   that found the callback before that, under RCU or by a reference that `drain` waits for, may
///   still start it.
/// - `drain` must return only when no callback uses the instance. Its return must have acquire
///   ordering with respect to all that the last callback did.
/// - An `attach` that fails must leave no callback running.
pub unsafe trait Attachment<T: Subsystem>: Sized + Send + Sync {
    /// The part that exists once for all namespaces; `()` if there is none.
    type Common: Common;

    /// The initializer that makes `instance` reachable.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// The caller must call [`detach`](Attachment::detach) and [`drain`](Attachment::drain) before
    /// it drops the attachment. The instance must stay where it is until both have returned, and
    /// `common` until the attachment was dropped.
    unsafe fn attach(
        instance: &Instance<'_, T>,
        common: &Self::Common,
    ) -> impl PinInit<Self, Error>;

    /// Makes sure that no new callback starts. Does not wait for callbacks that run.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// Must be called once, and not by a callback.
    unsafe fn detach(&self);

    /// Waits for the callbacks that run.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// Must be called once, after [`detach`](Attachment::detach), and not by a callback.
    unsafe fn drain(&self);
}

// SAFETY: Each part fulfills the requirements for itself. If the second one cannot be attached, the
// first one is detached and drained.
unsafe impl<T: Subsystem, A: Attachment<T>, B: Attachment<T>> Attachment<T> for (A, B) {
    type Common = (A::Common, B::Common);

    unsafe fn attach(
        instance: &Instance<'_, T>,
        common: &Self::Common,
    ) -> impl PinInit<Self, Error> {
        let init = move |this: *mut Self| {
            // SAFETY: The places of both parts are valid for writes, and pinned. The caller
            // promises the rest if both are attached. If the second one is not, the calls below
            // detach and drain the first one.
            unsafe {
                let (a, b) = (&raw mut (*this).0, &raw mut (*this).1);
                raw_try_init(a, A::attach(instance, &common.0))?;
                raw_try_init(b, B::attach(instance, &common.1)).inspect_err(|_| {
                    (*a).detach();
                    (*a).drain();
                    a.drop_in_place();
                })
            }
        };
        // SAFETY: On success both parts are initialized. On error nothing is left to drop.
        unsafe { pin_init::pin_init_from_closure(init) }
    }

    unsafe fn detach(&self) {
        // SAFETY: The caller's promise.
        unsafe {
            self.0.detach();
            self.1.detach();
        }
    }

    unsafe fn drain(&self) {
        // SAFETY: The caller's promise.
        unsafe {
            self.0.drain();
            self.1.drain();
        }
    }
}

/// The part of an [`Attachment`] that exists once for all namespaces. Through this part, the kernel
/// reaches the instances of all namespaces.
///
/// # Safety
///
/// - Callbacks may use instances from [`publish`](Common::publish) on until
///   [`withdraw`](Common::withdraw) has returned. Its return must have acquire ordering with
///   respect to all that the last callback did. Callbacks that run later may reach an instance only
///   by a [`Weak`], and must hold a reference to the module.
/// - After a `publish` that fails no callback may run or start.
pub unsafe trait Common: Any + Send + Sync + Sized {
    /// The number of parts that publish something. A type can have only one, because a second one
    /// would have the same name.
    const COUNT: usize;

    /// The part of the value that is a `P`.
    fn part<P: Any>(&self) -> Option<&P> {
        let this: &dyn Any = self;
        this.downcast_ref()
    }

    /// Makes the value. Nobody can find it yet.
    ///
    /// Context: process, may sleep. An error keeps the module from being loaded.
    fn new() -> Result<Self>;

    /// Lets the kernel call callbacks.
    ///
    /// Context: process, may sleep. An error keeps the module from being loaded.
    ///
    /// # Safety
    ///
    /// - Every namespace in which a program can have a socket must have its instance until
    ///   `withdraw` has returned. The caller must call `withdraw` unless this failed.
    /// - The value must stay where it is from this call on. It may be dropped only when nobody but
    ///   the caller holds a reference to the module, and no instance is left.
    unsafe fn publish(&self) -> Result;

    /// Makes sure that no new callback starts, and waits for the callbacks that run.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// Must be called once, after a [`publish`](Common::publish) that succeeded, and not by a
    /// callback.
    unsafe fn withdraw(&self);
}

// SAFETY: It has no callbacks.
unsafe impl Common for () {
    const COUNT: usize = 0;

    fn new() -> Result {
        Ok(())
    }

    unsafe fn publish(&self) -> Result {
        Ok(())
    }

    unsafe fn withdraw(&self) {}
}

// SAFETY: Each part fulfills the requirements for itself. If the second one cannot be published,
// the first one is withdrawn.
unsafe impl<A: Common, B: Common> Common for (A, B) {
    const COUNT: usize = A::COUNT + B::COUNT;

    fn part<P: Any>(&self) -> Option<&P> {
        self.0.part().or_else(|| self.1.part())
    }

    fn new() -> Result<Self> {
        Ok((A::new()?, B::new()?))
    }

    unsafe fn publish(&self) -> Result {
        // SAFETY: The caller's promise. The first part was published just now, and only then is it
        // withdrawn.
        unsafe {
            self.0.publish()?;
            self.1.publish().inspect_err(|_| self.0.withdraw())
        }
    }

    unsafe fn withdraw(&self) {
        // SAFETY: The caller's promise.
        unsafe {
            self.1.withdraw();
            self.0.withdraw();
        }
    }
}

/// The part of the attachments of `T` that exists once for all namespaces.
type CommonOf<T> = <<T as Subsystem>::Attachments as Attachment<T>>::Common;

/// The identity of a [`Subsystem`]: the slot that its instances have in every namespace.
///
/// # Invariants
///
/// While `registered` is set, `register_pernet_subsys()` has chosen `id` or is choosing it. While
/// the subsystem is registered, `common` is valid.
pub struct Key<T: Subsystem> {
    id: UnsafeCell<c_uint>,
    common: UnsafeCell<*const CommonOf<T>>,
    registered: AtomicFlag,
    _subsystem: PhantomData<fn(T) -> T>,
}

// SAFETY: Only `register_pernet_subsys()` writes `id`, and `common` is written right before that
// call. `registered` admits one registration at a time. Both are written before any callback that
// reads them can run. The value behind `common` may be shared.
unsafe impl<T: Subsystem> Sync for Key<T> {}

impl<T: Subsystem> Key<T> {
    /// Creates a key, to be placed in a `static`.
    // Only a constant can initialize a static. Clippy wants a `Default` where other crates see the
    // type.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            id: UnsafeCell::new(0),
            common: UnsafeCell::new(null()),
            registered: AtomicFlag::new(false),
            _subsystem: PhantomData,
        }
    }

    /// The memory that the kernel gave `net` for this subsystem, as `net_generic()` finds it.
    ///
    /// # Safety
    ///
    /// The subsystem must be registered. `net` must be between the start of its `init` and the end
    /// of its `exit` for this subsystem.
    unsafe fn slot(&self, net: &Net) -> *mut Slot<T> {
        let _guard = rcu::read_lock();
        // SAFETY: `net` is valid, and has a pointer at the offset. It is read once, under RCU.
        let table = unsafe { read_acquire(net.as_raw().byte_add(NET_GEN).cast()) };
        let table = table as *const net_generic;
        // SAFETY: The subsystem is registered, so `id` was set and nobody writes to it. A callback
        // can have found the namespace by a socket that was made after `id` was set. It must not
        // read an older `id`: the acquire read of the table, above, orders this.
        let id = unsafe { self.id.get().read_volatile() } as usize;
        // SAFETY: The table is valid under RCU. It is an array of pointers that overlays a header,
        // and it has an entry for every registered `id` (`net_assign_generic()`).
        unsafe { table.cast::<*mut c_void>().add(id).read() }.cast()
    }

    /// The part that exists once for all namespaces.
    ///
    /// # Safety
    ///
    /// The subsystem must be registered for `'a`.
    pub(super) unsafe fn common<'a>(&self) -> &'a CommonOf<T> {
        // SAFETY: The subsystem is registered. So by the type invariants `common` was written and
        // is valid.
        unsafe { &**self.common.get() }
    }

    /// The instance in `net`.
    ///
    /// # Safety
    ///
    /// The instance in `net` must be shareable: this time starts with its initialization, and ends
    /// when the last `drain` of its [`Attachment`]s has returned. The result must not outlive that
    /// time.
    pub(super) unsafe fn instance<'a>(&self, net: &'a Net) -> Instance<'a, T> {
        // SAFETY: That time lies within `init` and `exit`.
        let slot = unsafe { self.slot(net) };
        // SAFETY: In that time the slot is initialized, shared only, and does not move.
        // INVARIANT: As above.
        let slot = unsafe { &*slot };
        Instance { net, slot }
    }
}

/// A constant reference to a [`Key`].
///
/// It is a constant of [`Subsystem`], so that a type has the same key at all times. A function
/// could not promise that, and a constant must not hold a plain reference to a value that can
/// change.
///
/// # Invariants
///
/// The pointer comes from a `&'static Key<T>`.
pub struct KeyRef<T: Subsystem>(*const Key<T>);

impl<T: Subsystem> KeyRef<T> {
    /// Refers to `key`.
    pub const fn new(key: &'static Key<T>) -> Self {
        // INVARIANT: `key` is a `&'static Key<T>`.
        Self(key)
    }
}

impl<T: Subsystem> Deref for KeyRef<T> {
    type Target = Key<T>;

    fn deref(&self) -> &Key<T> {
        // SAFETY: By the type invariants the key is valid, forever.
        unsafe { &*self.0 }
    }
}

/// The contents of the memory that `net_generic()` finds.
#[pin_data]
struct Slot<T: Subsystem> {
    attachments: Attached<T::Attachments>,
    #[pin]
    gateway: Mutex<Gateway<T>>,
    #[pin]
    instance: T,
}

impl<T: Subsystem> Slot<T> {
    /// From here on no [`Weak`] leads to the instance. Waits for calls of [`Weak::with`] that run.
    fn close(&self) {
        // The lock is released before the wait, because the calls that run may call `downgrade`,
        // which takes the lock.
        let gateway = mem::replace(&mut *self.gateway.lock(), Gateway::Closed);
        if let Gateway::Open(weak) = gateway {
            weak.close();
        }
    }
}

/// The way from the weak references of an instance to the instance.
enum Gateway<T: Subsystem> {
    /// There is no weak reference yet. Few instances ever have one.
    Unused,
    /// All weak references share an open gate.
    Open(Weak<T>),
    /// The instance ends, and nobody can get a weak reference.
    Closed,
}

/// A place for attachments, which is empty until the last attachment is attached.
///
/// # Invariants
///
/// If `complete` is set, `attachments` is initialized and may be shared.
struct Attached<A> {
    attachments: UnsafeCell<MaybeUninit<A>>,
    complete: AtomicFlag,
}

impl<A> Attached<A> {
    /// Starts empty.
    fn new() -> Self {
        Self {
            attachments: UnsafeCell::new(MaybeUninit::uninit()),
            complete: AtomicFlag::new(false),
        }
    }

    /// The attachments, if all of them are attached.
    fn get(&self) -> Option<&A> {
        if !self.complete.load(Acquire) {
            return None;
        }
        // SAFETY: By the type invariants.
        Some(unsafe { (*self.attachments.get()).assume_init_ref() })
    }

    /// Attaches all attachments.
    ///
    /// # Safety
    ///
    /// Must be called once. The value must not move after that.
    unsafe fn fill(&self, init: impl PinInit<A, Error>) -> Result {
        // SAFETY: The place is valid for writes, and pinned by the caller's promise. Nobody reads
        // it yet.
        unsafe { raw_try_init(self.attachments.get().cast(), init) }?;
        // INVARIANT: Just initialized.
        self.complete.store(true, Release);
        Ok(())
    }
}

impl<A> Drop for Attached<A> {
    fn drop(&mut self) {
        if *self.complete.get_mut() {
            // SAFETY: By the type invariants. The value is dropped here, and nobody shares it.
            unsafe { self.attachments.get_mut().assume_init_drop() };
        }
    }
}

/// The module of a [`Subsystem`]: the `type` in `module!`.
///
/// Loading it registers the subsystem with all network namespaces, unloading it detaches and drops
/// all instances.
///
/// The drop must not be skipped, or the kernel would call code that is unloaded. So the value can
/// only be made in the static memory that `module!` provides: there it is dropped before the code
/// is unloaded. Safe code can neither move the value out nor forget it.
///
/// # Invariants
///
/// - If `registered` is true, `ops` is registered with `register_pernet_subsys()` and does not
///   move, this registration has marked `T::KEY` as registered, and `common` is published.
/// - `common` does not move.
/// - The value lies in the static data of the module itself.
#[pin_data(PinnedDrop)]
pub struct Module<T: Subsystem> {
    #[pin]
    ops: Opaque<bindings::pernet_operations>,
    #[pin]
    common: CommonOf<T>,
    /// False if registering failed and a signal ended the wait for programs that use the module.
    registered: bool,
    #[pin]
    _pin: PhantomPinned,
    _subsystem: PhantomData<T>,
}

// SAFETY: The value offers nothing but its drop, which may run on any thread.
unsafe impl<T: Subsystem> Send for Module<T> {}
// SAFETY: A shared reference offers nothing.
unsafe impl<T: Subsystem> Sync for Module<T> {}

impl<T: Subsystem> Module<T> {
    /// Registers the subsystem, for [`InPlaceModule::init`](kernel::InPlaceModule::init).
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the subsystem is registered already.
    /// - `EINVAL`: the memory to initialize is not static data of the module.
    /// - Any error of [`Subsystem::load`], of a function of [`Common`], or of [`Subsystem::new`] or
    ///   [`Attachment::attach`] in the first namespace where one fails. Nothing stays registered
    ///   then.
    ///
    /// If the last kind of error happens while a program has a socket of the module open, `init`
    /// waits until the program closes it, because the kernel would free the module that the socket
    /// uses. A signal ends the wait with success: the module stays, serves nothing, and can be
    /// unloaded once the program has closed its socket.
    ///
    /// # Safety
    ///
    /// `T::Module` must be the module that this code is part of. The value must be the one that
    /// `module!` makes, or a field that is dropped with that one.
    pub unsafe fn new() -> impl PinInit<Self, Error> {
        let init = move |this: *mut Self| {
            if !is_static_data::<T::Module>(this.cast()) {
                return Err(EINVAL);
            }
            if T::KEY.registered.xchg(true, Full) {
                return Err(EBUSY);
            }
            let unmark = ScopeGuard::new(|| T::KEY.registered.store(false, Release));
            T::load()?;

            const { assert!(CommonOf::<T>::COUNT <= 1, "two families of one type") };
            let made = CommonOf::<T>::new()?;
            // SAFETY: `this` is valid for writes, and so is the field. Nobody reads `common` before
            // the registration below.
            let common = unsafe {
                let common = &raw mut (*this).common;
                common.write(made);
                *T::KEY.common.get() = common;
                common
            };
            // SAFETY: `common` was initialized just now. When this guard runs, nothing is
            // registered any more, and nobody but the loader holds a reference to the module.
            let drop_common = ScopeGuard::new(|| unsafe { common.drop_in_place() });

            // SAFETY: `this` is valid for writes, and so are its fields.
            let ops = Opaque::cast_into(unsafe { &raw const (*this).ops });
            // SAFETY: `ops` is valid for writes. It is pinned, and unregistered before its memory
            // is freed. The callbacks are made for the slot that `id` and `size` describe.
            let result = to_result(unsafe {
                ops.write(bindings::pernet_operations {
                    init: Some(Self::init_callback),
                    pre_exit: Some(Self::pre_exit_callback),
                    exit: Some(Self::exit_callback),
                    id: T::KEY.id.get(),
                    size: size_of::<Slot<T>>(),
                    ..Default::default()
                });
                bindings::register_pernet_subsys(ops)
            })
            .and_then(|()| {
                // SAFETY: All namespaces have their instances, and a new namespace gets one before
                // a program can be in it. The drop withdraws before it unregisters. At the drop
                // nobody else holds a reference to the module, because it is unloaded only then. A
                // failure below waits until nobody does.
                unsafe { (*common).publish() }.inspect_err(|_| {
                    // SAFETY: `ops` is registered.
                    unsafe { bindings::unregister_pernet_subsys(ops) }
                })
            });
            match result {
                Ok(()) => unmark.dismiss(),
                Err(error) if wait_for_users::<T::Module>() => return Err(error),
                Err(error) => pr_err!(
                    "loading failed with error {}, but programs use the module: it stays and \
                     serves nothing, unload it when they have closed their sockets\n",
                    error.to_errno()
                ),
            }
            drop_common.dismiss();
            // SAFETY: `this` is valid for writes, and so is the field.
            unsafe { (&raw mut (*this).registered).write(result.is_ok()) };
            Ok(())
        };
        // SAFETY: On success `ops`, `common` and `registered` are initialized, and no other field
        // needs it. On error nothing is left to drop. The memory is pinned by the contract of
        // `PinInit`.
        // INVARIANT: See the checks and the registration above.
        unsafe { pin_init::pin_init_from_closure(init) }
    }
}

impl<T: Subsystem> Module<T> {
    /// The kernel allocates a slot with `kzalloc()`, which aligns at least to this.
    const SLOT_FITS: () = assert!(align_of::<Slot<T>>() <= align_of::<c_ulonglong>());

    /// Called for a new namespace, and for each existing one while registering.
    ///
    /// # Safety
    ///
    /// Only the kernel may call this, as a callback of the operations that `init` registered.
    unsafe extern "C" fn init_callback(net: *mut bindings::net) -> c_int {
        const { Self::SLOT_FITS };
        // SAFETY: The kernel passes a valid namespace.
        let net = unsafe { Net::from_raw(net) };
        from_result(|| {
            // SAFETY: We are in the subsystem's `init` for `net`.
            let slot = unsafe { T::KEY.slot(net) };
            let init = try_pin_init!(Slot {
                attachments: Attached::new(),
                gateway <- new_mutex!(Gateway::Unused, "pernet::Slot"),
                instance <- T::new(net),
            }? Error);
            // SAFETY: `slot` points to memory of the size and alignment of a `Slot`, which is valid
            // for writes and stays where it is until `exit`.
            unsafe { raw_try_init(slot, init) }?;
            // SAFETY: The slot was initialized above. No callback runs: either nothing was attached
            // yet, or `attach` failed and left no callback running. The gateway was closed.
            let drop_slot = ScopeGuard::new(|| unsafe { slot.drop_in_place() });

            // INVARIANT: The slot is that of `net`, and shared from here on.
            let shared = Instance {
                net,
                // SAFETY: The slot is initialized, and does not move.
                slot: unsafe { &*slot },
            };
            let close = ScopeGuard::new(|| shared.slot.close());
            // SAFETY: The instance stays until `exit_callback()`. That drains and drops the
            // attachments, which `pre_exit_callback()` has detached. The subsystem is registered
            // for longer. This is called once for the slot, which does not move.
            unsafe {
                let init = T::Attachments::attach(&shared, T::KEY.common());
                shared.slot.attachments.fill(init)
            }?;
            close.dismiss();
            drop_slot.dismiss();
            Ok(0)
        })
    }

    /// Called when a namespace dies, and for each existing one while unregistering.
    ///
    /// # Safety
    ///
    /// Only the kernel may call this, as a callback of the operations that `init` registered.
    unsafe extern "C" fn pre_exit_callback(net: *mut bindings::net) {
        // SAFETY: The kernel passes a valid namespace, of which `init` succeeded.
        let instance = unsafe { T::KEY.instance(Net::from_raw(net)) };
        // SAFETY: The initial namespace gets its instance first (it is the first of
        // `net_namespace_list`), and never dies. So its instance ends only with the registration.
        // If this thread ends the registration, the instance ends after `pre_exit` of all
        // namespaces (`ops_undo_list()`). Otherwise this thread holds `pernet_ops_rwsem`, and no
        // other thread can end the registration.
        let initial = unsafe { T::KEY.instance(Net::initial()) };
        T::gone(&instance, &initial);
        if let Some(attachments) = instance.attachments() {
            // SAFETY: The kernel calls this once for a namespace, and not from our callbacks.
            unsafe { attachments.detach() };
        }
        // INVARIANT: From here on `Weak::with` does not find the instance.
        instance.slot.close();
    }

    /// Called after `pre_exit` and an RCU grace period.
    ///
    /// # Safety
    ///
    /// Only the kernel may call this, as a callback of the operations that `init` registered.
    unsafe extern "C" fn exit_callback(net: *mut bindings::net) {
        // SAFETY: The kernel passes a valid namespace, of which `init` succeeded. We are in the
        // subsystem's `exit` for it.
        let slot = unsafe { T::KEY.slot(Net::from_raw(net)) };
        // SAFETY: `init` wrote the slot. It may be shared until the `drain` below has returned.
        if let Some(attachments) = unsafe { (*slot).attachments.get() } {
            // SAFETY: `pre_exit_callback()` has detached the attachments. The kernel calls this
            // once.
            unsafe { attachments.drain() };
        }
        // SAFETY: `init` wrote the slot, and nothing refers to it any more: callbacks have ended,
        // and `attachments` is not used below. The kernel frees the memory.
        unsafe { slot.drop_in_place() };
    }
}

#[pinned_drop]
impl<T: Subsystem> PinnedDrop for Module<T> {
    fn drop(self: Pin<&mut Self>) {
        if !self.registered {
            return;
        }
        // SAFETY: By the type invariants `common` is published, and `ops` is registered. The calls
        // wait for the callbacks. `common` is dropped after them, and nobody holds a reference to
        // the module then, because it is unloaded.
        unsafe {
            self.common.withdraw();
            bindings::unregister_pernet_subsys(self.ops.get());
        }
        T::KEY.registered.store(false, Release);
    }
}

/// Whether `address` lies in the static data of the module `M`. Always true for built-in code,
/// because that is never unloaded.
fn is_static_data<M: ModuleMetadata>(address: *const c_void) -> bool {
    let module = this_module::<M>().as_ptr();
    if module.is_null() {
        return true;
    }
    // SAFETY: The module is loaded, because its code runs. Meanwhile these two fields are constant.
    // The fields beside them are not: the kernel keeps the element in a tree.
    let (base, size) = unsafe {
        let data = &raw const (*module).mem[bindings::mod_mem_type_MOD_DATA as usize];
        ((*data).base, (*data).size)
    };
    (address as usize).wrapping_sub(base as usize) < size as usize
}

/// Waits until only the loader has a reference to the module `M`, because the kernel is about to
/// free the module. False if a signal ended the wait.
///
/// While the subsystem was registered in some namespaces, a program may have opened a socket. The
/// socket holds a reference. When a module's initialization fails, the kernel frees the module and
/// ignores its reference count (`do_init_module()`). The socket would then use freed memory.
fn wait_for_users<M: ModuleMetadata>() -> bool {
    let module = this_module::<M>().as_ptr();
    if module.is_null() {
        return true;
    }
    let mut told = false;
    // SAFETY: The module is being loaded, so it is valid.
    while unsafe { bindings::module_refcount(module) } > 1 {
        if !told {
            told = true;
            pr_warn!("loading failed, waiting for programs to close their sockets\n");
        }
        if current!().signal_pending() {
            return false;
        }
        msleep_interruptible(10);
    }
    true
}
