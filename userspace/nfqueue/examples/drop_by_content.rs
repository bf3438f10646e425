// SPDX-License-Identifier: MIT OR Apache-2.0

//! Drops the packets of queue 0 that contain the text of the first argument.

use std::num::NonZero;
use std::time::Duration;

use nfnetlink_queue::{Batching, Decision, Options, RECEIVE_LEN, Result};

fn main() -> Result<()> {
    let text = std::env::args()
        .nth(1)
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "secret".to_owned());
    // Under load, one message to the kernel decides up to 64 packets.
    let batching = Batching {
        count: NonZero::new(64).unwrap_or(NonZero::<usize>::MIN),
        time: Duration::ZERO,
    };
    let mut queue = Options::default().batching(batching).bind(0)?;
    let mut buffer = vec![0; RECEIVE_LEN];
    loop {
        let queued = queue.next_packet(&mut buffer)?;
        let payload = queued.packet()?.payload;
        let found = payload
            .windows(text.len())
            .any(|part| part == text.as_bytes());
        let decision = if found {
            Decision::DROP
        } else {
            Decision::ACCEPT
        };
        match queue.decide(queued.id, decision) {
            // `queue` keeps the verdict, and sends it together with the next verdict.
            Err(error) if error.is_temporary() => eprintln!("{error}"),
            decided => decided?,
        }
    }
}
