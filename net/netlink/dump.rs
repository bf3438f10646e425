// SPDX-License-Identifier: GPL-2.0

//! Dumps: answers that consist of any number of messages.
//!
//! The kernel asks for one buffer of messages after the other. It asks for the first buffer when
//! it handles the request, and for each further buffer when the client calls `recvmsg()`.
//! Between two buffers the client may wait for any time, and the listed things may change.
//!
//! C header: `struct netlink_callback` in
//! [`include/linux/netlink.h`](srctree/include/linux/netlink.h); `netlink_dump()` in
//! `net/netlink/af_netlink.c`.

use core::slice;

use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    prelude::*, //
};

use super::{
    attribute::Attributes,
    message::{
        Header,
        MessageType,
        ALIGNMENT, //
    },
    number::Number,
    refusal::Refusal,
    request::Request, //
};

use crate::net::{
    compat::{
        this_module,
        ESHUTDOWN, //
    },
    pernet::{
        Instance,
        Subsystem,
        Weak, //
    }, //
};

/// A type that lists something in any number of messages.
///
/// [`generation`](Dump::generation) and [`fill`](Dump::fill) are called within [`Weak::with`].
/// They must not call [`Weak::with`] for the same instance again, because the second call would
/// wait for the first.
pub trait Dump<T: Subsystem, N: Number = MessageType>: 'static {
    /// The place where a dump continues.
    ///
    /// Between two buffers the cursor is in memory of the C side. Nobody drops it there, so it
    /// must be `Copy`. A cursor of more than 32 bytes does not compile.
    type Cursor: Copy + Send + 'static;

    /// The cursor at the beginning of a dump.
    ///
    /// Context: process, may sleep.
    fn start(
        instance: &Instance<'_, T>,
        attributes: &Attributes<'_>,
    ) -> Result<Self::Cursor, Refusal>;

    /// A number that changes whenever the listed things change so much that earlier and later
    /// messages do not fit together. If the number changes between two messages, a flag tells
    /// the client so (`NLM_F_DUMP_INTR`).
    ///
    /// Context: process, may sleep.
    fn generation(instance: &Instance<'_, T>) -> u32;

    /// Fills a page with messages, and advances the cursor with each message. After the last
    /// message of the dump, it returns `Ok`. If the page is full before that, it returns
    /// [`Full`], and is called again with another page.
    ///
    /// Context: process, may sleep.
    fn fill(
        instance: &Instance<'_, T>,
        cursor: &mut Self::Cursor,
        page: &mut Page<'_, N>,
    ) -> Result<(), Full>;
}

/// The error of [`Page::put`]: the page has no room for the message.
pub struct Full;

/// One buffer of a dump.
///
/// # Invariants
///
/// For `'a`, `skb` and `cb` are the arguments that `netlink_dump()` passed to its callback.
pub struct Page<'a, N: Number = MessageType> {
    skb: &'a mut bindings::sk_buff,
    cb: &'a mut bindings::netlink_callback,
    portid: u32,
    seq: u32,
    envelope: N::Envelope,
}

impl<N: Number> Page<'_, N> {
    /// Appends a message.
    ///
    /// # Errors
    ///
    /// [`Full`]: the page has no room for the message. The message was not appended.
    pub fn put(&mut self, number: N, payload: &[u8]) -> Result<(), Full> {
        let head = number.head(self.envelope);
        let start = Header::LEN + head.as_ref().len();
        let len = start + payload.len();
        let padded = len.next_multiple_of(ALIGNMENT);
        // The buffer has no fragments, so its free room is from `tail` to `end`. Both are
        // offsets from the same address.
        let tailroom = (self.skb.end - self.skb.tail) as usize;
        if padded > tailroom {
            return Err(Full);
        }
        let mut flags = bindings::NLM_F_MULTI;
        // `nl_dump_check_consistent()` checks the same condition.
        if self.cb.prev_seq != 0 && self.cb.prev_seq != self.cb.seq {
            flags |= bindings::NLM_F_DUMP_INTR;
        }
        self.cb.prev_seq = self.cb.seq;
        let header = Header {
            len: len as u32, // CAST: `len` is at most the tailroom, which fits into 32 bits.
            msg_type: number.msg_type(self.envelope),
            flags: flags as u16, // CAST: All flags fit into 16 bits.
            seq: self.seq,
            pid: self.portid,
        };
        // SAFETY: By the type invariants the buffer is valid and ours to fill. The buffer has
        // room for `padded` bytes. `skb_put()` adds these bytes at the end, and returns their
        // start.
        let bytes = unsafe {
            let start: *mut u8 = bindings::skb_put(self.skb, padded as c_uint).cast();
            start.write_bytes(0, padded);
            slice::from_raw_parts_mut(start, padded)
        };
        bytes[..Header::LEN].copy_from_slice(&header.to_bytes());
        bytes[Header::LEN..start].copy_from_slice(head.as_ref());
        bytes[start..len].copy_from_slice(payload);
        Ok(())
    }
}

