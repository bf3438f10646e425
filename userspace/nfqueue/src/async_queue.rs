// SPDX-License-Identifier: MIT OR Apache-2.0

//! A queue on tokio.

use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use futures_core::Stream;
use knetlink::RECEIVE_LEN;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;
use tokio::time::sleep;
use tokio::time::sleep_until;

use crate::error::Error;
use crate::error::Result;
use crate::queued::OwnedPacket;
use crate::queued::Queued;
use crate::rewrite::Rewritten;
use crate::socket::AGAIN;
use crate::socket::Closed;
use crate::socket::Place;
use crate::socket::Queue;
use crate::socket::Received;
use crate::verdict::Decision;

/// A [`Queue`] on tokio: a stream of packets, and verdicts that are not lost.
///
/// ```no_run
/// use nfnetlink_queue::{AsyncQueue, Decision, Queue, RECEIVE_LEN};
///
/// # async fn example() -> nfnetlink_queue::Result<()> {
/// let mut queue = AsyncQueue::new(Queue::bind(0)?)?;
/// let mut buffer = vec![0; RECEIVE_LEN];
/// loop {
///     let packet = queue.next_packet(&mut buffer).await?;
///     queue.decide(packet.id, Decision::ACCEPT).await?;
/// }
/// # }
/// ```
///
/// It is a [`Stream`] of packets that can be kept as well, for `tokio_stream::StreamExt::next` and
/// the like. The stream does not end, and goes on after errors.
///
/// A full receive buffer is no error: [`get_ref`](Self::get_ref) leads to [`Queue::losses`], which
/// counts the packets that found no room.
///
/// One task has the queue. Others can get each [`OwnedPacket`] by a channel, and send its id and their
/// decision back by another.
///
/// # When verdicts cannot be sent
///
/// A verdict is with the queue from the call of [`decide`](Self::decide) on. If the kernel cannot
/// take it (`ENOBUFS`, `EAGAIN`), the future waits a millisecond and tries again, until the kernel
/// has it. It waits for a time and not for the socket to be writable, because it is always that:
/// the kernel charges no send buffer for what itself is sent.
///
/// # Cancellation
///
/// All methods are cancellation safe, in `tokio::select!` for instance. A future that is dropped
/// loses no packet and no verdict: verdicts that were not sent go with the next one, while a packet
/// is waited for, by [`flush`](Self::flush), or when the queue is dropped or closed.
#[derive(Debug)]
pub struct AsyncQueue {
    fd: AsyncFd<Queue>,
    /// Ends when verdicts are to be sent once more that could not be sent.
    again: Option<Pin<Box<Sleep>>>,
    /// Ends when verdicts are to be sent that wait for others.
    due: Option<Pin<Box<Sleep>>>,
    /// What the stream receives into.
    buffer: Vec<u8>,
}

