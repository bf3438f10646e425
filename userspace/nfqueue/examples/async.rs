// SPDX-License-Identifier: MIT OR Apache-2.0

//! Drops the packets of queue 0 that contain the text of the first argument. Ends when it is
//! interrupted.

use std::error::Error;

use nfnetlink_queue::{AsyncQueue, Decision, Queue, RECEIVE_LEN};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let text = std::env::args()
        .nth(1)
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "secret".to_owned());
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut queue = AsyncQueue::new(Queue::bind(0)?)?;
    let mut buffer = vec![0; RECEIVE_LEN];
    loop {
        let queued = tokio::select! {
            queued = queue.next_packet(&mut buffer) => queued?,
            _ = interrupts.recv() => break,
        };
        let payload = queued.packet()?.payload;
        let found = payload
            .windows(text.len())
            .any(|part| part == text.as_bytes());
        let decision = [Decision::ACCEPT, Decision::DROP][usize::from(found)];
        // If the kernel has no memory for the verdict (ENOBUFS), the queue tries again until the
        // kernel has the verdict.
        queue.decide(queued.id, decision).await?;
    }
    // If the socket's receive buffer is full, the kernel drops packets and counts them. The loop
    // above goes on.
    println!("lost: {:?}", queue.get_ref().losses());
    println!("left: {:?}", queue.close().await?);
    Ok(())
}
