// SPDX-License-Identifier: GPL-2.0

//! State that lives in every network namespace.
//!
//! A [`Subsystem`] is a type that has one instance in every network namespace: in the namespaces
//! that exist when its [`Module`] is loaded, and in each namespace that is created until the module
//! is unloaded. The rest of the kernel reaches an instance through its [`Attachment`]s (a netlink
//! socket, a Netfilter hook). The order of events is the same for all attachments:
//!
//! | step | when | callbacks that use the instance |
//! |---|---|---|
//! | [`Subsystem::load`] | module loaded | none, as there is no instance |
//! | [`Common::new`] | right after `Subsystem::load` | none, as there is no instance |
//! | [`Subsystem::new`] | namespace created, or module loaded | none can reach the instance |
//! | [`Attachment::attach`] | right after `Subsystem::new` | callbacks run from this step on |
//! | [`Subsystem::gone`] | first part of `pre_exit` | callbacks run and start |
//! | [`Attachment::detach`] | second part of `pre_exit` | running callbacks may continue |
//! | an RCU grace period | between `pre_exit` and `exit` | most callbacks end in this step |
//! | [`Attachment::drain`] | first part of `exit` | the last callback ends in this step |
//! | drop of attachments and instance | second part of `exit` | none |
//!
//! Some attachments also need a part that exists once for the module, not in each namespace. An
//! example is a family of generic netlink. This part is the [`Common`] of the attachment, and
//! outlives all instances:
//!
//! | step | when |
//! |---|---|
//! | [`Common::publish`] | module loaded, after [`Attachment::attach`] in all namespaces |
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
/// Callbacks on several CPUs use an instance at the same time, so the type must be `Send` and
/// `Sync`.
pub trait Subsystem: Sized + Send + Sync + 'static {
    /// The module that contains the callbacks of the attachments.
    ///
    /// A user socket holds a reference to this module, so that the code which serves the
    /// socket is not unloaded.
    type Module: ModuleMetadata;

    /// The attachments, through which the rest of the kernel reaches an instance: one attachment,
    /// or a pair. Each part of a pair can itself be a pair.
    ///
    /// The kernel calls an instance only through these attachments. If a type implements
    /// the trait of an attachment, such as `netfilter::Hook`, and does not name the
    /// attachment here, the kernel never calls the methods of this trait, and the compiler does
    /// not warn.
    ///
    /// The parts of a pair are attached in their order. Put hooks before a kernel socket:
    /// the kernel can refuse a hook, for example for lack of memory, and then the load of
    /// the module fails. If the kernel socket is already attached at that time, a program
    /// can have a user socket of the protocol open. Then the load waits until the program
    /// closes that socket.
    type Attachments: Attachment<Self>;

    /// The `static` [`Key`] that leads to the instances.
    const KEY: KeyRef<Self>;

    /// Called once when the module is loaded, before anything else.
    ///
    /// Context: process, may sleep. If this function fails, the module is not loaded.
    fn load() -> Result {
        Ok(())
    }

    /// Makes the instance of a network namespace.
    ///
    /// Context: process, may sleep; the kernel holds `pernet_ops_rwsem`. If this function fails,
    /// the creation of the namespace or the loading of the module fails.
    fn new(net: &Net) -> impl PinInit<Self, Error>;

    /// Called before an instance is removed, while all its attachments are attached: when its
    /// namespace dies, and when the module is unloaded or fails to load.
    ///
    /// `initial` is the instance of the initial network namespace. This instance outlives all
    /// other instances. When the module is unloaded, `gone` is called for the initial namespace
    /// first. The attachments of the initial namespace are detached before `gone` is called for
    /// another namespace. Context: process, may sleep; the kernel holds `pernet_ops_rwsem`.
    fn gone(instance: &Instance<'_, Self>, initial: &Instance<'_, Self>) {
        let _ = (instance, initial);
    }
}

/// The instance of a [`Subsystem`] in a network namespace, borrowed for the duration of a callback.
///
/// # Invariants
///
/// During `'a`, shared references to all parts of `slot` are allowed. `slot` is the slot of `net`.
pub struct Instance<'a, T: Subsystem> {
    net: &'a Net,
    slot: &'a Slot<T>,
}

