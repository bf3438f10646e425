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
    prelude::*,
    ModuleMetadata, //
};

use super::{
    attribute::Attributes,
    message::{
        Header,
        MessageType,
        ALIGNMENT, //
    },
    refusal::Refusal,
    request::Request, //
};

use crate::net::pernet::{
    Instance,
    Subsystem,
    Weak, //
};

/// A way to list something in as many messages as it takes.
///
/// While [`generation`](Dump::generation) and [`fill`](Dump::fill) run, [`Weak::with`] for the same
/// instance would wait for itself.
pub trait Dump<T: Subsystem>: 'static {
    /// Where a dump goes on.
    ///
    /// It lies in the C side's memory between two buffers, and is forgotten with a dump that its
    /// client does not read to the end: hence `Copy`.
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
        page: &mut Page<'_>,
    ) -> Result<(), Full>;
}

/// A [`Page`] has no room for a message.
pub struct Full;

/// One buffer of a dump.
///
/// # Invariants
///
/// For `'a`, `skb` and `cb` are what `netlink_dump()` passed to its callback.
pub struct Page<'a> {
    skb: &'a mut bindings::sk_buff,
    cb: &'a mut bindings::netlink_callback,
    portid: u32,
    seq: u32,
}

impl Page<'_> {
    /// Appends a message.
    ///
    /// # Errors
    ///
    /// [`Full`]: there is no room for it. It was not appended.
    pub fn put(&mut self, msg_type: MessageType, payload: &[u8]) -> Result<(), Full> {
        let len = Header::LEN + payload.len();
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
            msg_type,
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
        bytes[Header::LEN..len].copy_from_slice(payload);
        Ok(())
    }
}

/// Starts a dump, as [`Operation::dump`](super::Operation::dump) stores it.
pub(super) type Start<T> =
    fn(&Instance<'_, T>, &Request<'_>, &Attributes<'_>) -> Result<(), Refusal>;

/// What `started` finds in `netlink_callback::data`.
struct Beginning<T: Subsystem, D: Dump<T>> {
    cursor: D::Cursor,
    instance: Weak<T>,
}

/// Starts the dump `D`, as `netlink_dump_start()` does. What was started reports `EINTR`, so that
/// the end of the dump is all that is acknowledged.
pub(super) fn start<T: Subsystem, D: Dump<T>>(
    instance: &Instance<'_, T>,
    request: &Request<'_>,
    attributes: &Attributes<'_>,
) -> Result<(), Refusal> {
    const {
        assert!(size_of::<D::Cursor>() <= size_of::<bindings::netlink_callback__bindgen_ty_1>());
        assert!(align_of::<D::Cursor>() <= align_of::<bindings::netlink_callback__bindgen_ty_1>());
    }
    let mut beginning = Beginning::<T, D> {
        cursor: D::start(instance, attributes)?,
        instance: instance.downgrade(),
    };
    // The kernel keeps the request for as long as the client keeps the dump. What the client sent
    // is charged to the kernel socket, which would have to stay as long: hence one of our own.
    let kept = request.detached()?;
    let mut control = bindings::netlink_dump_control {
        start: Some(started::<T, D>),
        dump: Some(filled::<T, D>),
        done: Some(done::<T>),
        data: (&raw mut beginning).cast(),
        // A client keeps the dump for as long as it likes. Until then the module must stay.
        module: T::Module::THIS_MODULE.as_ptr(),
        ..Default::default()
    };
    // SAFETY: The socket is the one that received the request. `kept` is a buffer with one message,
    // of which the call takes a reference of its own, and describes the sender. The control block is
    // valid, and its `data` is used by `started` only, which runs within this call.
    to_result(unsafe {
        bindings::__netlink_dump_start(
            request.buffer.socket().as_ptr(),
            kept.as_raw(),
            kept.header(),
            &mut control,
        )
    })?;
    Ok(())
}

/// The C side's way to the first cursor.
///
/// # Safety
///
/// To be called by `__netlink_dump_start()`, with the control block that [`start`] made.
unsafe extern "C" fn started<T: Subsystem, D: Dump<T>>(
    cb: *mut bindings::netlink_callback,
) -> c_int {
    // SAFETY: The kernel passes a valid structure, and `data` is what `start` put there.
    unsafe {
        let beginning: *const Beginning<T, D> = (*cb).data.cast_const().cast();
        // `done` takes it back.
        (*cb).data = (*beginning).instance.clone().into_raw();
        // It fits, as `start` asserts.
        (&raw mut (*cb).__bindgen_anon_1)
            .cast::<D::Cursor>()
            .write((*beginning).cursor);
    }
    0
}

/// The C side's way to [`Dump::fill`].
///
/// # Safety
///
/// To be called by `netlink_dump()`, for a dump that [`started`] began.
unsafe extern "C" fn filled<T: Subsystem, D: Dump<T>>(
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
) -> c_int {
    // SAFETY: The kernel passes valid structures, and nobody else uses them during the call.
    let (skb, cb) = unsafe { (&mut *skb, &mut *cb) };
    // SAFETY: The request that `start` made stays with the dump.
    let (portid, seq) = unsafe {
        let parms: *const bindings::netlink_skb_parms = (&raw const (*cb.skb).cb).cast();
        ((*parms).portid, (*cb.nlh).nlmsg_seq)
    };
    // SAFETY: `started` put it there, and `done` takes it back after the last call.
    let weak = unsafe { Weak::<T>::borrow(cb.data) };
    // SAFETY: `started` or the call before this wrote a cursor there, which is `Copy`; it fits.
    let mut cursor = unsafe { (&raw const cb.__bindgen_anon_1).cast::<D::Cursor>().read() };

    let filled = weak.with(|instance| {
        let generation = || sequence(D::generation(instance));
        cb.seq = generation();
        // INVARIANT: That is what was passed.
        let mut page = Page {
            skb,
            cb,
            portid,
            seq,
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
            unsafe {
                (&raw mut cb.__bindgen_anon_1)
                    .cast::<D::Cursor>()
                    .write(cursor)
            };
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
/// To be called by netlink once, for a dump that [`started`] began.
unsafe extern "C" fn done<T: Subsystem>(cb: *mut bindings::netlink_callback) -> c_int {
    // SAFETY: `started` put it there, and nobody uses it after this.
    drop(unsafe { Weak::<T>::from_raw((*cb).data) });
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