impl AsyncQueue {
    /// Hands a queue over to the runtime. Fails if that has no more room for it.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without I/O (`enable_io`). Later calls panic in one
    /// without time (`enable_time`) if verdicts cannot be sent or are gathered for a time.
    pub fn new(queue: Queue) -> Result<Self> {
        // What `AsyncFd::register_with_interest` asks for, which is unsafe, holds: the queue has one descriptor
        // from its beginning to its end, and nobody can put another queue in its place.
        #[allow(
            deprecated,
            reason = "its replacement is unsafe, and newer than others' tokio"
        )]
        let fd = AsyncFd::with_interest(queue, Interest::READABLE)
            .map_err(|error| failed("hand the queue over to tokio", &error))?;
        Ok(Self {
            fd,
            again: None,
            due: None,
            buffer: Vec::new(),
        })
    }

    /// The queue within, for its numbers and losses.
    #[must_use]
    pub fn get_ref(&self) -> &Queue {
        self.fd.get_ref()
    }

    fn get_mut(&mut self) -> &mut Queue {
        self.fd.get_mut()
    }

    /// Takes the queue out of the runtime. Verdicts that were not sent stay with it.
    #[must_use]
    pub fn into_inner(self) -> Queue {
        self.fd.into_inner()
    }

    /// Waits for a packet, which it reads into `buffer`, of [`RECEIVE_LEN`] bytes.
    ///
    /// Refusals of earlier verdicts are counted, see [`Queue::refusals`]. The queue can be used on
    /// after every error, see [`Queue::next_packet`].
    pub async fn next_packet<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Queued<'b>> {
        let place = poll_fn(|context| self.poll_place(context, buffer)).await?;
        Ok(place.of(buffer))
    }

    /// Decides what becomes of a packet, in whatever order. The verdict is with the queue when this
    /// returns, and with the kernel when the future ends, unless it waits for others by
    /// [`Options::batching`](crate::Options::batching).
    ///
    /// Do not decide the packet again, whatever becomes of the future.
    pub fn decide(&mut self, id: u32, decision: Decision) -> impl Future<Output = Result<()>> {
        let sent = self.get_mut().decide(id, decision);
        self.sent(sent)
    }

    /// Likewise, for all packets of the queue up to this one: see [`Queue::decide_up_to`].
    pub fn decide_up_to(
        &mut self,
        id: u32,
        decision: Decision,
    ) -> impl Future<Output = Result<()>> {
        let sent = self.get_mut().decide_up_to(id, decision);
        self.sent(sent)
    }

    /// Likewise, for a packet that gets other content: see [`Queue::decide_rewritten`].
    pub fn decide_rewritten(
        &mut self,
        decision: Decision,
        packet: &Rewritten,
    ) -> impl Future<Output = Result<()>> + use<'_> {
        let sent = self.get_mut().decide_rewritten(decision, packet);
        self.sent(sent)
    }

    async fn sent(&mut self, sent: Result<()>) -> Result<()> {
        match sent {
            Err(error) if error.is_temporary() => self.flush().await,
            done => done,
        }
    }

    /// Sends the verdicts that wait to be sent, and waits until the kernel has them.
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// Unbinds the queue, once all verdicts are sent, and tells what was left in it.
    pub async fn close(mut self) -> Result<Closed> {
        self.flush().await?;
        self.into_inner().close()
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            if let Some(again) = &mut self.again {
                ready!(again.as_mut().poll(context));
                self.again = None;
            }
            match self.get_mut().flush() {
                Err(error) if error.is_temporary() => {
                    self.again = Some(Box::pin(sleep(AGAIN)));
                }
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_place(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<Place>> {
        loop {
            // What came before the queue was bound is no longer in the socket.
            if !self.get_ref().has_early() {
                let Poll::Ready(ready) = self.fd.poll_read_ready_mut(context) else {
                    return self.poll_unsent(context).map(Err);
                };
                let mut ready = ready.map_err(|error| failed("wait for packets", &error))?;
                match ready.get_inner_mut().receive_place(buffer)? {
                    Received::Packet(place) => return Poll::Ready(Ok(place)),
                    Received::Other => {}
                    Received::Nothing => ready.clear_ready(),
                }
            } else if let Received::Packet(place) = self.get_mut().receive_place(buffer)? {
                return Poll::Ready(Ok(place));
            }
        }
    }

    /// Sends verdicts while there are no packets. Is ready when that fails.
    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        if self.get_ref().unsent() > 0 {
            if let Some(due) = self.get_ref().due() {
                let due = due.into();
                // One for verdicts that were sent meanwhile is over too early.
                let sleep = self.due.take().filter(|sleep| sleep.deadline() == due);
                let sleep = sleep.unwrap_or_else(|| Box::pin(sleep_until(due)));
                ready!(self.due.insert(sleep).as_mut().poll(context));
            }
            if let Err(error) = ready!(self.poll_flush(context)) {
                return Poll::Ready(error);
            }
        }
        self.due = None;
        Poll::Pending
    }
}

fn failed(operation: &str, error: &io::Error) -> Error {
    knetlink::Error::from(linux_names::Error::io(operation, error)).into()
}

/// Does not end.
impl Stream for AsyncQueue {
    type Item = Result<OwnedPacket>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let mut buffer = std::mem::take(&mut this.buffer);
        buffer.resize(RECEIVE_LEN, 0);
        let place = this.poll_place(context, &mut buffer);
        let packet = place.map_ok(|place| place.of(&buffer).to_owned());
        this.buffer = buffer;
        packet.map(Some)
    }
}

impl AsFd for AsyncQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}