impl<'a, T: Subsystem> Instance<'a, T> {
    /// The namespace.
    pub fn net(&self) -> &'a Net {
        self.net
    }

    /// The attachments of the instance. `None` until the last attachment is attached. Before that,
    /// callbacks of the attachments that are already attached can run.
    pub fn attachments(&self) -> Option<&'a T::Attachments> {
        self.slot.attachments.get()
    }

    /// A weak reference to the instance. The caller may keep it after the callback has returned.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`.
    /// - `ESHUTDOWN`: the instance is being removed.
    pub fn downgrade(&self) -> Result<Weak<T>> {
        let mut gateway = self.slot.gateway.lock();
        match &*gateway {
            Gateway::Closed => Err(ESHUTDOWN),
            Gateway::Open(weak) => Ok(weak.clone()),
            Gateway::Unused => {
                // INVARIANT: By the type invariants `self.slot` is the slot of `net`.
                // `Slot::close` closes the gate before the slot's lifetime ends.
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

/// A weak reference to an instance. A caller may keep it for any time. It leads to the instance
/// while the instance exists.
///
/// Code that keeps a `Weak` must drop it before the module with this code is unloaded.
pub struct Weak<T: Subsystem>(Arc<Gate<T>>);

/// # Invariants
///
/// While `open` is true and locked, shared references to the slot of `net` for `T` are allowed.
#[pin_data]
struct Gate<T> {
    net: *mut bindings::net,
    #[pin]
    open: Mutex<bool>,
    /// Makes `Gate<T>` invariant in `T`, in the sense of variance: a `Weak<T>` must not coerce to a
    /// `Weak` of a supertype of `T`. The supertype can be another [`Subsystem`], which has another
    /// slot or none.
    _subsystem: PhantomData<fn(T) -> T>,
}

// SAFETY: The pointer `net` is not tied to a thread, and is used only under the lock. It
// leads to an instance, and threads may share instances, because every `Subsystem` is
// `Sync`.
unsafe impl<T> Send for Gate<T> {}
// SAFETY: The same argument as for `Send`.
unsafe impl<T> Sync for Gate<T> {}

impl<T: Subsystem> Weak<T> {
    /// Makes a gate that is open. The caller must establish the invariant of [`Gate`].
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

    /// Calls `f` with the instance, or returns `None` if the instance is gone. The instance
    /// stays until `f` returns. So `f` must not wait for the instance's end. `f` must not
    /// call this function for the same instance either: this function holds a mutex of the
    /// instance while `f` runs, so the second call would never return.
    ///
    /// Context: process, may sleep.
    pub fn with<R>(&self, f: impl FnOnce(&Instance<'_, T>) -> R) -> Option<R> {
        let open = self.0.open.lock();
        if !*open {
            return None;
        }
        // SAFETY: By the type invariants the slot may be shared while we hold the lock. `f` accepts
        // any lifetime, so it cannot keep the instance after it returns, and it returns while we
        // hold the lock. The namespace exists as long as its slot.
        let instance = unsafe { T::KEY.instance(Net::from_raw(self.0.net)) };
        Some(f(&instance))
    }

    /// Makes a pointer from the value. The kernel's code in C can store the pointer.
    pub(super) fn into_raw(self) -> *mut c_void {
        Arc::into_raw(self.0).cast_mut().cast()
    }

    /// Borrows the value from which [`into_raw`](Self::into_raw) made `raw`.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`into_raw`](Self::into_raw). [`from_raw`](Self::from_raw) must not
    /// take the value back before `'a` ends.
    pub(super) unsafe fn borrow<'a>(raw: *mut c_void) -> impl Deref<Target = Self> + 'a {
        // SAFETY: The caller promises that `raw` comes from `into_raw`, and that `from_raw`
        // does not take the value back before `'a` ends. `ManuallyDrop` keeps the reference
        // that `raw` stands for.
        ManuallyDrop::new(Self(unsafe { Arc::from_raw(raw.cast()) }))
    }

    /// Takes back the value from which [`into_raw`](Self::into_raw) made `raw`.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`into_raw`](Self::into_raw). For each call of `into_raw`,
    /// `from_raw` must be called at most once.
    pub(super) unsafe fn from_raw(raw: *mut c_void) -> Self {
        // SAFETY: The caller promises that `raw` comes from `into_raw`, and is taken back only
        // once.
        Self(unsafe { Arc::from_raw(raw.cast()) })
    }

    /// After this call [`with`](Self::with) does not find the instance any more. `close`
    /// waits until the calls of `with` that are running have returned.
    fn close(&self) {
        *self.0.open.lock() = false;
    }
}

impl<T: Subsystem> Clone for Weak<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// An object through which the rest of the kernel calls an instance of `T`.
///
/// # Safety
///
/// - Callbacks may use the instance from [`attach`](Attachment::attach) on until
///   [`drain`](Attachment::drain) has returned.
/// - After [`detach`](Attachment::detach) no new callback may start, with one exception: a
///   caller that found the callback before `detach`, under RCU or by a reference that
///   `drain` waits for, may still start the callback.
/// - `drain` must return only when no callback uses the instance. The return of `drain` must have
///   acquire ordering with respect to all that the last callback did.
/// - An `attach` that fails must leave no callback running.
pub unsafe trait Attachment<T: Subsystem>: Sized + Send + Sync {
    /// The part of the attachment that exists once for all namespaces; `()` if there is none.
    type Common: Common;

    /// Returns the initializer of the attachment. When the initializer runs, it makes
    /// `instance` reachable.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// The caller must call [`detach`](Attachment::detach) and [`drain`](Attachment::drain)
    /// before it drops the attachment. The instance must stay where it is until `drain` has
    /// returned. `common` must stay where it is until the attachment was dropped.
    unsafe fn attach(
        instance: &Instance<'_, T>,
        common: &Self::Common,
    ) -> impl PinInit<Self, Error>;

    /// Makes sure that no new callback starts. This function does not wait for callbacks
    /// that are running.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// Must be called once, and not by a callback.
    unsafe fn detach(&self);

    /// Waits for the callbacks that are running.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// Must be called once, after [`detach`](Attachment::detach), and not by a callback.
    unsafe fn drain(&self);
}

// SAFETY: Each part fulfills the requirements for itself. If the second part cannot be attached,
// the first part is detached and drained.
unsafe impl<T: Subsystem, A: Attachment<T>, B: Attachment<T>> Attachment<T> for (A, B) {
    type Common = (A::Common, B::Common);

    unsafe fn attach(
        instance: &Instance<'_, T>,
        common: &Self::Common,
    ) -> impl PinInit<Self, Error> {
        let init = move |this: *mut Self| {
            // SAFETY: The places of both parts are valid for writes, and pinned. If both
            // parts are attached, the caller keeps the other requirements of `attach`. If
            // `B::attach` fails, the calls below detach and drain the first part.
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
        // SAFETY: The caller keeps the requirements of `detach`, so they hold for both parts.
        unsafe {
            self.0.detach();
            self.1.detach();
        }
    }

    unsafe fn drain(&self) {
        // SAFETY: The caller keeps the requirements of `drain`, so they hold for both parts.
        unsafe {
            self.0.drain();
            self.1.drain();
        }
    }
}

/// The part of an [`Attachment`] that exists once for all namespaces. Through this part the kernel
/// reaches the instances of all namespaces.
///
/// # Safety
///
/// - Callbacks may use instances from [`publish`](Common::publish) on until
///   [`withdraw`](Common::withdraw) has returned. The return of `withdraw` must have
///   acquire ordering with respect to all that the last callback did. Callbacks that run
///   later may reach an instance only by a [`Weak`], and must hold a reference to the
///   module.
/// - After a `publish` that fails no callback may run or start.
pub unsafe trait Common: Any + Send + Sync + Sized {
    /// The number of parts of this value that publish something. The attachments of one subsystem
    /// can have only one such part: a second one would publish the same name again.
    const COUNT: usize;

    /// The part of the value that has the type `P`, if there is such a part.
    fn part<P: Any>(&self) -> Option<&P> {
        let this: &dyn Any = self;
        this.downcast_ref()
    }

    /// Makes the value. Nobody can find the value before `publish`.
    ///
    /// Context: process, may sleep. If this function fails, the module is not loaded.
    fn new() -> Result<Self>;

    /// Lets the kernel call the callbacks of this part.
    ///
    /// Context: process, may sleep. If this function fails, the module is not loaded.
    ///
    /// # Safety
    ///
    /// - Every namespace in which a program can have a socket must have its instance until
    ///   `withdraw` has returned. The caller must call `withdraw` unless `publish` has failed.
    /// - The value must stay where it is from this call on. The value may be dropped only when
    ///   nobody but the caller holds a reference to the module, and no instance is left.
    unsafe fn publish(&self) -> Result;

    /// Makes sure that no new callback starts, and waits for the callbacks that are running.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// Must be called once, after a [`publish`](Common::publish) that succeeded, and not by a
    /// callback.
    unsafe fn withdraw(&self);
}

// SAFETY: `()` has no callbacks.
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

// SAFETY: Each part fulfills the requirements for itself. If the second part cannot be published,
// the first part is withdrawn.
unsafe impl<A: Common, B: Common> Common for (A, B) {
    const COUNT: usize = A::COUNT + B::COUNT;

    fn part<P: Any>(&self) -> Option<&P> {
        self.0.part().or_else(|| self.1.part())
    }

    fn new() -> Result<Self> {
        Ok((A::new()?, B::new()?))
    }

    unsafe fn publish(&self) -> Result {
        // SAFETY: The caller keeps the requirements of `publish`, so they hold for both parts.
        // `withdraw` is called for the first part only after it was published.
        unsafe {
            self.0.publish()?;
            self.1.publish().inspect_err(|_| self.0.withdraw())
        }
    }

    unsafe fn withdraw(&self) {
        // SAFETY: The caller keeps the requirements of `withdraw`, so they hold for both parts.
        unsafe {
            self.1.withdraw();
            self.0.withdraw();
        }
    }
}

/// The part of the attachments of `T` that exists once for all namespaces.
type CommonOf<T> = <<T as Subsystem>::Attachments as Attachment<T>>::Common;

/// The identity of a [`Subsystem`]. A key leads to the slot of the subsystem's instance in a
/// namespace.
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

// SAFETY: Only `register_pernet_subsys()` writes `id`. `Module::new` writes `common` right
// before it calls `register_pernet_subsys()`. `registered` admits one registration at a
// time. `id` and `common` are written before any callback that reads them can run. Threads
// may share the value behind `common`, because every `Common` is `Sync`.
unsafe impl<T: Subsystem> Sync for Key<T> {}

impl<T: Subsystem> Key<T> {
    /// Creates a key, which must be placed in a `static`.
    // `Key` does not implement `Default`: a key must be in a `static`, and
    // `Default::default()` cannot initialize a `static`. If other crates see the type,
    // Clippy asks for `Default`.
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
    /// The subsystem must be registered. The call must come after the start of the subsystem's
    /// `init` for `net`, and before the end of its `exit` for `net`.
    unsafe fn slot(&self, net: &Net) -> *mut Slot<T> {
        let _guard = rcu::read_lock();
        // SAFETY: `net` is valid, and has a pointer at the offset `NET_GEN`. The pointer is read
        // once, under RCU.
        let table = unsafe { read_acquire(net.as_raw().byte_add(NET_GEN).cast()) };
        let table = table as *const net_generic;
        // SAFETY: The subsystem is registered, so `id` was set and nobody writes to it. A callback
        // that found `net` by a socket must not read a value of `id` that is older than the socket.
        // The acquire read of the table, above, ensures this.
        let id = unsafe { self.id.get().read_volatile() } as usize;
        // SAFETY: The table is valid under RCU. The table is an array of pointers. Its header takes
        // the place of the first pointers. The table has an entry for every registered `id`
        // (`net_assign_generic()`).
        unsafe { table.cast::<*mut c_void>().add(id).read() }.cast()
    }

    /// The part of the attachments that exists once for all namespaces.
    ///
    /// # Safety
    ///
    /// The subsystem must be registered during `'a`.
    pub(super) unsafe fn common<'a>(&self) -> &'a CommonOf<T> {
        // SAFETY: The subsystem is registered. So by the type invariants `common` was written and
        // is valid.
        unsafe { &**self.common.get() }
    }

    /// The instance in `net`.
    ///
    /// # Safety
    ///
    /// The instance in `net` must be shareable. An instance is shareable from its initialization
    /// on, until the last `drain` of its [`Attachment`]s has returned. The result must not be used
    /// after that.
    pub(super) unsafe fn instance<'a>(&self, net: &'a Net) -> Instance<'a, T> {
        // SAFETY: An instance is shareable only after the start of `init` and before the end of
        // `exit`.
        let slot = unsafe { self.slot(net) };
        // SAFETY: While the instance is shareable, the slot is initialized, does not move, and has
        // only shared references.
        // INVARIANT: For the same reason shared references to `slot` are allowed. `self.slot()` has
        // found `slot` for `net`.
        let slot = unsafe { &*slot };
        Instance { net, slot }
    }
}

/// A constant reference to a [`Key`].
///
/// [`Subsystem::KEY`] has this type. `KEY` is a constant, so that a type has the same key
/// at all times: a function could return another key each time. `KEY` is not a plain
/// reference, because Rust forbids a constant to refer to a value that can change.
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
    /// After this call no [`Weak`] leads to the instance any more. `close` waits until the
    /// calls of [`Weak::with`] that are running have returned.
    fn close(&self) {
        // The lock of `gateway` is released before `weak.close()` waits, because a function
        // that runs in `Weak::with` can call `downgrade`, which takes this lock.
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
    /// The instance is being removed, and nobody can get a weak reference any more.
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
    /// Makes an empty place.
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
        // SAFETY: By the type invariants `attachments` is initialized, because `complete` is set.
        Some(unsafe { (*self.attachments.get()).assume_init_ref() })
    }

    /// Attaches all attachments.
    ///
    /// # Safety
    ///
    /// This function must be called once. `self` must not move after the call.
    unsafe fn fill(&self, init: impl PinInit<A, Error>) -> Result {
        // SAFETY: The place is valid for writes. It is pinned, because the caller promises
        // that `self` does not move. Nobody reads the place before `complete` is set.
        unsafe { raw_try_init(self.attachments.get().cast(), init) }?;
        // INVARIANT: `attachments` was just initialized.
        self.complete.store(true, Release);
        Ok(())
    }
}

impl<A> Drop for Attached<A> {
    fn drop(&mut self) {
        if *self.complete.get_mut() {
            // SAFETY: By the type invariants `attachments` is initialized. `&mut self` shows that
            // nobody else has a reference to it.
            unsafe { self.attachments.get_mut().assume_init_drop() };
        }
    }
}

/// The module of a [`Subsystem`]: the `type` in `module!`.
///
/// Loading the module registers the subsystem with all network namespaces. Unloading the module
/// detaches and drops all instances.
///
/// The drop of the value must not be skipped, because then the kernel would call code that is
/// unloaded. So the value can only be made in the static memory that `module!` provides. A value in
/// that memory is dropped before the code is unloaded, and safe code can neither move it out nor
/// forget it.
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
    /// Whether the subsystem is registered. In a loaded module this is false only if the
    /// registration failed and a signal then ended the wait for the programs that use the
    /// module.
    registered: bool,
    #[pin]
    _pin: PhantomPinned,
    _subsystem: PhantomData<T>,
}

// SAFETY: The only thing that code can do with the value is to drop it, and the drop may run on any
// thread.
unsafe impl<T: Subsystem> Send for Module<T> {}
// SAFETY: Code can do nothing with a shared reference to the value.
unsafe impl<T: Subsystem> Sync for Module<T> {}

impl<T: Subsystem> Module<T> {
    /// Registers the subsystem, for [`InPlaceModule::init`](kernel::InPlaceModule::init).
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the subsystem is registered already.
    /// - `EINVAL`: the memory to initialize is not static data of the module.
    /// - Any error of [`Subsystem::load`] or of a function of [`Common`].
    /// - Any error of [`Subsystem::new`] or [`Attachment::attach`], which run for each
    ///   namespace until one of them fails.
    ///
    /// After an error nothing stays registered.
    ///
    /// If the registration fails while a program already has a socket of the module open,
    /// `init` waits until the program closes the socket. Otherwise the kernel would free
    /// the module while the socket uses it. If a signal ends the wait, `init` succeeds: the
    /// module stays loaded, serves nothing, and can be unloaded when the program has closed
    /// its socket.
    ///
    /// # Safety
    ///
    /// `T::Module` must be the module that this code is part of. The value must be the
    /// value that `module!` makes, or a field that is dropped together with that value.
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
            // SAFETY: `this` is valid for writes, and so is its field `common`. Nobody reads
            // `common` before the registration below.
            let common = unsafe {
                let common = &raw mut (*this).common;
                common.write(made);
                *T::KEY.common.get() = common;
                common
            };
            // SAFETY: `common` was initialized just now. This guard runs only after an error. Then
            // nothing is registered any more, and nobody but the loader holds a reference to the
            // module.
            let drop_common = ScopeGuard::new(|| unsafe { common.drop_in_place() });

            // SAFETY: `this` is valid for writes, and so are its fields.
            let ops = Opaque::cast_into(unsafe { &raw const (*this).ops });
            // SAFETY: `ops` is valid for writes. `ops` is pinned, and is unregistered before its
            // memory is freed. The callbacks expect a slot of the size `size` at the index `id`, as
            // `ops` says.
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
                // SAFETY: All namespaces have their instances, and a new namespace gets an instance
                // before a program can be in the namespace. The drop of `Module` calls `withdraw`
                // before it unregisters `ops`. The kernel drops the `Module` only when it unloads
                // the module, so when nobody else holds a reference to the module. If `publish`
                // fails, `wait_for_users()` waits until nobody else holds a reference.
                unsafe { (*common).publish() }.inspect_err(|_| {
                    // SAFETY: `ops` is registered.
                    unsafe { bindings::unregister_pernet_subsys(ops) }
                })
            });
            match result {
                Ok(()) => unmark.dismiss(),
                Err(error) if wait_for_users::<T::Module>() => return Err(error),
                Err(error) => pr_err!(
                    "loading failed with error {}, but programs use the module, so it stays \
                     loaded and serves nothing; unload it when they have closed their sockets\n",
                    error.to_errno()
                ),
            }
            drop_common.dismiss();
            // SAFETY: `this` is valid for writes, and so is its field `registered`.
            unsafe { (&raw mut (*this).registered).write(result.is_ok()) };
            Ok(())
        };
        // SAFETY: On success `ops`, `common` and `registered` are initialized, and no other field
        // needs to be initialized. On error nothing is left to drop. The memory is pinned by the
        // contract of `PinInit`.
        // INVARIANT: See the checks and the registration above.
        unsafe { pin_init::pin_init_from_closure(init) }
    }
}

