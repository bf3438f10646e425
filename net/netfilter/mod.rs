// SPDX-License-Identifier: GPL-2.0

//! Netfilter hooks.
//!
//! A [`Subsystem`] that implements [`Hook`] and names [`Hooks`] among its attachments sees the
//! packets of every network namespace at the points it chooses.
//!
//! C header: [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h)
//!
//! # Examples
//!
//! ```
//! # use net::{
//! #     namespace::Net,
//! #     netfilter::{self, Family, Hooknum, Point, Priority, State, Verdict},
//! #     pernet,
//! #     skbuff::{Packet, ReadAt},
//! # };
//! # struct Firewall;
//! # static FIREWALL: pernet::Key<Firewall> = pernet::Key::new();
//! # impl pernet::Subsystem for Firewall {
//! #     type Module = crate::LocalModule;
//! #     type Attachments = netfilter::Hooks<Self>;
//! #     const KEY: pernet::KeyRef<Self> = pernet::KeyRef::new(&FIREWALL);
//! #
//! #     fn new(_net: &Net) -> impl PinInit<Self, Error> {
//! #         Ok(Self)
//! #     }
//! # }
//! const ICMP: u8 = 1;
//!
//! impl netfilter::Hook for Firewall {
//!     fn points(&self) -> impl Iterator<Item = Point> {
//!         core::iter::once(Point {
//!             family: Family::Ipv4,
//!             hooknum: Hooknum::PreRouting,
//!             priority: Priority::FILTER,
//!         })
//!     }
//!
//!     fn hook(&self, packet: &Packet, _state: &State, _point: &Point) -> Verdict {
//!         match packet.read_at::<1>(9) {
//!             Some([ICMP]) => Verdict::queue(0, true),
//!             _ => Verdict::ACCEPT,
//!         }
//!     }
//! }
//! ```

mod verdict;

pub use self::verdict::Verdict;

use core::{
    hint::assert_unchecked,
    mem::offset_of,
    ops::Deref,
    pin::Pin,
    ptr::{
        self,
        NonNull, //
    }, //
};

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::{
        new_mutex,
        Mutex, //
    }, //
};

use super::{
    bindings::{
        nf_hook_ops,
        nf_hook_state,
        nf_inet_hooks_NF_INET_FORWARD,
        nf_inet_hooks_NF_INET_LOCAL_IN,
        nf_inet_hooks_NF_INET_LOCAL_OUT,
        nf_inet_hooks_NF_INET_POST_ROUTING,
        nf_inet_hooks_NF_INET_PRE_ROUTING,
        nf_ip_hook_priorities_NF_IP_PRI_FILTER,
        nf_register_net_hook,
        nf_unregister_net_hook,
        NFPROTO_IPV4,
        NFPROTO_IPV6, //
    },
    compat::{
        rcu_gp_seq,
        synchronize_rcu,
        ESHUTDOWN, //
    },
    device::NetDevice,
    namespace::Net,
    pernet::{
        Attachment,
        Instance,
        Subsystem, //
    },
    rcu::ReadSide,
    skbuff::Packet, //
};

/// The network layer protocol whose packets a hook sees.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    /// IPv4 (`NFPROTO_IPV4`).
    Ipv4 = NFPROTO_IPV4 as u8,
    /// IPv6 (`NFPROTO_IPV6`).
    Ipv6 = NFPROTO_IPV6 as u8,
}

/// Where on its way a packet meets a hook (`enum nf_inet_hooks`).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Hooknum {
    /// Every packet that arrives, before it is routed.
    PreRouting = nf_inet_hooks_NF_INET_PRE_ROUTING as u8,
    /// Packets for this host.
    LocalIn = nf_inet_hooks_NF_INET_LOCAL_IN as u8,
    /// Packets that this host routes for others.
    Forward = nf_inet_hooks_NF_INET_FORWARD as u8,
    /// Packets that this host sends.
    LocalOut = nf_inet_hooks_NF_INET_LOCAL_OUT as u8,
    /// Every packet that leaves, after it was routed.
    PostRouting = nf_inet_hooks_NF_INET_POST_ROUTING as u8,
}

