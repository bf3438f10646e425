// SPDX-License-Identifier: GPL-2.0

//! State that lives in every network namespace.
//!
//! A [`Subsystem`] is a type that has one instance in every network namespace: in the namespaces
//! that exist when its [`Module`] is loaded, and in each that is created until the module is
//! unloaded. The rest of the kernel reaches an instance by its [`Attachment`]s (a netlink socket, a
//! Netfilter hook). The order of events is the same for all of them:
//!
//! | step | when | what may run meanwhile |
//! |---|---|---|
//! | [`Subsystem::load`] | module loaded | nothing |
//! | [`Common::new`] | right after | nothing |
//! | [`Subsystem::new`] | namespace created, or module loaded | nothing reaches the instance |
//! | [`Attachment::attach`] | right after | callbacks run from here on |
//! | [`Subsystem::gone`] | `pre_exit` | callbacks |
//! | [`Attachment::detach`] | right after | callbacks that have started may still run |
//! | an RCU grace period | between `pre_exit` and `exit` | most of them end |
//! | [`Attachment::drain`] | `exit` | the last of them ends |
//! | drop of attachments and instance | right after | nothing |
//!
//! Some ways to instances exist once for the module, and not in each namespace: the way through a
//! family of generic netlink. They are the [`Common`] of an attachment, which outlives all
//! instances:
//!
//! | step | when |
//! |---|---|
//! | [`Common::publish`] | module loaded, behind the last step of all namespaces that exist |
//! | [`Common::withdraw`] | module unloaded, before the first step of any namespace |
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
    mem::ManuallyDrop,
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
            AtomicFlag,
            Full,
            Release, //
        },
        new_mutex,
        rcu,
        Arc,
        Mutex,
        SetOnce, //
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
        this_module, //
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
    /// User sockets hold a reference to it, so that the code that serves them is not unloaded.
    type Module: ModuleMetadata;

    /// The attachments, by which the rest of the kernel reaches an instance: one, or a pair, of
    /// which each part may be a pair.
    ///
    /// Nothing else calls the instance. If a type implements the trait of an attachment, such as
    /// `netfilter::Hook`, and does not name the attachment here, the compiler does not warn.
    ///
    /// They are attached in this order. Hooks, which can fail for lack of room, belong before a
    /// netlink socket, which programs can hold open: a load that fails waits for these programs.
    type Attachments: Attachment<Self>;

    /// Where the instances are found: a `static` [`Key`].
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

    /// Called before an instance is removed, while all of it is attached: when its namespace dies,
    /// and when the module is unloaded or fails to load.
    ///
    /// `initial` is the instance of the initial network namespace, which outlives all others. When
    /// the module is unloaded, this is called for the initial namespace first. Its attachments are
    /// detached before this is called for the others. Context: process, may sleep; the kernel holds
    /// `pernet_ops_rwsem`.
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

    /// What is attached to the instance; `None` while the last of it is being attached, which
    /// callbacks of the first may see.
    pub fn attachments(&self) -> Option<&'a T::Attachments> {
        self.slot.attachments.as_ref()
    }

    /// A way back to the instance that may be kept beyond the callback.
    pub fn downgrade(&self) -> Weak<T> {
        self.slot.weak.clone()
    }
}

impl<T: Subsystem> Deref for Instance<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.slot.instance
    }
}

/// A way to an instance that may be kept for any time, and leads to the instance while that exists.
///
/// The code that keeps one must not be unloaded meanwhile.
pub struct Weak<T: Subsystem>(Arc<Gate<T>>);

/// # Invariants
///
/// While `open` is true and locked, the slot of `net` for `T` may be shared.
#[pin_data]
struct Gate<T> {
    net: *mut bindings::net,
    #[pin]
    open: Mutex<bool>,
    /// Invariant: a way to the instance of a type must not pass for one to that of a supertype,
    /// which is another [`Subsystem`], with a slot of its own or none.
    _subsystem: PhantomData<fn(T) -> T>,
}

// SAFETY: The pointer is not tied to a thread, and used only as the lock allows. What it leads to
// is an instance, which every `Subsystem` allows to be shared.
unsafe impl<T> Send for Gate<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Gate<T> {}