impl<T: Subsystem> Module<T> {
    /// The kernel allocates a slot with `kzalloc()`, which aligns the slot at least for an
    /// `unsigned long long`.
    const SLOT_FITS: () = assert!(align_of::<Slot<T>>() <= align_of::<c_ulonglong>());

    /// Called for each new namespace, and during the registration for each existing namespace.
    ///
    /// # Safety
    ///
    /// Only the kernel may call this, as a callback of the operations that `Module::new`
    /// registered.
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
            // SAFETY: `slot` points to memory of the size and alignment of a `Slot`. The memory is
            // valid for writes, and stays where it is until `exit`.
            unsafe { raw_try_init(slot, init) }?;
            // SAFETY: The slot was initialized above. This guard runs only if `attach` below has
            // failed. A failed `attach` leaves no callback running. Before this guard runs, the
            // guard `close` has closed the gateway.
            let drop_slot = ScopeGuard::new(|| unsafe { slot.drop_in_place() });

            // INVARIANT: The slot is the slot of `net`. From here on only shared references to it
            // are used.
            let shared = Instance {
                net,
                // SAFETY: The slot is initialized, and does not move.
                slot: unsafe { &*slot },
            };
            let close = ScopeGuard::new(|| shared.slot.close());
            // SAFETY: The instance stays until `exit_callback()`. `pre_exit_callback()` detaches
            // the attachments, then `exit_callback()` drains and drops them. The subsystem stays
            // registered until then. `fill` is called once for this slot, and the slot does not
            // move.
            unsafe {
                let init = T::Attachments::attach(&shared, T::KEY.common());
                shared.slot.attachments.fill(init)
            }?;
            close.dismiss();
            drop_slot.dismiss();
            Ok(0)
        })
    }

    /// Called for each namespace that dies, and when the subsystem is unregistered, for each
    /// existing namespace.
    ///
    /// # Safety
    ///
    /// Only the kernel may call this, as a callback of the operations that `Module::new`
    /// registered.
    unsafe extern "C" fn pre_exit_callback(net: *mut bindings::net) {
        // SAFETY: The kernel passes a valid namespace, for which `init` has succeeded.
        let instance = unsafe { T::KEY.instance(Net::from_raw(net)) };
        // SAFETY: The initial namespace gets its instance first (it is the first of
        // `net_namespace_list`), and never dies. So its instance ends only when the subsystem is
        // unregistered. If this thread unregisters the subsystem, that instance ends after
        // `pre_exit` of all namespaces (`ops_undo_list()`). If this thread removes a namespace, it
        // holds `pernet_ops_rwsem`, so no other thread can unregister the subsystem.
        let initial = unsafe { T::KEY.instance(Net::initial()) };
        T::gone(&instance, &initial);
        if let Some(attachments) = instance.attachments() {
            // SAFETY: The kernel calls `pre_exit` once for each namespace, and not from our
            // callbacks.
            unsafe { attachments.detach() };
        }
        // INVARIANT: The gate is closed before the instance is dropped.
        instance.slot.close();
    }

    /// Called after `pre_exit` and an RCU grace period.
    ///
    /// # Safety
    ///
    /// Only the kernel may call this, as a callback of the operations that `Module::new`
    /// registered.
    unsafe extern "C" fn exit_callback(net: *mut bindings::net) {
        // SAFETY: The kernel passes a valid namespace, for which `init` has succeeded. We are in
        // the subsystem's `exit` for this namespace.
        let slot = unsafe { T::KEY.slot(Net::from_raw(net)) };
        // SAFETY: `init` wrote the slot. Shared references to the slot are allowed until the
        // `drain` below has returned.
        if let Some(attachments) = unsafe { (*slot).attachments.get() } {
            // SAFETY: `pre_exit_callback()` has detached the attachments. The kernel calls `exit`
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
        // SAFETY: By the type invariants `common` is published, and `ops` is registered. Both calls
        // wait until the callbacks have ended. `common` is dropped after these calls. At that time
        // nobody holds a reference to the module, because it is being unloaded.
        unsafe {
            self.common.withdraw();
            bindings::unregister_pernet_subsys(self.ops.get());
        }
        T::KEY.registered.store(false, Release);
    }
}

/// Whether `address` lies in the static data of the module `M`. Always true for built-in code,
/// because built-in code is never unloaded.
fn is_static_data<M: ModuleMetadata>(address: *const c_void) -> bool {
    let module = this_module::<M>().as_ptr();
    if module.is_null() {
        return true;
    }
    // SAFETY: The module is loaded, because its code runs. While a module is loaded, the fields
    // `base` and `size` do not change. Other fields of the same `module_memory` can change, because
    // the kernel keeps it in a tree. So no reference to the whole `module_memory` is made.
    let (base, size) = unsafe {
        let data = &raw const (*module).mem[bindings::mod_mem_type_MOD_DATA as usize];
        ((*data).base, (*data).size)
    };
    (address as usize).wrapping_sub(base as usize) < size as usize
}

/// Waits until only the loader has a reference to the module `M`, because the kernel is about to
/// free the module. Returns false if a signal ended the wait.
///
/// Before the load failed, the subsystem was registered in some namespaces, and a program may have
/// opened a socket there. The socket holds a reference to the module. But when a module's
/// initialization fails, the kernel frees the module and ignores its reference count
/// (`do_init_module()`). The socket would then use freed memory.
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