impl Hooknum {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::PreRouting,
        Self::LocalIn,
        Self::Forward,
        Self::LocalOut,
        Self::PostRouting,
    ];
}

/// The order of hooks at one point: lower runs earlier (`enum nf_ip_hook_priorities`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Priority(pub i32);

impl Priority {
    /// Where packet filters sit: behind defragmentation, connection tracking and mangling.
    pub const FILTER: Self = Self(nf_ip_hook_priorities_NF_IP_PRI_FILTER);
}

/// One place to hook into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Whose packets.
    pub family: Family,
    /// Where on their way.
    pub hooknum: Hooknum,
    /// Before or after whom.
    pub priority: Priority,
}

/// The number of points that [`Hooks`] may have at one hook point of a family, with priorities that
/// differ.
///
/// Each takes some of the stack where a packet is to be queued and the full queue lets it pass
/// (`NFQA_CFG_F_FAIL_OPEN`): the kernel calls the next hook from within the one before.
pub const PRIORITIES_MAX: usize = 4;

/// The number of points that [`Hooks`] may name at once, of all families and hook points.
pub const POINTS_MAX: usize = 2 * Hooknum::ALL.len() * PRIORITIES_MAX;

/// Points that differ.
struct Points {
    all: [Point; POINTS_MAX],
    len: usize,
}

impl Deref for Points {
    type Target = [Point];

    fn deref(&self) -> &[Point] {
        &self.all[..self.len]
    }
}

/// Collects `points`, which may be different ones each time, or endless. A point that is named
/// twice counts once.
///
/// # Errors
///
/// `E2BIG`: more than [`POINTS_MAX`] were named, or more than [`PRIORITIES_MAX`] at one hook point.
fn collect(points: impl Iterator<Item = Point>) -> Result<Points> {
    const NONE: Point = Point {
        family: Family::Ipv4,
        hooknum: Hooknum::PreRouting,
        priority: Priority::FILTER,
    };
    let mut collected = Points {
        all: [NONE; POINTS_MAX],
        len: 0,
    };
    for (named, point) in points.enumerate() {
        if named == POINTS_MAX {
            return Err(E2BIG);
        }
        if collected.contains(&point) {
            continue;
        }
        let beside =
            |other: &&Point| (other.family, other.hooknum) == (point.family, point.hooknum);
        if collected.iter().filter(beside).count() == PRIORITIES_MAX {
            return Err(E2BIG);
        }
        collected.all[collected.len] = point;
        collected.len += 1;
    }
    Ok(collected)
}

/// A subsystem that looks at packets.
pub trait Hook: Subsystem {
    /// The points that [`Hooks`] registers for an instance to begin with, at most
    /// [`POINTS_MAX`], of which [`PRIORITIES_MAX`] at one hook point.
    fn points(&self) -> impl Iterator<Item = Point>;

    /// Decides what happens to a packet that meets the hook at `point`.
    ///
    /// Context: RCU read side, on any number of CPUs at once: softirq mostly, and at every point
    /// also process context (what this host sends, and what a verdict sends on its way again), so
    /// locks taken here must disable softirqs. Must not sleep, which includes allocating with
    /// `GFP_KERNEL`.
    fn hook(&self, packet: &Packet, state: &State, point: &Point) -> Verdict;
}

/// The circumstances in which a packet meets a hook.
///
/// C header: `struct nf_hook_state` in
/// [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h)
///
/// # Invariants
///
/// The namespace and the devices are valid for the lifetime of the reference, which RCU holds back:
/// it lies within a read-side critical section.
#[repr(transparent)]
pub struct State(nf_hook_state);

impl State {
    /// The network namespace.
    #[inline]
    pub fn net(&self) -> &Net {
        // SAFETY: By the type invariants the namespace is valid.
        unsafe { Net::from_raw(self.0.net) }
    }

    /// The RCU read-side critical section that hooks run in.
    #[inline]
    pub fn read_side(&self) -> &ReadSide {
        // SAFETY: By the type invariants.
        unsafe { ReadSide::assume() }
    }

