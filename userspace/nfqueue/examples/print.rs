// SPDX-License-Identifier: MIT OR Apache-2.0

//! Prints everything that the kernel says about each packet of queue 0, and accepts the packet.

use nfnetlink_queue::{Decision, Options, RECEIVE_LEN, Result, Summary};

fn main() -> Result<()> {
    let mut queue = Options::default().uid_gid(true).fail_open(true).bind(0)?;
    let mut buffer = vec![0; RECEIVE_LEN];
    loop {
        let queued = queue.next_packet(&mut buffer)?;
        queue.decide(queued.id, Decision::ACCEPT)?;
        let packet = queued.packet()?;
        let hook = packet.hook;
        match Summary::parse(&packet) {
            Some(ip) => println!(
                "#{} {hook} {} > {} {}, {} bytes",
                packet.id,
                ip.source,
                ip.destination,
                ip.protocol_name(),
                packet.length
            ),
            None => println!("#{} {hook} ethertype {:#06x}", packet.id, packet.ethertype),
        }
        println!("  {packet:x?}");
    }
}
