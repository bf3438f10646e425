// SPDX-License-Identifier: GPL-2.0

//! Netfilter hooks.
//!
//! A [`Subsystem`] sees the packets of every network namespace if it implements [`Hook`] and names
//! [`Hooks`] among its attachments. The subsystem chooses the points at which it sees packets.
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

/// The place on a packet's way where Netfilter calls a hook (`enum nf_inet_hooks`).
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
    /// All hooknums, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::PreRouting,
        Self::LocalIn,
        Self::Forward,
        Self::LocalOut,
        Self::PostRouting,
    ];
}

/// The order of the hooks with the same family and hooknum: a hook with a lower priority runs
/// earlier (`enum nf_ip_hook_priorities`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Priority(pub i32);

impl Priority {
    /// The priority of packet filters, which run after defragmentation, connection tracking and
    /// mangling.
    pub const FILTER: Self = Self(nf_ip_hook_priorities_NF_IP_PRI_FILTER);
}

/// A point at which Netfilter calls a hook.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The network layer protocol of the packets.
    pub family: Family,
    /// The place on the packets' way.
    pub hooknum: Hooknum,
    /// The order among the hooks with this family and hooknum.
    pub priority: Priority,
}

/// The most points that [`Hooks`] may have with the same family and hooknum. These points differ in
/// their priorities.
///
/// The limit protects the kernel stack. If a hook queues a packet, but the queue is full and
/// lets the packet pass (`NFQA_CFG_F_FAIL_OPEN`), `nf_queue()` itself calls the next hook. So
/// the calls of these hooks can nest.
pub const PRIORITIES_MAX: usize = 4;

/// The most points that [`Hooks`] may have, over all families and hooknums.
pub const POINTS_MAX: usize = 2 * Hooknum::ALL.len() * PRIORITIES_MAX;

/// A list of points without duplicates.
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

impl Points {
    /// The empty list.
    #[inline]
    fn none() -> Self {
        const UNUSED: Point = Point {
            family: Family::Ipv4,
            hooknum: Hooknum::PreRouting,
            priority: Priority::FILTER,
        };
        Self {
            all: [UNUSED; POINTS_MAX],
            len: 0,
        }
    }

    /// Collects `points` without duplicates. The iterator is code of the caller, and may never
    /// end. So this function stops after [`POINTS_MAX`] points.
    ///
    /// # Errors
    ///
    /// `E2BIG`: `points` yields more than [`POINTS_MAX`] points, or more than [`PRIORITIES_MAX`]
    /// with the same family and hooknum.
    fn collect(&mut self, points: &mut impl Iterator<Item = Point>) -> Result {
        for (named, point) in points.enumerate() {
            if named == POINTS_MAX {
                return Err(E2BIG);
            }
            if self.contains(&point) {
                continue;
            }
            let beside =
                |other: &&Point| (other.family, other.hooknum) == (point.family, point.hooknum);
            if self.iter().filter(beside).count() == PRIORITIES_MAX {
                return Err(E2BIG);
            }
            self.all[self.len] = point;
            self.len += 1;
        }
        Ok(())
    }
}

/// A subsystem that sees packets and decides about them.
pub trait Hook: Subsystem {
    /// The points at which [`Hooks`] registers hooks when an instance begins: at most
    /// [`POINTS_MAX`], and at most [`PRIORITIES_MAX`] with the same family and hooknum.
    fn points(&self) -> impl Iterator<Item = Point>;

    /// Decides what happens to a packet for which Netfilter calls the hook at `point`.
    ///
    /// Context: RCU read side, on any number of CPUs at the same time. Mostly softirq, but at
    /// every point also process context: when a process sends a packet, and when a verdict lets
    /// a queued packet continue. So locks that are taken here must disable softirqs. The
    /// function must not sleep, and so must not allocate with `GFP_KERNEL`.
    fn hook(&self, packet: &Packet, state: &State, point: &Point) -> Verdict;
}