    /// The device that the packet came in by; `None` where there is none yet or any more.
    #[inline]
    pub fn in_device(&self) -> Option<NetDevice<'_>> {
        // SAFETY: Null or, by the type invariants, valid.
        unsafe { NetDevice::from_raw(self.0.in_) }
    }

    /// The device that the packet will leave by; `None` where there is none yet or any more.
    #[inline]
    pub fn out_device(&self) -> Option<NetDevice<'_>> {
        // SAFETY: Null or, by the type invariants, valid.
        unsafe { NetDevice::from_raw(self.0.out) }
    }
}

/// The hooks of one instance of `T` in its network namespace.
///
/// Unregistering a hook also drops, as a rule, the packets of the namespace that wait in a queue
/// (`nf_queue_nf_hook_drop()`). The kernel does not drop them if it lacks memory for a smaller
/// array of hooks. It does not wait for hooks that run on other CPUs: an RCU grace period does.
///
/// # Invariants
///
/// `net` is valid. `instance` is too, and shared, until [`drain`](Attachment::drain) has returned.
pub struct Hooks<T: Hook> {
    net: NonNull<bindings::net>,
    instance: NonNull<T>,
    registered: Pin<KBox<Mutex<Registered<T>>>>,
}

// SAFETY: The pointers are not tied to a thread, and the instance is only shared, which every
// `Subsystem` allows.
unsafe impl<T: Hook> Send for Hooks<T> {}
// SAFETY: As above. Hooks are registered and unregistered under the lock; `net` and `instance` are
// constant.
unsafe impl<T: Hook> Sync for Hooks<T> {}

/// What is registered.
struct Registered<T: Hook> {
    hooks: KVec<Registration<T>>,
    /// Whether there is a hook at each of the points that were asked for last.
    complete: bool,
    /// A time after the last of them was unregistered, once no more may be registered.
    detached: Option<rcu_gp_seq>,
}

/// What the C side knows of a hook, and what a hook knows of itself.
#[repr(C)]
struct Entry<T> {
    ops: nf_hook_ops,
    instance: NonNull<T>,
    point: Point,
}

/// A registered hook. Dropping it unregisters it, without waiting for where it runs.
///
/// # Invariants
///
/// The entry's `ops` are registered in `net`, which is valid; if there is none, they were
/// unregistered and a grace period passes before the drop. The entry lies in memory from
/// `kmalloc()`, and is read by the C side and by hooks for a grace period after it was
/// unregistered.
struct Registration<T: Hook> {
    net: Option<NonNull<bindings::net>>,
    entry: NonNull<Entry<T>>,
}

// SAFETY: The pointers are not tied to a thread: any may unregister a hook. The entry's instance is
// only shared, which every `Subsystem` allows.
unsafe impl<T: Hook> Send for Registration<T> {}

impl<T: Hook> Registration<T> {
    /// What `kvfree_call_rcu()` asks of the place of its head (`kvfree_rcu()`).
    const HEAD_FITS: () = assert!(offset_of!(Entry<T>, ops) + offset_of!(nf_hook_ops, rcu) < 4096);

    /// Registers a hook of `instance`.
    ///
    /// # Safety
    ///
    /// `net` must be valid for as long as the value. `instance` must stay where it is until a grace
    /// period has passed since the value was dropped.
    unsafe fn new(net: NonNull<bindings::net>, instance: NonNull<T>, point: Point) -> Result<Self> {
        const { Self::HEAD_FITS };
        let entry = KBox::into_raw(KBox::new(
            Entry {
                ops: nf_hook_ops {
                    hook: Some(match point.family {
                        Family::Ipv4 => callback::<T, IPV4>,
                        Family::Ipv6 => callback::<T, IPV6>,
                    }),
                    pf: point.family as u8,
                    hooknum: point.hooknum as c_uint,
                    priority: point.priority.0,
                    ..Default::default()
                },
                instance,
                point,
            },
            GFP_KERNEL,
        )?);
        // SAFETY: `net` is valid, and the entry for a grace period after it is unregistered, by the
        // drop. `callback` gets what it asks for: the entry, with an instance that is as valid.
        to_result(unsafe {
            (*entry).ops.priv_ = entry.cast();
            nf_register_net_hook(net.as_ptr(), &raw const (*entry).ops)
        })
        // SAFETY: It comes from the box above, and a registration that fails leaves nothing behind.
        .inspect_err(|_| drop(unsafe { KBox::from_raw(entry) }))?;
        // INVARIANT: Just registered.
        Ok(Self {
            net: Some(net),
            // SAFETY: A box is not null.
            entry: unsafe { NonNull::new_unchecked(entry) },
        })
    }

