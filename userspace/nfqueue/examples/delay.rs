// SPDX-License-Identifier: MIT OR Apache-2.0

//! Accepts each packet of queue 0 after a delay. The first argument is the delay in milliseconds.

use std::collections::VecDeque;
use std::error::Error;
use std::num::NonZero;
use std::time::Duration;

use nfnetlink_queue::{AsyncQueue, Batching, Decision, Options};
use tokio::time::{Instant, sleep_until};
use tokio_stream::StreamExt;

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let millis = std::env::args()
        .nth(1)
        .map_or(Ok(100), |text| text.parse())?;
    let batching = Batching {
        count: NonZero::new(64).unwrap_or(NonZero::<usize>::MIN),
        time: Duration::from_millis(5),
    };
    let mut queue = AsyncQueue::new(Options::default().batching(batching).bind(0)?)?;
    let mut waiting = VecDeque::new();
    loop {
        let first = waiting.front().map(|&(time, _)| time);
        tokio::select! {
            Some(packet) = queue.next() => {
                let time = Instant::now() + Duration::from_millis(millis);
                waiting.push_back((time, packet?));
            }
            () = reached(first) => {
                let Some((_, packet)) = waiting.pop_front() else { continue };
                queue.decide(packet.id, Decision::ACCEPT).await?;
            }
        }
    }
}
