// SPDX-License-Identifier: GPL-2.0

//! Answers of many messages.
//!
//! The kernel asks for a dump buffer by buffer, as the client reads: the first when it handles the
//! request, the others in the client's `recvmsg()`. Meanwhile the client may be gone for any time,
//! and what is dumped may change.
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

/// A way to list something in as many messages as it takes.
///
/// While [`generation`](Dump::generation) and [`fill`](Dump::fill) run, [`Weak::with`] for the same
/// instance would wait for itself.
pub trait Dump<T: Subsystem, N: Number = MessageType>: 'static {
    /// Where a dump goes on.
    ///
    /// It lies in the C side's memory between two buffers, and is forgotten with a dump that its
    /// client does not read to the end: hence `Copy`, and at most 32 bytes. More do not compile.
    type Cursor: Copy + Send + 'static;

    /// Where a dump begins.
    ///
    /// Context: process, may sleep.
    fn start(
        instance: &Instance<'_, T>,
        attributes: &Attributes<'_>,
    ) -> Result<Self::Cursor, Refusal>;

    /// A number that changes whenever what is listed does, in ways that make messages of before and
    /// after a bad match. If that happens between two messages, the client is told
    /// (`NLM_F_DUMP_INTR`).
    ///
    /// Context: process, may sleep.
    fn generation(instance: &Instance<'_, T>) -> u32;

    /// Fills a page with messages, and moves the cursor along with each one. At the end it returns;
    /// when the page is full, it passes on that it is, to be called again with another page.
    ///
    /// Context: process, may sleep.
    fn fill(
        instance: &Instance<'_, T>,
        cursor: &mut Self::Cursor,
        page: &mut Page<'_, N>,
    ) -> Result<(), Full>;
}

/// A [`Page`] has no room for a message.
pub struct Full;

/// One buffer of a dump.
///
/// # Invariants
///
/// For `'a`, `skb` and `cb` are what `netlink_dump()` passed to its callback.
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
    /// [`Full`]: there is no room for it. It was not appended.
    pub fn put(&mut self, number: N, payload: &[u8]) -> Result<(), Full> {
        let head = number.head(self.envelope);
        let start = Header::LEN + head.as_ref().len();
        let len = start + payload.len();
        let padded = len.next_multiple_of(ALIGNMENT);
        // The buffer is linear, with its ends counted from one base.
        let tailroom = (self.skb.end - self.skb.tail) as usize;
        if padded > tailroom {
            return Err(Full);
        }
        let mut flags = bindings::NLM_F_MULTI;
        // As `nl_dump_check_consistent()` does.
        if self.cb.prev_seq != 0 && self.cb.prev_seq != self.cb.seq {
            flags |= bindings::NLM_F_DUMP_INTR;
        }
        self.cb.prev_seq = self.cb.seq;
        let header = Header {
            len: len as u32, // CAST: No more than the tailroom, which fits.
            msg_type: number.msg_type(self.envelope),
            flags: flags as u16, // CAST: Flags of a 16 bit field.
            seq: self.seq,
            pid: self.portid,
        };
        // SAFETY: By the type invariants the buffer is valid and ours to fill. It has room for
        // `padded` bytes, which `skb_put()` adds to its end and returns.
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

/// Begins a dump in a place for it.
///
/// # Safety
///
/// The callback must be a new one of netlink's, which has [`done`] called in the end if this
/// succeeds, and only then. Nobody else may use it during the call, or its `ctx` after it.
pub(super) type Begin<T, N> = unsafe fn(
    &Instance<'_, T>,
    &Attributes<'_>,
    <N as Number>::Envelope,
    &mut bindings::netlink_callback,
) -> Result<(), Refusal>;

/// What [`Operation::dump`](super::Operation::dump) stores of a dump.
pub(super) struct Functions<T: Subsystem, N: Number> {
    /// Begins it.
    pub(super) begin: Begin<T, N>,
    /// Goes on with what `begin` began.
    pub(super) fill:
        unsafe extern "C" fn(*mut bindings::sk_buff, *mut bindings::netlink_callback) -> c_int,
}

impl<T: Subsystem, N: Number> Functions<T, N> {
    /// Those of `D`.
    pub(super) const fn of<D: Dump<T, N>>() -> Self {
        Self {
            begin: begin::<T, N, D>,
            fill: filled::<T, N, D>,
        }
    }
}

/// What a dump keeps in `netlink_callback::ctx`, the one place that is its own whoever started it.
#[repr(C)]
struct State<N: Number, C> {
    /// From [`Weak::into_raw`]. It comes first, where `done` finds it, which knows nothing of the
    /// others.
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

    /// Where it lies.
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
        // `done` takes it back.
        instance: instance.downgrade().into_raw(),
    };
    // SAFETY: By the caller's promise the place is ours. It fits.
    unsafe { State::of(cb).write(state) };
    Ok(())
}