    /// Unregisters the hook, and leaves the entry to the drop.
    ///
    /// # Safety
    ///
    /// A grace period must pass before the drop.
    unsafe fn unregister(&mut self) {
        // INVARIANT: It is unregistered here. The rest is the caller's promise.
        if let Some(net) = self.net.take() {
            // SAFETY: By the type invariants it was registered in `net`.
            unsafe { nf_unregister_net_hook(net.as_ptr(), &raw const (*self.entry.as_ptr()).ops) };
        }
    }

    /// Where the hook is.
    fn point(&self) -> Point {
        // SAFETY: By the type invariants the entry is valid, and constant.
        unsafe { (*self.entry.as_ptr()).point }
    }
}

impl<T: Hook> Drop for Registration<T> {
    fn drop(&mut self) {
        let entry = self.entry.as_ptr();
        let Some(net) = self.net else {
            // SAFETY: By the type invariants a grace period has passed since it was unregistered,
            // so nobody uses the memory, which comes from a box.
            drop(unsafe { KBox::from_raw(entry) });
            return;
        };
        // SAFETY: By the type invariants it is registered in `net`.
        unsafe { nf_unregister_net_hook(net.as_ptr(), &raw const (*entry).ops) };
        // SAFETY: By the type invariants nobody uses the memory after a grace period, and it comes
        // from `kmalloc()`. The `rcu` field is there for this, near enough to the start.
        unsafe { bindings::kvfree_call_rcu((&raw mut (*entry).ops.rcu).cast(), entry.cast()) };
    }
}

const IPV4: u8 = Family::Ipv4 as u8;
const IPV6: u8 = Family::Ipv6 as u8;

/// The C side's way to [`Hook::hook`], for packets of `FAMILY`.
///
/// There is one for each family, told what is certain about its packets, so that what a hook asks
/// of every packet costs no more than it must.
///
/// # Safety
///
/// To be called by Netfilter, as a hook that [`Registration::new`] registered for `FAMILY`.
unsafe extern "C" fn callback<T: Hook, const FAMILY: u8>(
    entry: *mut c_void,
    skb: *mut bindings::sk_buff,
    state: *const nf_hook_state,
) -> c_uint {
    let entry = entry.cast_const().cast::<Entry<T>>();
    // SAFETY: The kernel passes a valid packet, which belongs to the hook that runs: nobody else
    // changes its lengths or its linear part, and the hook is given no means to.
    let packet = unsafe { Packet::from_raw(skb) };
    // SAFETY: The kernel passes a valid state, constant for the call, and `State` is a transparent
    // wrapper.
    // INVARIANT: RCU keeps namespace and devices while hooks see the packet.
    let state = unsafe { &*state.cast::<State>() };
    // SAFETY: The kernel passes an entry that `Registration::new` made for a point of `FAMILY`. It
    // is valid until a grace period has passed since the hook was unregistered, and hooks run under
    // RCU.
    unsafe {
        // The compiler knows from here on that a peek at the header finds it.
        if packet.linear_len() < header_len(FAMILY) {
            header_elsewhere::<T, FAMILY>(entry, packet, state)
        } else {
            hook::<T, FAMILY>(entry, packet, state)
        }
    }
}

