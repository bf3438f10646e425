// SPDX-License-Identifier: MIT OR Apache-2.0

//! Replaces the data of the echo messages and UDP packets of queue 0 by the first argument.

use nfnetlink_queue::{Decision, Edit, Packet, Queue, RECEIVE_LEN, Result, Rewritten, Unwritable};

fn with_data(packet: &Packet<'_>, data: &str) -> Result<Rewritten, Unwritable> {
    let mut edit = Edit::new(packet)?;
    edit.set_data(data.as_bytes())?;
    // Updates lengths and checksums.
    edit.finish()
}

fn main() -> Result<()> {
    let data = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "hello".to_owned());
    let mut queue = Queue::bind(0)?;
    queue.check_rewriting()?;
    let mut buffer = vec![0; RECEIVE_LEN];
    loop {
        let queued = queue.next_packet(&mut buffer)?;
        match with_data(&queued.packet()?, &data) {
            Ok(rewritten) => queue.decide_rewritten(Decision::ACCEPT, &rewritten)?,
            Err(why) => {
                eprintln!("#{} stays as it is: {why}", queued.id);
                queue.decide(queued.id, Decision::ACCEPT)?;
            }
        }
    }
}