/// The network namespace and the devices of a packet, as the kernel passes them to a hook.
///
/// C header: `struct nf_hook_state` in
/// [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h)
///
/// # Invariants
///
/// A reference to a `State` lives no longer than the RCU read-side critical section in which the
/// hook runs. This section keeps the namespace and the devices valid.
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
        // SAFETY: By the type invariants `self` lives no longer than an RCU read-side critical
        // section. The result borrows `self`.
        unsafe { ReadSide::assume() }
    }

    /// The device that received the packet. `None` at points where the kernel does not name this
    /// device.
    #[inline]
    pub fn in_device(&self) -> Option<NetDevice<'_>> {
        // SAFETY: By the type invariants the pointer is null or valid.
        unsafe { NetDevice::from_raw(self.0.in_) }
    }

    /// The device that will send the packet. `None` at points where the kernel does not name
    /// this device.
    #[inline]
    pub fn out_device(&self) -> Option<NetDevice<'_>> {
        // SAFETY: By the type invariants the pointer is null or valid.
        unsafe { NetDevice::from_raw(self.0.out) }
    }
}

/// The hooks of one instance of `T` in its network namespace.
///
/// When a hook is unregistered, the kernel also drops the namespace's packets that wait in a
/// queue (`nf_queue_nf_hook_drop()`), unless the kernel lacks memory for a smaller array of
/// hooks. The kernel does not wait for hooks that run on other CPUs at that moment. After an RCU
/// grace period, all these hooks have returned.
///
/// # Invariants
///
/// `net` is valid. Until [`drain`](Attachment::drain) has returned, `instance` is valid, and
/// only shared references to it exist.
#[pin_data]
pub struct Hooks<T: Hook> {
    net: NonNull<bindings::net>,
    instance: NonNull<T>,
    #[pin]
    registered: Mutex<Registered<T>>,
}

// SAFETY: Any thread may use the two pointers. `Hooks` only lends shared references to the
// instance, and threads may share every `Subsystem`.
unsafe impl<T: Hook> Send for Hooks<T> {}
// SAFETY: `Hooks` only lends shared references to the instance, and threads may share every
// `Subsystem`. `Hooks` registers and unregisters hooks only under its lock. `net` and `instance`
// are constant.
unsafe impl<T: Hook> Sync for Hooks<T> {}

/// The hooks that are registered. The lock of [`Hooks`] protects this value.
struct Registered<T: Hook> {
    hooks: KVec<Registration<T>>,
    /// Whether a hook is registered at each point that `attach` or the last `change` asked for.
    complete: bool,
    /// `detach` stores the state of RCU here after it has unregistered the last hook. After that
    /// no hook may be registered.
    detached: Option<rcu_gp_seq>,
}

/// One hook: the part that the C side reads, and the values that [`callback`] needs to call
/// [`Hook::hook`].
#[repr(C)]
struct Entry<T> {
    ops: nf_hook_ops,
    instance: NonNull<T>,
    point: Point,
}

/// A registered hook. The drop unregisters the hook, and does not wait for CPUs that still run
/// the hook.
///
/// # Invariants
///
/// If `net` is set, the namespace is valid and the entry's `ops` are registered in it. If `net`
/// is `None`, the `ops` were unregistered, and a grace period passes before the drop. The entry
/// lies in memory from `kmalloc()`. The C side and running hooks may read the entry until a
/// grace period has passed since the hook was unregistered.
struct Registration<T: Hook> {
    net: Option<NonNull<bindings::net>>,
    entry: NonNull<Entry<T>>,
}

// SAFETY: Any thread may use the pointers and unregister the hook. Hooks use the instance only
// by a shared reference, and threads may share every `Subsystem`.
unsafe impl<T: Hook> Send for Registration<T> {}

impl<T: Hook> Registration<T> {
    /// The head for `kvfree_call_rcu()` must be in the first 4096 bytes of the memory. In C,
    /// `kvfree_rcu()` checks this.
    const HEAD_FITS: () = assert!(offset_of!(Entry<T>, ops) + offset_of!(nf_hook_ops, rcu) < 4096);

    /// Registers a hook of `instance`.
    ///
    /// # Safety
    ///
    /// `net` must be valid until the value is dropped. `instance` must stay where it is until a
    /// grace period has passed since the value was dropped.
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
        // SAFETY: `net` is valid. The drop unregisters the entry, and keeps it valid for a grace
        // period after that. So `callback` gets a valid entry. The caller promises that the
        // instance is valid as long as the entry.
        to_result(unsafe {
            (*entry).ops.priv_ = entry.cast();
            nf_register_net_hook(net.as_ptr(), &raw const (*entry).ops)
        })
        // SAFETY: The entry comes from the box above. If the registration fails, the C side
        // keeps no pointer to the entry.
        .inspect_err(|_| drop(unsafe { KBox::from_raw(entry) }))?;
        // INVARIANT: The call above has registered the entry in `net`.
        Ok(Self {
            net: Some(net),
            // SAFETY: The pointer of a box is not null.
            entry: unsafe { NonNull::new_unchecked(entry) },
        })
    }

    /// Unregisters the hook. The drop frees the entry.
    ///
    /// # Safety
    ///
    /// A grace period must pass before the drop.
    unsafe fn unregister(&mut self) {
        // INVARIANT: The hook is unregistered here. The caller promises that a grace period
        // passes before the drop.
        if let Some(net) = self.net.take() {
            // SAFETY: By the type invariants the hook was registered in `net`.
            unsafe { nf_unregister_net_hook(net.as_ptr(), &raw const (*self.entry.as_ptr()).ops) };
        }
    }

    /// The hook's point.
    fn point(&self) -> Point {
        // SAFETY: By the type invariants the entry is valid. Its point is constant.
        unsafe { (*self.entry.as_ptr()).point }
    }
}