impl<T: Subsystem> Weak<T> {
    fn new(net: &Net) -> Result<Self> {
        // INVARIANT: The gate is closed.
        let gate = Arc::pin_init(
            pin_init!(Gate {
                net: net.as_raw(),
                open <- new_mutex!(false, "pernet::Weak"),
                _subsystem: PhantomData,
            }),
            GFP_KERNEL,
        )?;
        Ok(Self(gate))
    }

    /// Calls `f` with the instance; `None` if the instance is gone. It stays until `f` returns. So
    /// `f` must not wait for its end, and must not call this again.
    ///
    /// Context: process, may sleep.
    pub fn with<R>(&self, f: impl FnOnce(&Instance<'_, T>) -> R) -> Option<R> {
        let open = self.0.open.lock();
        if !*open {
            return None;
        }
        // SAFETY: By the type invariants the slot may be shared while we hold the lock, to which
        // `f` is limited: it takes any lifetime. The namespace is there for as long as its slot.
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
    /// `raw` must come from [`into_raw`](Self::into_raw), and not be taken back for `'a`.
    pub(super) unsafe fn borrow<'a>(raw: *mut c_void) -> impl Deref<Target = Self> + 'a {
        // SAFETY: The caller's promise. The reference that it stands for is not given up here.
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

    /// Opens or closes the way. Waits for calls of [`with`](Self::with) that run.
    fn set_open(&self, open: bool) {
        *self.0.open.lock() = open;
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
/// - After [`detach`](Attachment::detach) no new callback may start, save those that had already
///   looked up the way to it under RCU or by a reference that `drain` waits for.
/// - `drain` must return only when no callback uses the instance, with acquire ordering for what
///   the last one did.
/// - An `attach` that fails must leave no callback running.
pub unsafe trait Attachment<T: Subsystem>: Sized + Send + Sync {
    /// What it has once for all namespaces; `()` if there is nothing.
    type Common: Common;

    /// Makes `instance` reachable.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// The instance must stay where it is until [`detach`](Attachment::detach) and
    /// [`drain`](Attachment::drain) have returned, which the caller must call before it drops the
    /// attachment. `common` must stay until the attachment was dropped.
    unsafe fn attach(instance: &Instance<'_, T>, common: &Self::Common) -> Result<Self>;

    /// Ends the start of new callbacks without waiting for those that run.
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
// first one is taken down again.
unsafe impl<T: Subsystem, A: Attachment<T>, B: Attachment<T>> Attachment<T> for (A, B) {
    type Common = (A::Common, B::Common);

    unsafe fn attach(instance: &Instance<'_, T>, common: &Self::Common) -> Result<Self> {
        // SAFETY: The caller's promise, which the calls below keep if nothing is returned.
        let a = unsafe { A::attach(instance, &common.0) }?;
        // SAFETY: The caller's promise.
        match unsafe { B::attach(instance, &common.1) } {
            Ok(b) => Ok((a, b)),
            Err(error) => {
                // SAFETY: These are the only calls, in their order, outside of callbacks.
                unsafe {
                    a.detach();
                    a.drain();
                }
                Err(error)
            }
        }
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

/// The part of an [`Attachment`] that exists once for all namespaces: ways to instances of all of
/// them.
///
/// # Safety
///
/// - Callbacks may use instances from [`publish`](Common::publish) on until
///   [`withdraw`](Common::withdraw) has returned, with acquire ordering for what the last one did.
///   Later they may get at an instance by a [`Weak`] alone, and must hold a reference to the
///   module.
/// - A `publish` that fails must leave no callback running, and none to come.
pub unsafe trait Common: Any + Send + Sync + Sized {
    /// The number of such parts. A type can have one, because a second one would have the same
    /// name.
    const COUNT: usize;

    /// The part of it that is a `P`.
    fn part<P: Any>(&self) -> Option<&P> {
        let this: &dyn Any = self;
        this.downcast_ref()
    }

    /// Makes it. Nobody can find it yet.
    ///
    /// Context: process, may sleep. An error keeps the module from being loaded.
    fn new() -> Result<Self>;

    /// Opens the ways.
    ///
    /// Context: process, may sleep. An error keeps the module from being loaded.
    ///
    /// # Safety
    ///
    /// - Every namespace that a program can have a socket in must have its instance until
    ///   `withdraw` has returned, which the caller must call unless this failed.
    /// - The value must stay where it is from this call on. It may be dropped only when nobody but
    ///   the caller holds a reference to the module, and no instance is left.
    unsafe fn publish(&self) -> Result;

    /// Closes them, and waits for the callbacks that run.
    ///
    /// Context: process, may sleep.
    ///
    /// # Safety
    ///
    /// Must be called once, after a [`publish`](Common::publish) that succeeded, and not by a
    /// callback.
    unsafe fn withdraw(&self);
}

// SAFETY: Nothing is opened.
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
        // SAFETY: The caller's promise. What is withdrawn was published just now.
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

/// What the attachments of `T` have once for all namespaces.
type CommonOf<T> = <<T as Subsystem>::Attachments as Attachment<T>>::Common;

/// The identity of a [`Subsystem`]: the slot that its instances have in every namespace.
///
/// # Invariants
///
/// While `registered` is set, `id` is what `register_pernet_subsys()` chose, or being chosen, and
/// while the subsystem is registered, `common` is valid.
pub struct Key<T: Subsystem> {
    id: UnsafeCell<c_uint>,
    common: UnsafeCell<*const CommonOf<T>>,
    registered: AtomicFlag,
    _subsystem: PhantomData<fn(T) -> T>,
}

// SAFETY: `id` is written by `register_pernet_subsys()` alone, and `common` right before it.
// `registered` admits one of these at a time, before any callback that reads them can run. What
// `common` leads to may be shared.
unsafe impl<T: Subsystem> Sync for Key<T> {}

impl<T: Subsystem> Key<T> {
    /// Creates a key, to be placed in a `static`.
    // Only a constant can initialize a static. Clippy asks for a default of what other crates see.
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
    /// The subsystem must be registered, and `net` between the start of its `init` and the end of
    /// its `exit` for this subsystem.
    unsafe fn slot(&self, net: &Net) -> *mut Slot<T> {
        let _guard = rcu::read_lock();
        // SAFETY: `net` is valid, and there is a pointer at the offset, which is read once, under
        // RCU.
        let table = unsafe { read_acquire(net.as_raw().byte_add(NET_GEN).cast()) };
        let table = table as *const net_generic;
        // SAFETY: The subsystem is registered, so `id` was set and nobody writes to it. A callback
        // that found the namespace by what was registered later, such as a socket, must not read
        // `id` before that: the table comes first.
        let id = unsafe { self.id.get().read_volatile() } as usize;
        // SAFETY: The table is valid under RCU. It is an array of pointers that overlays a header,
        // and it has an entry for every registered `id` (`net_assign_generic()`).
        unsafe { table.cast::<*mut c_void>().add(id).read() }.cast()
    }

    /// What there is once for all namespaces.
    ///
    /// # Safety
    ///
    /// The subsystem must be registered for `'a`.
    pub(super) unsafe fn common<'a>(&self) -> &'a CommonOf<T> {
        // SAFETY: By the type invariants, and as the subsystem is registered, it was written and is
        // valid.
        unsafe { &**self.common.get() }
    }

    /// The instance in `net`.
    ///
    /// # Safety
    ///
    /// Must be called while the instance in `net` may be shared: from its initialization, through
    /// callbacks that an [`Attachment`] of it started, to the return of their `drain`. The result
    /// must not outlive that time.
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
/// Being a constant of [`Subsystem`], it is the same key for a type at all times, which no function
/// could promise; and a plain reference to what may change is not allowed in a constant.
///
/// # Invariants
///
/// The pointer comes from a `&'static Key<T>`.
pub struct KeyRef<T: Subsystem>(*const Key<T>);

impl<T: Subsystem> KeyRef<T> {
    /// Refers to `key`.
    pub const fn new(key: &'static Key<T>) -> Self {
        // INVARIANT: As it says.
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

/// What `net_generic()` memory holds.
struct Slot<T: Subsystem> {
    /// Empty until all of it is attached.
    attachments: SetOnce<T::Attachments>,
    /// Open from the initialization of the slot to the end of `pre_exit`.
    weak: Weak<T>,
    instance: T,
}

/// The module of a [`Subsystem`]: the `type` in `module!`.
///
/// Loading it registers the subsystem with all network namespaces, unloading it detaches and drops
/// all instances.
///
/// This must not be skipped, or the kernel would call code that is unloaded. So the value can only
/// be made where it is dropped before the code is unloaded: in the static memory that `module!`
/// made for it. Safe code cannot take anything out of the value, or forget it.
///
/// # Invariants
///
/// - If `registered` is true, `ops` is registered with `register_pernet_subsys()` and does not
///   move, and `T::KEY` is marked as registered, by this registration. `common` is published then.
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
// SAFETY: There is nothing to do with a shared reference.
unsafe impl<T: Subsystem> Sync for Module<T> {}

impl<T: Subsystem> Module<T> {
    /// Registers the subsystem, for [`InPlaceModule::init`](kernel::InPlaceModule::init).
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the subsystem is registered already.
    /// - `EINVAL`: the memory to initialize is not static data of the module.
    /// - Whatever [`Subsystem::load`], or [`Subsystem::new`] or [`Attachment::attach`] for the
    ///   first namespace that could not be served, or a function of [`Common`] returned. Nothing
    ///   stays registered then.
    ///
    /// If the last kind of error meets a program that has a socket of the module open, `init` waits
    /// for the program, since the kernel would free the module under it. A signal ends the wait
    /// with success: the module stays, serves nothing, and can be unloaded once the program has
    /// closed its socket.
    ///
    /// # Safety
    ///
    /// `T::Module` must be the module that this code is part of. The value must be what `module!`
    /// makes, or a field of that which is dropped with it.
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
            // SAFETY: It was initialized just now. When this runs, nothing is registered any more,
            // and nobody but the loader holds a reference to the module.
            let drop_common = ScopeGuard::new(|| unsafe { common.drop_in_place() });

            // SAFETY: `this` is valid for writes, and so are its fields.
            let ops = Opaque::cast_into(unsafe { &raw const (*this).ops });
            // SAFETY: `ops` is valid for writes. It is pinned, and unregistered before its memory
            // goes. The callbacks are made for the slot that `id` and `size` describe.
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
                // SAFETY: All namespaces have their instances, and each that comes gets one before
                // a program can be in it. The drop withdraws before it unregisters. By then nobody
                // holds a reference to the module, or it could not be unloaded; below, a failure
                // waits for that.
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
        // SAFETY: On success the fields that need it, `ops`, `common` and `registered`, are
        // initialized; on error nothing is left to drop. The memory is pinned by the contract of
        // `PinInit`.
        // INVARIANT: See the checks and the registration above.
        unsafe { pin_init::pin_init_from_closure(init) }
    }
}

impl<T: Subsystem> Module<T> {
    /// `kzalloc()` aligns to this at least, and a slot is what it allocates.
    const SLOT_FITS: () = assert!(align_of::<Slot<T>>() <= align_of::<c_ulonglong>());

    /// Called for a new namespace, and for each existing one while registering.
    ///
    /// # Safety
    ///
    /// To be called by the kernel, as a callback of the operations that `init` registered.
    unsafe extern "C" fn init_callback(net: *mut bindings::net) -> c_int {
        const { Self::SLOT_FITS };
        // SAFETY: The kernel passes a valid namespace.
        let net = unsafe { Net::from_raw(net) };
        from_result(|| {
            // SAFETY: We are in the subsystem's `init` for `net`.
            let slot = unsafe { T::KEY.slot(net) };
            let weak = Weak::new(net)?;
            // SAFETY: `slot` points to memory of the size and alignment of a `Slot`, which is valid
            // for writes and stays where it is until `exit`.
            unsafe {
                raw_try_init(&raw mut (*slot).instance, T::new(net))?;
                (&raw mut (*slot).attachments).write(SetOnce::new());
                (&raw mut (*slot).weak).write(weak.clone());
            }
            // SAFETY: The slot was initialized above. No callback runs, as no attachment is there
            // or one failed to be made, and `weak` was closed.
            let drop_slot = ScopeGuard::new(|| unsafe { slot.drop_in_place() });

            // SAFETY: The slot is initialized, and shared from here on.
            let shared = unsafe { T::KEY.instance(net) };
            // INVARIANT: As just said.
            weak.set_open(true);
            let close = ScopeGuard::new(|| weak.set_open(false));
            // SAFETY: The instance stays until `exit_callback()`, which drains and drops what
            // `pre_exit_callback()` has detached. The subsystem is registered for longer.
            let attached = unsafe { T::Attachments::attach(&shared, T::KEY.common()) }?;
            shared.slot.attachments.populate(attached);
            close.dismiss();
            drop_slot.dismiss();
            Ok(0)
        })
    }

    /// Called when a namespace dies, and for each existing one while unregistering.
    ///
    /// # Safety
    ///
    /// To be called by the kernel, as a callback of the operations that `init` registered.
    unsafe extern "C" fn pre_exit_callback(net: *mut bindings::net) {
        // SAFETY: The kernel passes a valid namespace, of which `init` succeeded.
        let instance = unsafe { T::KEY.instance(Net::from_raw(net)) };
        // SAFETY: The initial namespace is the first to be given an instance (it is the first of
        // `net_namespace_list`). It never dies. Its instance goes with the registration, in the
        // thread that ends it, after `pre_exit` of all namespaces (`ops_undo_list()`); otherwise
        // `pernet_ops_rwsem`, held now, keeps registrations from ending.
        let initial = unsafe { T::KEY.instance(Net::initial()) };
        T::gone(&instance, &initial);
        if let Some(attachments) = instance.attachments() {
            // SAFETY: The kernel calls this once for a namespace, not from our callbacks.
            unsafe { attachments.detach() };
        }
        // INVARIANT: From here on nobody gets at the instance this way.
        instance.slot.weak.set_open(false);
    }

    /// Called after `pre_exit` and an RCU grace period.
    ///
    /// # Safety
    ///
    /// To be called by the kernel, as a callback of the operations that `init` registered.
    unsafe extern "C" fn exit_callback(net: *mut bindings::net) {
        // SAFETY: The kernel passes a valid namespace, of which `init` succeeded.
        let net = unsafe { Net::from_raw(net) };
        // SAFETY: The instance may be shared until the `drain` below has returned.
        let instance = unsafe { T::KEY.instance(net) };
        if let Some(attachments) = instance.attachments() {
            // SAFETY: Detached by `pre_exit_callback()`, and the kernel calls this once.
            unsafe { attachments.drain() };
        }
        // SAFETY: We are in the subsystem's `exit` for `net`.
        let slot = unsafe { T::KEY.slot(net) };
        // SAFETY: `init` wrote the slot, and nothing refers to it any more: callbacks have ended,
        // and this was the last use of `instance`. The kernel frees the memory.
        unsafe { slot.drop_in_place() };
    }
}

#[pinned_drop]
impl<T: Subsystem> PinnedDrop for Module<T> {
    fn drop(self: Pin<&mut Self>) {
        if !self.registered {
            return;
        }
        // SAFETY: By the type invariants `common` is published, and `ops` is registered. This waits
        // for the callbacks. `common` is dropped behind it: a module is unloaded when nobody holds
        // a reference.
        unsafe {
            self.common.withdraw();
            bindings::unregister_pernet_subsys(self.ops.get());
        }
        T::KEY.registered.store(false, Release);
    }
}

/// Whether `address` lies in the static data of the module `M`; true for built-in code, which is
/// never unloaded.
fn is_static_data<M: ModuleMetadata>(address: *const c_void) -> bool {
    let module = this_module::<M>().as_ptr();
    if module.is_null() {
        return true;
    }
    // SAFETY: The module is loaded, since its code runs. These two are constant meanwhile; what is
    // beside them is not, as the kernel keeps the element in a tree.
    let (base, size) = unsafe {
        let data = &raw const (*module).mem[bindings::mod_mem_type_MOD_DATA as usize];
        ((*data).base, (*data).size)
    };
    (address as usize).wrapping_sub(base as usize) < size as usize
}

/// Waits until only the loader has a reference to the module `M`, which the kernel is about to
/// free; false if a signal ended the wait.
///
/// While the subsystem was registered in some namespaces, a program may have opened a socket, which
/// holds a reference. When a module's initialization fails, the kernel frees the module and ignores
/// its reference count (`do_init_module()`). The socket would then use freed memory.
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