/// Has the entry's instance decide. Only what becomes of the packet reads the entry: nothing is
/// read of it for a packet that a peek at its header lets pass.
///
/// # Safety
///
/// `entry` must be that of a hook at a point of `FAMILY`, and valid for the call.
#[inline(always)]
unsafe fn hook<T: Hook, const FAMILY: u8>(
    entry: *const Entry<T>,
    packet: &Packet,
    state: &State,
) -> c_uint {
    // SAFETY: The entry is valid. There is no reference to `ops`, to which the C side writes once
    // the hook is unregistered. The point is constant. The instance is valid for as long as the
    // entry, and shared.
    let (point, instance) = unsafe { (&(*entry).point, (*entry).instance.as_ref()) };
    // SAFETY: By the caller's promise.
    unsafe { assert_unchecked(point.family as u8 == FAMILY) };
    instance.hook(packet, state, point).into_raw()
}

/// The same for a packet whose linear part does not hold a whole IP header.
///
/// Few packets are like that. A packet socket's transmit ring (`tpacket_fill_skb()`) puts the
/// header into a fragment, and an xfrm interface passes such a packet to the hooks. A BPF program
/// can shorten a packet until its header is incomplete, and then have it routed again
/// (`bpf_skb_change_tail()`, `bpf_lwt_xmit_reroute()`). In some kernel versions a verdict can do so
/// (`nfqnl_mangle()`).
///
/// # Safety
///
/// As of [`hook`].
#[cold]
#[inline(never)]
unsafe fn header_elsewhere<T: Hook, const FAMILY: u8>(
    entry: *const Entry<T>,
    packet: &Packet,
    state: &State,
) -> c_uint {
    // SAFETY: By the caller's promise.
    unsafe { hook::<T, FAMILY>(entry, packet, state) }
}

/// The length of an IP header without options or extension headers, in bytes (RFCs 791 and 8200).
const fn header_len(family: u8) -> usize {
    if family == IPV4 {
        20
    } else {
        40
    }
}

impl<T: Hook> Hooks<T> {
    /// Registers a hook at each of `points`, `most` at most: at all of them, or at none on error.
    ///
    /// # Safety
    ///
    /// The hooks must be dropped, and a grace period must pass, before `drain` returns.
    unsafe fn register(
        &self,
        points: impl Iterator<Item = Point>,
        most: usize,
    ) -> Result<KVec<Registration<T>>> {
        let mut hooks = KVec::with_capacity(most, GFP_KERNEL)?;
        for point in points {
            // SAFETY: By the type invariants both are valid until `drain` returns. The rest is the
            // caller's promise.
            let hook = unsafe { Registration::new(self.net, self.instance, point) }?;
            hooks.push(hook, GFP_KERNEL)?;
        }
        Ok(hooks)
    }

    /// Changes the points that are hooked into to `points`, while packets pass.
    ///
    /// Points that are new are hooked into first. If that succeeds `publish` is called, which
    /// should make [`Hook::hook`] go by the new points. Then those that are left out are unhooked.
    /// Meanwhile a packet may meet the hook at points old and new. Whenever a hook is unregistered,
    /// the packets of the namespace that wait in a queue are dropped.
    ///
    /// `publish` must not call this again, nor [`are_complete`](Self::are_complete).
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// On an error the points stay as they were, and `publish` was not called.
    ///
    /// - `ENOMEM`.
    /// - `E2BIG`: there are too many hooks at a point, or more points than [`POINTS_MAX`] and
    ///   [`PRIORITIES_MAX`] allow.
    /// - `ESHUTDOWN`: the namespace is going.
    pub fn change(
        &self,
        points: impl IntoIterator<Item = Point>,
        publish: impl FnOnce(),
    ) -> Result {
        let points = collect(points.into_iter())?;
        let mut registered = self.registered.lock();
        if registered.detached.is_some() {
            return Err(ESHUTDOWN);
        }
        let old = &mut registered.hooks;
        old.reserve(points.len(), GFP_KERNEL)?;
        let new = points
            .iter()
            .copied()
            .filter(|point| !old.iter().any(|hook| hook.point() == *point));
        // SAFETY: `detach` drops what is added to `registered`, and `drain` waits.
        let added = unsafe { self.register(new, points.len()) }?;
        publish();
        old.retain(|hook| points.contains(&hook.point()));
        for hook in added {
            // Room was reserved; a hook that found none would be unregistered by its drop.
            let _ = old.push_within_capacity(hook);
        }
        registered.complete = true;
        Ok(())
    }