/// A function that begins a dump. It stores the dump's data in the `netlink_callback`.
///
/// # Safety
///
/// The `netlink_callback` must be new. If the function succeeds, and only then, netlink must
/// call [`done`] at the end of the dump. Nobody else may use the `netlink_callback` during the
/// call, or its `ctx` after the call.
pub(super) type Begin<T, N> = unsafe fn(
    &Instance<'_, T>,
    &Attributes<'_>,
    <N as Number>::Envelope,
    &mut bindings::netlink_callback,
) -> Result<(), Refusal>;

/// The functions that [`Operation::dump`](super::Operation::dump) stores for a dump.
pub(super) struct Functions<T: Subsystem, N: Number> {
    /// Begins the dump.
    pub(super) begin: Begin<T, N>,
    /// Continues the dump that `begin` began.
    pub(super) fill:
        unsafe extern "C" fn(*mut bindings::sk_buff, *mut bindings::netlink_callback) -> c_int,
}

impl<T: Subsystem, N: Number> Functions<T, N> {
    /// The functions for the dump `D`.
    pub(super) const fn of<D: Dump<T, N>>() -> Self {
        Self {
            begin: begin::<T, N, D>,
            fill: filled::<T, N, D>,
        }
    }
}

/// The data of a dump in `netlink_callback::ctx`. Only the dump uses this memory, whether
/// [`start`] or generic netlink started the dump.
#[repr(C)]
struct State<N: Number, C> {
    /// The pointer from [`Weak::into_raw`]. It is the first field, because `done` must find it
    /// without knowing the types of the other fields.
    instance: *mut c_void,
    envelope: N::Envelope,
    cursor: C,
}

impl<N: Number, C: Copy> State<N, C> {
    const FITS: () = {
        assert!(size_of::<C>() <= 32, "the cursor of a dump does not fit");
        assert!(size_of::<Self>() <= size_of::<bindings::netlink_callback__bindgen_ty_1>());
        assert!(align_of::<Self>() <= align_of::<bindings::netlink_callback__bindgen_ty_1>());
    };

    /// The place in `cb` that holds the state of the dump.
    fn of(cb: &mut bindings::netlink_callback) -> *mut Self {
        const { Self::FITS };
        (&raw mut cb.__bindgen_anon_1).cast()
    }
}

/// Begins the dump `D`.
///
/// # Safety
///
/// See [`Begin`].
unsafe fn begin<T: Subsystem, N: Number, D: Dump<T, N>>(
    instance: &Instance<'_, T>,
    attributes: &Attributes<'_>,
    envelope: N::Envelope,
    cb: &mut bindings::netlink_callback,
) -> Result<(), Refusal> {
    let state = State::<N, D::Cursor> {
        cursor: D::start(instance, attributes)?,
        envelope,
        // `done` takes the `Weak` back.
        instance: instance.downgrade()?.into_raw(),
    };
    // SAFETY: The caller promises that nobody else uses `ctx`. The data fits: `State::of` checks
    // the size.
    unsafe { State::of(cb).write(state) };
    Ok(())
}

/// The value to which `netlink_callback::data` points when the kernel calls `started`.
struct Beginning<'a, T: Subsystem> {
    instance: &'a Instance<'a, T>,
    attributes: &'a Attributes<'a>,
    begin: Begin<T, MessageType>,
    /// If the dump could not begin, the reason.
    refusal: Option<Refusal>,
}

/// Starts a dump of a raw netlink protocol, as `netlink_dump_start()` does. Even if the
/// dump has started, this returns an error: `EINTR`. After this error, the caller sends no
/// acknowledgement, because the end of the dump acknowledges the request.
pub(super) fn start<T: Subsystem>(
    instance: &Instance<'_, T>,
    request: &Request<'_>,
    attributes: &Attributes<'_>,
    functions: &Functions<T, MessageType>,
) -> Result<(), Refusal> {
    let mut beginning = Beginning {
        instance,
        attributes,
        begin: functions.begin,
        refusal: None,
    };
    // The kernel keeps the request's buffer until the dump ends. The buffer that the client sent
    // is charged to the kernel socket, so freeing this buffer writes to the socket. But the
    // kernel socket may be freed before the dump ends. Therefore the dump gets a copy of the
    // request in a buffer that is charged to no socket.
    let kept = request.detached()?;
    let mut control = bindings::netlink_dump_control {
        start: Some(started::<T>),
        dump: Some(functions.fill),
        done: Some(done::<T>),
        data: (&raw mut beginning).cast(),
        // A client can keep the dump for any time. The module must stay loaded until the dump
        // ends.
        module: this_module::<T::Module>().as_ptr(),
        ..Default::default()
    };
    // SAFETY: The socket is the one that received the request. `kept` is a buffer with one
    // message that describes the sender. The call takes its own reference to `kept`. The control
    // block is valid. Only `started` uses its `data`, and `started` runs within this call.
    let result = to_result(unsafe {
        bindings::__netlink_dump_start(
            request.buffer.socket().as_ptr(),
            kept.as_raw(),
            kept.header(),
            &mut control,
        )
    });
    match beginning.refusal {
        Some(refusal) => Err(refusal),
        None => Ok(result?),
    }
}