impl<T: Hook> Drop for Registration<T> {
    fn drop(&mut self) {
        let entry = self.entry.as_ptr();
        let Some(net) = self.net else {
            // SAFETY: By the type invariants a grace period has passed since the hook was
            // unregistered, so nobody uses the memory. The memory comes from a box.
            drop(unsafe { KBox::from_raw(entry) });
            return;
        };
        // SAFETY: By the type invariants the hook is registered in `net`.
        unsafe { nf_unregister_net_hook(net.as_ptr(), &raw const (*entry).ops) };
        // SAFETY: By the type invariants the memory comes from `kmalloc()`, and nobody uses it
        // after a grace period. The owner of a hook may use the field `rcu` of `nf_hook_ops` to
        // free the hook. `HEAD_FITS` checks that the field is near the start of the memory.
        unsafe { bindings::kvfree_call_rcu((&raw mut (*entry).ops.rcu).cast(), entry.cast()) };
    }
}

const IPV4: u8 = Family::Ipv4 as u8;
const IPV6: u8 = Family::Ipv6 as u8;

/// The function that Netfilter calls for packets of `FAMILY`. It calls [`Hook::hook`].
///
/// Each family has its own function. So the compiler knows the family and the length of its IP
/// header, and can leave out checks that would cost time for every packet.
///
/// # Safety
///
/// Only Netfilter may call this, as a hook that [`Registration::new`] registered for `FAMILY`.
unsafe extern "C" fn callback<T: Hook, const FAMILY: u8>(
    entry: *mut c_void,
    skb: *mut bindings::sk_buff,
    state: *const nf_hook_state,
) -> c_uint {
    let entry = entry.cast_const().cast::<Entry<T>>();
    // SAFETY: The kernel passes a valid packet. The packet belongs to the hook that runs: nobody
    // else changes its lengths or its linear part, and `Packet` gives the hook no means to change
    // them.
    let packet = unsafe { Packet::from_raw(skb) };
    // SAFETY: The kernel passes a valid state that is constant for the call. `State` is a
    // transparent wrapper.
    // INVARIANT: RCU keeps the namespace and the devices as long as hooks see the packet.
    let state = unsafe { &*state.cast::<State>() };
    // SAFETY: The kernel passes an entry that `Registration::new` made for a point of `FAMILY`.
    // The entry is valid until a grace period has passed since the hook was unregistered. Hooks
    // run under RCU, so the entry is valid for the call.
    unsafe {
        // In the `else` branch the compiler knows that the header is in the linear part.
        if packet.linear_len() < header_len(FAMILY) {
            header_elsewhere::<T, FAMILY>(entry, packet, state)
        } else {
            hook::<T, FAMILY>(entry, packet, state)
        }
    }
}

/// Calls [`Hook::hook`] of the entry's instance. This function is inlined, so that the compiler
/// can move the reads of the entry to the places that use the values. For a packet of which
/// [`Hook::hook`] reads only the header, the entry is then not read at all.
///
/// # Safety
///
/// `entry` must be the entry of a hook at a point of `FAMILY`, and must be valid for the call.
#[inline(always)]
unsafe fn hook<T: Hook, const FAMILY: u8>(
    entry: *const Entry<T>,
    packet: &Packet,
    state: &State,
) -> c_uint {
    // SAFETY: The entry is valid. The function makes no reference to `ops`, because the C side
    // may write to `ops` after the hook was unregistered. The point is constant. The instance is
    // valid as long as the entry, and only shared references to it exist.
    let (point, instance) = unsafe { (&(*entry).point, (*entry).instance.as_ref()) };
    // SAFETY: The caller promises that the point is of `FAMILY`.
    unsafe { assert_unchecked(point.family as u8 == FAMILY) };
    instance.hook(packet, state, point).into_raw()
}