    /// Whether there is a hook at each of the points that were asked for last.
    ///
    /// That is not so in a network namespace, other than the initial one, that had no room for a
    /// hook when the instance was attached. No packet of the namespace meets a hook then, until
    /// [`change`](Self::change) succeeds. Context: process, may sleep.
    pub fn are_complete(&self) -> bool {
        self.registered.lock().complete
    }
}

// SAFETY: `callback` gets at the instance under RCU only; `detach` ends that for new packets, and
// `drain` waits for a grace period. So does an `attach` that fails.
unsafe impl<T: Hook> Attachment<T> for Hooks<T> {
    type Common = ();

    unsafe fn attach(instance: &Instance<'_, T>, (): &()) -> Result<Self> {
        // INVARIANT: The namespace stays until `exit`, where the attachment is dropped. The
        // instance stays, as the caller promises.
        let this = Self {
            net: NonNull::from(instance.net()).cast(),
            instance: NonNull::from(&**instance),
            registered: KBox::pin_init(
                new_mutex!(
                    Registered {
                        hooks: KVec::new(),
                        complete: false,
                        detached: None,
                    },
                    "netfilter::Hooks"
                ),
                GFP_KERNEL,
            )?,
        };
        let points = collect(instance.points())?;
        // SAFETY: `detach` drops them, and `drain` waits.
        match unsafe { this.register(points.iter().copied(), points.len()) } {
            Ok(hooks) => {
                let mut registered = this.registered.lock();
                registered.hooks = hooks;
                registered.complete = true;
            }
            // The owner of a namespace can fill it with hooks, and must not keep the module from
            // serving others by it.
            Err(E2BIG) if !ptr::eq(instance.net(), Net::initial()) => {
                warn_of_no_room(instance.net())
            }
            Err(error) => {
                // The hooks before the one that failed were unregistered without waiting. Packets
                // may still be on their way through them.
                synchronize_rcu();
                return Err(error);
            }
        }
        Ok(this)
    }

    unsafe fn detach(&self) {
        let mut registered = self.registered.lock();
        for hook in registered.hooks.iter_mut() {
            // SAFETY: They are dropped behind `drain`, which waits for a grace period.
            unsafe { hook.unregister() };
        }
        let mut now = rcu_gp_seq::default();
        // SAFETY: `now` is valid for writes.
        unsafe { bindings::get_state_synchronize_rcu_full(&mut now) };
        registered.detached = Some(now);
    }

    unsafe fn drain(&self) {
        if let Some(detached) = &mut self.registered.lock().detached {
            // SAFETY: `detached` was written by `get_state_synchronize_rcu_full()`. Returns at
            // once if a grace period has passed since.
            unsafe { bindings::cond_synchronize_rcu_full(detached) };
        }
    }
}

/// Says that there is no room for hooks in a namespace, at a limited rate: users make namespaces.
fn warn_of_no_room(net: &Net) {
    // SAFETY: The call asks for nothing.
    if unsafe { bindings::net_ratelimit() } != 0 {
        pr_warn!(
            "network namespace {}: no hooks, there are too many at a hook point already\n",
            net.inum()
        );
    }
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_netfilter)]
mod tests {
    use super::*;

    use crate::{
        net::{
            pernet::{
                Key,
                KeyRef, //
            },
            skbuff::ReadAt, //
        },
        LocalModule, //
    };

    /// Looks at the first and the last byte of the header, and drops what lacks one of them.
    struct Probe;

    static PROBE: Key<Probe> = Key::new();

    impl Subsystem for Probe {
        type Module = LocalModule;
        type Attachments = Hooks<Self>;
        const KEY: KeyRef<Self> = KeyRef::new(&PROBE);

        fn new(_net: &Net) -> impl PinInit<Self, Error> {
            Ok(Self)
        }
    }

    impl Hook for Probe {
        fn points(&self) -> impl Iterator<Item = Point> {
            core::iter::empty()
        }

        fn hook(&self, packet: &Packet, _state: &State, point: &Point) -> Verdict {
            let last = header_len(point.family as u8) - 1;
            match [0, last].map(|offset| packet.linear().read_at::<1>(offset)) {
                [Some([0xff]), Some([0xff])] => Verdict::ACCEPT,
                _ => Verdict::DROP,
            }
        }
    }

