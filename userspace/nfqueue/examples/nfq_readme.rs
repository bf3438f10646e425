// SPDX-License-Identifier: MIT OR Apache-2.0

//! Accepts all packets of queue 0. This is the first example in the README of the crate `nfq`,
//! rewritten for this crate.

use nfnetlink_queue::{Decision, Queue, RECEIVE_LEN, Result};

fn main() -> Result<()> {
    let mut queue = Queue::bind(0)?;
    let mut buffer = vec![0; RECEIVE_LEN];
    loop {
        let packet = queue.next_packet(&mut buffer)?;
        queue.decide(packet.id, Decision::ACCEPT)?;
    }
}
