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
//! ```ignore
//! impl netfilter::Hook for Firewall {
//!     fn points(&self) -> impl Iterator<Item = netfilter::Point> {
//!         core::iter::once(Point {
//!             family: Family::Ipv4,
//!             hooknum: Hooknum::PreRouting,
//!             priority: Priority::FILTER,
//!         })
//!     }
//!
//!     fn hook(&self, packet: &Packet, _state: &State) -> Verdict {
//!         match packet.read_at::<1>(9) {
//!             Some([IPPROTO_ICMP]) => Verdict::queue(0, true),
//!             _ => Verdict::ACCEPT,
//!         }
//!     }
//! }
//! ```

mod verdict;

pub use self::verdict::Verdict;

use core::{
    marker::PhantomData,
    pin::Pin,
    ptr::from_ref, //
};

use kernel::{
    bindings::{
        self,
        rcu_gp_seq, //
    },
    error::to_result,
    prelude::*,
    sync::rcu::synchronize_rcu, //
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
        nf_register_net_hooks,
        nf_unregister_net_hooks,
        NFPROTO_IPV4,
        NFPROTO_IPV6, //
    },
    device::NetDevice,
    namespace::Net,
    pernet::{
        Attachment,
        Subsystem, //
    },
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
#[derive(Clone, Copy)]
pub struct Point {
    /// Whose packets.
    pub family: Family,
    /// Where on their way.
    pub hooknum: Hooknum,
    /// Before or after whom.
    pub priority: Priority,
}

/// A subsystem that looks at packets.
pub trait Hook: Subsystem {
    /// The points that [`Hooks`] registers for an instance.
    fn points(&self) -> impl Iterator<Item = Point>;

    /// Decides what happens to a packet.
    ///
    /// Context: RCU read side, on any number of CPUs at once: softirq mostly, and at every point
    /// also process context (what this host sends, and what a verdict sends on its way again), so
    /// locks taken here must disable softirqs. Must not sleep, which includes allocating with
    /// `GFP_KERNEL`.
    fn hook(&self, packet: &Packet, state: &State) -> Verdict;
}

/// The circumstances in which a packet meets a hook.
///
/// C header: `struct nf_hook_state` in
/// [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h)
///
/// # Invariants
///
/// The namespace and the devices are valid for the lifetime of the reference.
#[repr(transparent)]
pub struct State(nf_hook_state);

impl State {
    /// The hook point.
    #[inline]
    pub fn hooknum(&self) -> Hooknum {
        // Only these numbers were registered.
        Hooknum::ALL[usize::from(self.0.hook)]
    }

    /// The family of the packet.
    #[inline]
    pub fn family(&self) -> Family {
        if self.0.pf == Family::Ipv6 as u8 {
            Family::Ipv6
        } else {
            Family::Ipv4
        }
    }

    /// The network namespace.
    #[inline]
    pub fn net(&self) -> &Net {
        // SAFETY: By the type invariants the namespace is valid.
        unsafe { Net::from_raw(self.0.net) }
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
/// Detaching unregisters the hooks, which as a rule also drops the packets of the namespace that
/// wait in a queue (`nf_queue_nf_hook_drop()`). `nf_unregister_net_hooks()` does not wait for hooks
/// that run on other CPUs, so dropping waits for an RCU grace period after it: usually the one that
/// passes between `pre_exit` and `exit`.
///
/// # Invariants
///
/// - Until `detached` is set, every element of `ops` is registered in `net`, which is valid.
/// - The heap memory of `ops` stays until a grace period has passed since.
pub struct Hooks<T: Hook> {
    net: *mut bindings::net,
    ops: KVec<nf_hook_ops>,
    detached: Option<rcu_gp_seq>,
    _subsystem: PhantomData<T>,
}

// SAFETY: The pointers are not tied to a thread.
unsafe impl<T: Hook> Send for Hooks<T> {}

impl<T: Hook> Hooks<T> {
    /// The C side's way to [`Hook::hook`].
    ///
    /// # Safety
    ///
    /// To be called by Netfilter, as the hook that `attach` registered.
    unsafe extern "C" fn callback(
        instance: *mut c_void,
        skb: *mut bindings::sk_buff,
        state: *const nf_hook_state,
    ) -> c_uint {
        // SAFETY: `attach` registered a pointer to an instance, which is valid until a grace
        // period has passed since the hook was unregistered; hooks run under RCU.
        let instance = unsafe { &*instance.cast_const().cast::<T>() };
        // SAFETY: The kernel passes a valid packet, which belongs to the hook that runs.
        let packet = unsafe { Packet::from_raw(skb) };
        // SAFETY: The kernel passes a valid state, constant for the call, and `State` is a
        // transparent wrapper.
        // INVARIANT: RCU keeps namespace and devices while hooks see the packet.
        let state = unsafe { &*state.cast::<State>() };
        instance.hook(packet, state).into_raw()
    }
}

// SAFETY: `callback` gets at the instance under RCU only; `detach` ends that for new packets, and
// dropping detaches, then waits for a grace period.
unsafe impl<T: Hook> Attachment<T> for Hooks<T> {
    fn attach(net: &Net, instance: Pin<&T>) -> Result<Self> {
        let instance = instance.get_ref();
        let mut ops = KVec::new();
        for point in instance.points() {
            let entry = nf_hook_ops {
                hook: Some(Self::callback),
                priv_: from_ref(instance).cast_mut().cast(),
                pf: point.family as u8,
                hooknum: point.hooknum as c_uint,
                priority: point.priority.0,
                ..Default::default()
            };
            ops.push(entry, GFP_KERNEL)?;
        }
        let count = c_uint::try_from(ops.len())?;
        // SAFETY: `net` is valid, and `ops` are `count` valid entries that outlive their
        // registration by a grace period.
        to_result(unsafe { nf_register_net_hooks(net.as_raw(), ops.as_ptr(), count) })
            // The hooks before the one that failed were registered, and unregistered again without
            // waiting: packets may still be on their way through them.
            .inspect_err(|_| synchronize_rcu())?;
        // INVARIANT: All of `ops` is registered. `net` stays valid until `exit`, where the
        // attachment is dropped.
        Ok(Self {
            net: net.as_raw(),
            ops,
            detached: None,
            _subsystem: PhantomData,
        })
    }

    fn detach(&mut self) {
        if self.detached.is_some() {
            return;
        }
        // CAST: `attach` checked that the length fits.
        let count = self.ops.len() as c_uint;
        // SAFETY: By the type invariants these entries are registered in `net`.
        unsafe { nf_unregister_net_hooks(self.net, self.ops.as_ptr(), count) };
        let mut now = rcu_gp_seq::default();
        // SAFETY: `now` is valid for writes.
        unsafe { bindings::get_state_synchronize_rcu_full(&mut now) };
        self.detached = Some(now);
    }
}

impl<T: Hook> Drop for Hooks<T> {
    fn drop(&mut self) {
        self.detach();
        if let Some(detached) = &mut self.detached {
            // SAFETY: `detached` was written by `get_state_synchronize_rcu_full()`. Returns at
            // once if a grace period has passed since.
            unsafe { bindings::cond_synchronize_rcu_full(detached) };
        }
    }
}