    /// What a hook says of a packet of `len` bytes. `linear` of them are in the linear part, behind
    /// which the memory has more that looks the same; the others are in a fragment.
    fn verdict_on<const FAMILY: u8>(family: Family, len: usize, linear: usize) -> Result<c_uint> {
        const ROOM: usize = 64;
        let mut probe = Probe;
        let mut entry = Entry {
            ops: nf_hook_ops::default(),
            instance: NonNull::from(&mut probe),
            point: Point {
                family,
                hooknum: Hooknum::PostRouting,
                priority: Priority::FILTER,
            },
        };
        let state = nf_hook_state::default();
        let mut errno = 0;
        // SAFETY: `errno` is valid for writes.
        let skb = unsafe {
            bindings::alloc_skb_with_frags(
                ROOM as c_ulong,
                ROOM as c_ulong,
                0,
                &mut errno,
                bindings::GFP_KERNEL,
            )
        };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?.as_ptr();
        // SAFETY: The buffer is ours, and has room for `ROOM` bytes in its linear part and as many
        // in a fragment. It is a packet that nobody else knows, and entry and state are valid while
        // the hook runs.
        Ok(unsafe {
            (*skb).data.write_bytes(0xff, ROOM);
            bindings::skb_put(skb, linear as c_uint);
            (*skb).len = len as c_uint;
            (*skb).data_len = (len - linear) as c_uint;
            let entry = (&raw mut entry).cast();
            let verdict = callback::<Probe, FAMILY>(entry, skb, &state);
            bindings::consume_skb(skb);
            verdict
        })
    }

    #[test]
    fn packets_without_a_whole_header_are_seen_as_they_are() -> Result {
        for len in 0..64 {
            let accepted = Verdict::ACCEPT.into_raw();
            assert!((verdict_on::<IPV4>(Family::Ipv4, len, len)? == accepted) == (len >= 20));
            assert!((verdict_on::<IPV6>(Family::Ipv6, len, len)? == accepted) == (len >= 40));
        }
        Ok(())
    }

    #[test]
    fn headers_in_fragments_are_not_looked_for_in_the_linear_part() -> Result {
        for linear in 0..64 {
            let accepted = Verdict::ACCEPT.into_raw();
            let verdicts = [
                verdict_on::<IPV4>(Family::Ipv4, 64, linear)?,
                verdict_on::<IPV6>(Family::Ipv6, 64, linear)?,
            ];
            assert!((verdicts[0] == accepted) == (linear >= 20));
            assert!((verdicts[1] == accepted) == (linear >= 40));
        }
        Ok(())
    }

    /// Points that differ in their priorities.
    fn points(count: usize) -> impl Iterator<Item = Point> + Clone {
        (0..count).map(|priority| Point {
            family: Family::Ipv4,
            hooknum: Hooknum::Forward,
            priority: Priority(priority as i32),
        })
    }

    #[test]
    fn points_have_a_limit() -> Result {
        assert!(collect(points(PRIORITIES_MAX))?.len() == PRIORITIES_MAX);
        assert!(collect(points(PRIORITIES_MAX + 1)).err() == Some(E2BIG));
        let everywhere = [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .flat_map(|family| Hooknum::ALL.map(|hooknum| (family, hooknum)))
            .flat_map(|(family, hooknum)| {
                points(PRIORITIES_MAX).map(move |point| Point {
                    family,
                    hooknum,
                    ..point
                })
            });
        assert!(collect(everywhere.clone())?.len() == POINTS_MAX);
        // One that is named again is one too many.
        assert!(collect(Iterator::chain(everywhere, points(1))).err() == Some(E2BIG));
        // Without end, and always the same.
        assert!(collect(points(1).cycle()).err() == Some(E2BIG));
        Ok(())
    }

    #[test]
    fn point_that_is_named_twice_counts_once() -> Result {
        let twice = Iterator::chain(points(3), points(4));
        assert!(collect(twice)?.iter().copied().eq(points(4)));
        Ok(())
    }
}