/// The function that the C side calls to start a dump. It calls [`Dump::start`].
///
/// # Safety
///
/// Only `__netlink_dump_start()` may call this, with the control block that [`start`] made.
unsafe extern "C" fn started<T: Subsystem>(cb: *mut bindings::netlink_callback) -> c_int {
    // SAFETY: The kernel passes a valid structure, and nobody else uses it during the call. `start`
    // stored `data`, and `data` is valid during this call.
    let (cb, beginning) = unsafe { (&mut *cb, &mut *(*cb).data.cast::<Beginning<'_, T>>()) };
    // SAFETY: The `netlink_callback` is new, and only the dump uses its `ctx`. `start` put `done`
    // into the control block, so netlink calls `done` at the end of the dump.
    match unsafe { (beginning.begin)(beginning.instance, beginning.attributes, (), cb) } {
        Ok(()) => 0,
        Err(refusal) => {
            beginning.refusal = Some(refusal);
            refusal.error().to_errno()
        }
    }
}

/// The function that the C side calls for each buffer. It calls [`Dump::fill`].
///
/// # Safety
///
/// Only netlink may call this, for a dump that [`begin`] began, one call at a time.
unsafe extern "C" fn filled<T: Subsystem, N: Number, D: Dump<T, N>>(
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
) -> c_int {
    // SAFETY: The kernel passes valid structures, and nobody else uses them during the call.
    let (skb, cb) = unsafe { (&mut *skb, &mut *cb) };
    // SAFETY: The dump keeps the buffer of its request. `cb.skb` and `cb.nlh` point to this
    // buffer.
    let (portid, seq) = unsafe {
        let parms: *const bindings::netlink_skb_parms = (&raw const (*cb.skb).cb).cast();
        ((*parms).portid, (*cb.nlh).nlmsg_seq)
    };
    // SAFETY: `begin` wrote the data to `ctx`, and the last call of this function wrote the
    // cursor. All fields are `Copy`.
    let State {
        instance,
        envelope,
        mut cursor,
    } = unsafe { State::<N, D::Cursor>::of(cb).read() };
    // SAFETY: `begin` made the pointer from a `Weak`, and `done` takes it back after the last call.
    let weak = unsafe { Weak::<T>::borrow(instance) };

    let filled = weak.with(|instance| {
        let generation = || sequence(D::generation(instance));
        cb.seq = generation();
        // INVARIANT: `skb` and `cb` are the arguments of this callback.
        let mut page = Page {
            skb,
            cb,
            portid,
            seq,
            envelope,
        };
        let filled = D::fill(instance, &mut cursor, &mut page);
        let Page { skb, cb, .. } = page;
        // If the generation has changed during `fill`, the next message has `NLM_F_DUMP_INTR`,
        // even if that message is the end of the dump.
        cb.seq = generation();
        (filled, skb.len, cb)
    });
    from_result(|| match filled {
        None => Err(ESHUTDOWN),
        Some((Ok(()), ..)) => Ok(0),
        // The message does not fit even into an empty buffer.
        Some((Err(Full), 0, _)) => Err(EMSGSIZE),
        Some((Err(Full), len, cb)) => {
            // SAFETY: `begin` wrote the data to `ctx`, and nobody else uses `cb` during the call.
            unsafe { (*State::<N, D::Cursor>::of(cb)).cursor = cursor };
            Ok(len as c_int) // CAST: The length of a buffer fits into an `int`.
        }
    })
}

/// The value for `netlink_callback::seq` that stands for a generation. It is never 0, because 0
/// means "not known". Two generations that follow each other have different values.
fn sequence(generation: u32) -> u32 {
    generation << 1 | 1
}

/// The C side calls this when a dump ends, for any reason.
///
/// # Safety
///
/// Only netlink may call this, once for a dump that [`begin`] began.
pub(super) unsafe extern "C" fn done<T: Subsystem>(cb: *mut bindings::netlink_callback) -> c_int {
    // SAFETY: The kernel passes a valid structure. The data in its `ctx` starts with the pointer
    // that `begin` wrote. Nobody uses this pointer after this call.
    drop(unsafe { Weak::<T>::from_raw((*State::<MessageType, ()>::of(&mut *cb)).instance) });
    0
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_dump)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_generation_shows() {
        for generation in [0, 1, 2, u32::MAX / 2, u32::MAX - 1, u32::MAX] {
            assert!(sequence(generation) != 0);
            assert!(sequence(generation) != sequence(generation.wrapping_add(1)));
        }
    }
}
