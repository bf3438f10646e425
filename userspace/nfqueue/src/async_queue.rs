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
/// The queue is also a [`Stream`] of [`OwnedPacket`]s, for `tokio_stream::StreamExt::next` and
/// similar functions. The stream does not end, and goes on after errors.
///
/// A full receive buffer is no error. [`Queue::losses`] counts the packets that the kernel dropped
/// because they had no room. To call it, use [`get_ref`](Self::get_ref).
///
/// One task owns the queue. This task can send each [`OwnedPacket`] to other tasks through a
/// channel. The other tasks send the packet's id and their decision back through another channel.
///
/// # When verdicts cannot be sent
///
/// The queue has a verdict as soon as [`decide`](Self::decide) is called. If the kernel cannot take
/// the verdict (`ENOBUFS`, `EAGAIN`), the future waits a millisecond and tries again, until the
/// kernel has the verdict. The future does not poll for a writable socket, because the socket is
/// always writable: the kernel charges no send buffer for messages to the kernel.
///
/// # Cancellation
///
/// All methods are cancellation safe, for example in `tokio::select!`. If a future is dropped, no
/// packet and no verdict is lost. The queue sends the verdicts that it still has with the next
/// verdict, while it waits for a packet, in [`flush`](Self::flush), or when the queue is dropped or
/// closed.
#[derive(Debug)]
pub struct AsyncQueue {
    fd: AsyncFd<Queue>,
    /// The timer after which the queue tries again to send verdicts that the kernel could not take.
    again: Option<Pin<Box<Sleep>>>,
    /// The timer after which the queue must send the verdicts that wait for other verdicts.
    due: Option<Pin<Box<Sleep>>>,
    /// The buffer for packets that `poll_next` receives. `next_packet` uses its caller's buffer.
    buffer: Vec<u8>,
}

impl AsyncQueue {
    /// Registers a queue with the tokio runtime. Fails if the runtime cannot register the queue's
    /// descriptor.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime, or in a runtime without I/O (`enable_io`). In a runtime
    /// without timers (`enable_time`), later calls panic if verdicts cannot be sent, or if they
    /// must wait for the time of [`Batching`](crate::Batching).
    pub fn new(queue: Queue) -> Result<Self> {
        // `AsyncFd::with_interest` is deprecated. Its replacement,
        // `AsyncFd::register_with_interest`, is unsafe, because it requires a descriptor that does
        // not change. The descriptor does not change here: a queue has one descriptor for its whole
        // life, and no code can put another queue in its place.
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

    /// The queue, for example to read its number and its losses.
    #[must_use]
    pub fn get_ref(&self) -> &Queue {
        self.fd.get_ref()
    }

    fn get_mut(&mut self) -> &mut Queue {
        self.fd.get_mut()
    }

    /// Takes the queue out of the runtime. The queue keeps the verdicts that were not sent.
    #[must_use]
    pub fn into_inner(self) -> Queue {
        self.fd.into_inner()
    }

    /// Waits for a packet, and reads it into `buffer`. The buffer should have [`RECEIVE_LEN`]
    /// bytes.
    ///
    /// This function counts refusals of earlier verdicts, see [`Queue::refusals`]. After every
    /// error the queue can still be used, see [`Queue::next_packet`].
    pub async fn next_packet<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Queued<'b>> {
        let place = poll_fn(|context| self.poll_place(context, buffer)).await?;
        Ok(place.of(buffer))
    }

    /// Decides about a packet. Packets can be decided in any order. When this function returns, the
    /// queue has the verdict. When the future ends, the kernel has the verdict, unless the verdict
    /// waits for others by [`Options::batching`](crate::Options::batching).
    ///
    /// Do not decide the packet again, even if the future fails or is dropped.
    pub fn decide(&mut self, id: u32, decision: Decision) -> impl Future<Output = Result<()>> {
        let sent = self.get_mut().decide(id, decision);
        self.sent(sent)
    }

    /// Decides about all packets of the queue up to the packet with this id: see
    /// [`Queue::decide_up_to`]. The future ends as the future of [`decide`](Self::decide) does.
    pub fn decide_up_to(
        &mut self,
        id: u32,
        decision: Decision,
    ) -> impl Future<Output = Result<()>> {
        let sent = self.get_mut().decide_up_to(id, decision);
        self.sent(sent)
    }

    /// Decides about a packet and replaces its content: see [`Queue::decide_rewritten`]. The
    /// future ends as the future of [`decide`](Self::decide) does.
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

    /// Sends the verdicts that wait to be sent, unbinds the queue, and returns what was left in the
    /// queue and in the socket.
    ///
    /// While the kernel has no memory for verdicts, this function waits, as [`flush`](Self::flush)
    /// does. For other errors of sends see [`Queue::close`].
    pub async fn close(mut self) -> Result<Closed> {
        // The error needs no report: `Queue::close` counts the verdicts that were not sent.
        let _ = self.flush().await;
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
            // Messages that came before the answer to the bind were already read from the socket,
            // so the socket need not be readable for them.
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

    /// Sends verdicts while no packets come. The poll is ready only when a send fails.
    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        if self.get_ref().unsent() > 0 {
            if let Some(due) = self.get_ref().due() {
                let due = due.into();
                // `self.due` can be the timer of other verdicts, which were sent meanwhile. It
                // would end too early for the verdicts that wait now, so it is replaced.
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

/// The stream does not end.
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