/// What `started` finds in `netlink_callback::data`.
struct Beginning<'a, T: Subsystem> {
    instance: &'a Instance<'a, T>,
    attributes: &'a Attributes<'a>,
    begin: Begin<T, MessageType>,
    /// Why it could not begin.
    refusal: Option<Refusal>,
}

/// Starts a dump of a protocol's own, as `netlink_dump_start()` does. What was started reports
/// `EINTR`, so that the end of the dump is all that is acknowledged.
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
    // The kernel keeps the request for as long as the client keeps the dump. What the client sent
    // is charged to the kernel socket, which would have to stay as long: hence one of our own.
    let kept = request.detached()?;
    let mut control = bindings::netlink_dump_control {
        start: Some(started::<T>),
        dump: Some(functions.fill),
        done: Some(done::<T>),
        data: (&raw mut beginning).cast(),
        // A client keeps the dump for as long as it likes. Until then the module must stay.
        module: this_module::<T::Module>().as_ptr(),
        ..Default::default()
    };
    // SAFETY: The socket is the one that received the request. `kept` is a buffer with one message,
    // of which the call takes a reference of its own, and describes the sender. The control block
    // is valid, and its `data` is used by `started` only, which runs within this call.
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

/// The C side's way to [`Dump::start`].
///
/// # Safety
///
/// To be called by `__netlink_dump_start()`, with the control block that [`start`] made.
unsafe extern "C" fn started<T: Subsystem>(cb: *mut bindings::netlink_callback) -> c_int {
    // SAFETY: The kernel passes a valid structure, which nobody else uses during the call, and
    // `data` is what `start` put there, for as long as this call lasts.
    let (cb, beginning) = unsafe { (&mut *cb, &mut *(*cb).data.cast::<Beginning<'_, T>>()) };
    // SAFETY: The callback is the one that is being started, whose `ctx` is the dump's own, and
    // `done` is named beside this function.
    match unsafe { (beginning.begin)(beginning.instance, beginning.attributes, (), cb) } {
        Ok(()) => 0,
        Err(refusal) => {
            beginning.refusal = Some(refusal);
            refusal.error().to_errno()
        }
    }
}

/// The C side's way to [`Dump::fill`].
///
/// # Safety
///
/// To be called by netlink, for a dump that [`begin`] began, one call at a time.
unsafe extern "C" fn filled<T: Subsystem, N: Number, D: Dump<T, N>>(
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
) -> c_int {
    // SAFETY: The kernel passes valid structures, and nobody else uses them during the call.
    let (skb, cb) = unsafe { (&mut *skb, &mut *cb) };
    // SAFETY: The request that the dump was started with stays with it.
    let (portid, seq) = unsafe {
        let parms: *const bindings::netlink_skb_parms = (&raw const (*cb.skb).cb).cast();
        ((*parms).portid, (*cb.nlh).nlmsg_seq)
    };
    // SAFETY: `begin` wrote it there, and the call before this the cursor. All of it is `Copy`.
    let State {
        instance,
        envelope,
        mut cursor,
    } = unsafe { State::<N, D::Cursor>::of(cb).read() };
    // SAFETY: `begin` made it of a `Weak`, and `done` takes it back after the last call.
    let weak = unsafe { Weak::<T>::borrow(instance) };

    let filled = weak.with(|instance| {
        let generation = || sequence(D::generation(instance));
        cb.seq = generation();
        // INVARIANT: That is what was passed.
        let mut page = Page {
            skb,
            cb,
            portid,
            seq,
            envelope,
        };
        let filled = D::fill(instance, &mut cursor, &mut page);
        let Page { skb, cb, .. } = page;
        // A change meanwhile shows in the next message, be it the one that ends the dump.
        cb.seq = generation();
        (filled, skb.len, cb)
    });
    from_result(|| match filled {
        None => Err(ESHUTDOWN),
        Some((Ok(()), ..)) => Ok(0),
        // A message that does not even fit a buffer of its own.
        Some((Err(Full), 0, _)) => Err(EMSGSIZE),
        Some((Err(Full), len, cb)) => {
            // SAFETY: As where it was read.
            unsafe { (*State::<N, D::Cursor>::of(cb)).cursor = cursor };
            Ok(len as c_int) // CAST: The length of a buffer fits.
        }
    })
}

/// What `netlink_callback::seq` is told of a generation: never zero, which stands for "not known",
/// and not the same for the next one.
fn sequence(generation: u32) -> u32 {
    generation << 1 | 1
}

/// Called when a dump ends, in whatever way.
///
/// # Safety
///
/// To be called by netlink once, for a dump that [`begin`] began.
pub(super) unsafe extern "C" fn done<T: Subsystem>(cb: *mut bindings::netlink_callback) -> c_int {
    // SAFETY: The kernel passes a valid structure, with what `begin` wrote there first. Nobody uses
    // it after this.
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
