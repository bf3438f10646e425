// SPDX-License-Identifier: GPL-2.0

//! An NFQUEUE consumer on the crate `nfq`, written like the example in the crate's documentation.
//! The consumer accepts every packet of the queue whose number is the program's only command-line
//! argument.

use std::error::Error;

use nfq::{Queue, Verdict};

fn main() -> Result<(), Box<dyn Error>> {
    let number = std::env::args().nth(1).ok_or("usage: consume-nfq QUEUE")?;
    let mut queue = Queue::open()?;
    queue.bind(number.parse()?)?;
    loop {
        let mut message = queue.recv()?;
        message.set_verdict(Verdict::Accept);
        queue.verdict(message)?;
    }
}