/// Calls [`hook`] for a packet whose linear part does not hold a whole IP header.
///
/// Few packets have such a linear part. A packet socket's transmit ring (`tpacket_fill_skb()`) puts
/// the header into a fragment, and an xfrm interface passes that packet to the hooks. A BPF program
/// can shorten a packet until its header is incomplete (`bpf_skb_change_tail()`), and then let the
/// kernel route it again (`bpf_lwt_xmit_reroute()`). In some kernel versions a verdict can shorten
/// a packet, too (`nfqnl_mangle()`).
///
/// # Safety
///
/// The caller must keep the requirements of [`hook`].
#[cold]
#[inline(never)]
unsafe fn header_elsewhere<T: Hook, const FAMILY: u8>(
    entry: *const Entry<T>,
    packet: &Packet,
    state: &State,
) -> c_uint {
    // SAFETY: The caller keeps the requirements of `hook`.
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

/// Registers a hook of `instance` at each of `points`. `points` yields at most `most` points. On
/// an error no hook stays registered.
///
/// # Safety
///
/// The caller must keep the requirements of [`Registration::new`] for each hook.
unsafe fn register<T: Hook>(
    net: NonNull<bindings::net>,
    instance: NonNull<T>,
    points: impl Iterator<Item = Point>,
    most: usize,
) -> Result<KVec<Registration<T>>> {
    let mut hooks = KVec::with_capacity(most, GFP_KERNEL)?;
    for point in points {
        // SAFETY: The caller's promise.
        let hook = unsafe { Registration::new(net, instance, point) }?;
        hooks.push(hook, GFP_KERNEL)?;
    }
    Ok(hooks)
}

impl<T: Hook> Hooks<T> {
    /// Moves the hooks to `points`, while packets pass.
    ///
    /// This function first registers hooks at the points that are new. If this succeeds, it
    /// calls `publish`, which should make [`Hook::hook`] use the new points. Then it unregisters
    /// the hooks at the points that `points` leaves out. Meanwhile a packet may meet hooks at
    /// old points and at new points. Whenever a hook is unregistered, the kernel drops the
    /// namespace's packets that wait in a queue.
    ///
    /// `publish` must call neither this function nor [`are_complete`](Self::are_complete),
    /// because both take a lock that is held during the call of `publish`.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// On an error the hooks stay where they were, and `publish` was not called.
    ///
    /// - `ENOMEM`.
    /// - `E2BIG`: the kernel has no room for one more hook at a point, or `points` has more
    ///   points than [`POINTS_MAX`] and [`PRIORITIES_MAX`] allow.
    /// - `ESHUTDOWN`: the instance ends.
    pub fn change(
        &self,
        points: impl IntoIterator<Item = Point>,
        publish: impl FnOnce(),
    ) -> Result {
        let mut collected = Points::none();
        collected.collect(&mut points.into_iter())?;
        let points = &collected;
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
        // SAFETY: By the type invariants `net` and `instance` are valid until `drain` returns.
        // `detach` unregisters all hooks that are added to `registered`, and `drain` waits for a
        // grace period.
        let added = unsafe { register(self.net, self.instance, new, points.len()) }?;
        publish();
        old.retain(|hook| points.contains(&hook.point()));
        for hook in added {
            // The push cannot fail, because `reserve()` made room. If it failed, the drop of
            // `hook` would unregister the hook.
            let _ = old.push_within_capacity(hook);
        }
        registered.complete = true;
        Ok(())
    }

    /// Whether the instance has a hook at each of its points.
    ///
    /// False if the namespace had no room for a hook when the instance was attached. Then the
    /// instance sees no packets until [`change`](Self::change) succeeds. In the initial
    /// namespace, the load of the module fails instead.
    ///
    /// Context: process, may sleep.
    pub fn are_complete(&self) -> bool {
        self.registered.lock().complete
    }
}

// SAFETY: `callback` uses the instance only under RCU. After `detach` the kernel does not call
// `callback` for a new packet, and `drain` waits for a grace period. If `attach` fails, it also
// waits for a grace period.
unsafe impl<T: Hook> Attachment<T> for Hooks<T> {
    type Common = ();

    unsafe fn attach(instance: &Instance<'_, T>, (): &()) -> impl PinInit<Self, Error> {
        // The namespace stays until `exit`, where the attachment is dropped. The caller promises
        // that the instance stays until `drain` has returned.
        let (net, this) = (NonNull::from(instance.net()), NonNull::from(&**instance));
        let registered = move || {
            let mut points = Points::none();
            points.collect(&mut instance.points())?;
            // SAFETY: `detach` unregisters the hooks, and `drain` waits for a grace period.
            match unsafe { register(net.cast(), this, points.iter().copied(), points.len()) } {
                Ok(hooks) => Ok((hooks, true)),
                // The owner of a namespace can fill a hook point with hooks. A full hook point
                // must not prevent the module from serving other namespaces.
                Err(E2BIG) if !ptr::eq(instance.net(), Net::initial()) => {
                    warn_of_no_room(instance.net());
                    Ok((KVec::new(), false))
                }
                Err(error) => {
                    // If one hook could not be registered, the hooks before it were unregistered
                    // without waiting. Other CPUs may still run these hooks.
                    synchronize_rcu();
                    Err(error)
                }
            }
            .map(|(hooks, complete)| Registered {
                hooks,
                complete,
                detached: None,
            })
        };
        // INVARIANT: `net` and `instance` are valid, as the comment at the start of this
        // function says.
        try_pin_init!(Self {
            net: net.cast(),
            instance: this,
            registered <- new_mutex!(registered()?, "netfilter::Hooks"),
        }? Error)
    }

    unsafe fn detach(&self) {
        let mut registered = self.registered.lock();
        for hook in registered.hooks.iter_mut() {
            // SAFETY: The hooks are dropped after `drain`, which waits for a grace period.
            unsafe { hook.unregister() };
        }
        let mut now = rcu_gp_seq::default();
        // SAFETY: `now` is valid for writes.
        unsafe { bindings::get_state_synchronize_rcu_full(&mut now) };
        registered.detached = Some(now);
    }

    unsafe fn drain(&self) {
        if let Some(detached) = &mut self.registered.lock().detached {
            // SAFETY: `get_state_synchronize_rcu_full()` wrote `detached`. If a grace period has
            // already passed since then, the call returns without waiting.
            unsafe { bindings::cond_synchronize_rcu_full(detached) };
        }
    }
}

/// Logs that a namespace has no room for hooks. The rate is limited, because any user can make
/// many namespaces without room for hooks.
fn warn_of_no_room(net: &Net) {
    // SAFETY: The function has no requirements.
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

    /// A hook that reads the first and the last byte of the IP header in the linear part. It
    /// accepts a packet if both bytes are there and are 0xff.
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

    /// The verdict of [`Probe`] on a packet of `len` bytes. The first `linear` bytes are in the
    /// linear part, the other bytes in a fragment. The bytes of the linear part are 0xff, and so
    /// are the bytes of the memory behind it. So if `callback` lets [`Probe`] read beyond the
    /// linear part, [`Probe`] accepts the packet, and the test fails.
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
        // SAFETY: The buffer is ours. It has room for `ROOM` bytes in its linear part, and for
        // `ROOM` bytes in a fragment. Nobody else uses the buffer. Entry and state are valid
        // while the hook runs.
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

    fn collected(mut points: impl Iterator<Item = Point>) -> Result<Points> {
        let mut collected = Points::none();
        collected.collect(&mut points)?;
        Ok(collected)
    }

    /// `count` points that differ only in their priorities.
    fn points(count: usize) -> impl Iterator<Item = Point> + Clone {
        (0..count).map(|priority| Point {
            family: Family::Ipv4,
            hooknum: Hooknum::Forward,
            priority: Priority(priority as i32),
        })
    }

    #[test]
    fn points_have_a_limit() -> Result {
        assert!(collected(points(PRIORITIES_MAX))?.len() == PRIORITIES_MAX);
        assert!(collected(points(PRIORITIES_MAX + 1)).err() == Some(E2BIG));
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
        assert!(collected(everywhere.clone())?.len() == POINTS_MAX);
        // `POINTS_MAX` limits the points that the iterator yields, and a duplicate counts, too.
        assert!(collected(Iterator::chain(everywhere, points(1))).err() == Some(E2BIG));
        // An endless iterator that always yields the same point.
        assert!(collected(points(1).cycle()).err() == Some(E2BIG));
        Ok(())
    }

    #[test]
    fn point_that_is_named_twice_counts_once() -> Result {
        let twice = Iterator::chain(points(3), points(4));
        assert!(collected(twice)?.iter().copied().eq(points(4)));
        Ok(())
    }
}
