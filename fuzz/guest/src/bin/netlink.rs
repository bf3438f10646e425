// SPDX-License-Identifier: GPL-2.0

//! Sends netlink messages to the module, and checks the answers by the rules of the protocol.

#![no_main]

use std::cell::RefCell;
use std::mem;

use arbitrary::Arbitrary;
use arbitrary::Result;
use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

use nldemo_fuzz_guest::Sequence;
use nldemo_fuzz_guest::client::Client;
use nldemo_fuzz_guest::client::Switch;
use nldemo_fuzz_guest::kernel_log::KernelLog;
use nldemo_fuzz_guest::message::Message;
use nldemo_fuzz_guest::message::Series;
use nldemo_fuzz_guest::settings::Settings;
use nldemo_fuzz_guest::tally::Tally;

/// An action of one client. Client 0 has all privileges, and client 1 has none.
#[derive(Debug)]
struct Step {
    client: usize,
    deed: Deed,
}

#[derive(Debug)]
enum Deed {
    Send {
        messages: Vec<Message>,
        /// The number of bytes to add at the end of the buffer. If it is negative, bytes are
        /// removed.
        end: i8,
        /// If this is `Some`, the sockets of this multicast group get the messages, too.
        group: Option<u32>,
    },
    /// Sends changed copies of `message`. Only the value that `series` names is changed.
    Series {
        message: Message,
        series: Series,
        start: u8,
        /// Whether all messages are sent in one buffer.
        together: bool,
    },
    Receive,
    Switch(Switch, bool),
    Membership(u32, bool),
    Narrow,
    Reopen,
}

impl<'a> Arbitrary<'a> for Step {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let choice = bytes.arbitrary::<u8>()?;
        let client = usize::from(choice & 3 == 3);
        let deed = match choice >> 2 {
            0..=27 => {
                let count = bytes.int_in_range(1..=32)?;
                Deed::Send {
                    messages: (0..count)
                        .map(|_| bytes.arbitrary())
                        .collect::<Result<_>>()?,
                    end: match bytes.arbitrary()? {
                        240..=255_u8 => bytes.arbitrary()?,
                        _ => 0,
                    },
                    group: None,
                }
            }
            28..=43 => Deed::Series {
                message: bytes.arbitrary()?,
                series: bytes.arbitrary()?,
                start: bytes.arbitrary()?,
                together: bytes.arbitrary()?,
            },
            44..=46 => Deed::Send {
                messages: vec![bytes.arbitrary()?],
                end: 0,
                group: Some(bytes.int_in_range(1..=2)?),
            },
            47..=50 => Deed::Receive,
            51..=56 => Deed::Switch(bytes.arbitrary()?, bytes.arbitrary()?),
            57..=60 => Deed::Membership(
                match bytes.arbitrary()? {
                    // In three of four cases, this is the group of the module's events.
                    0..=191_u8 => 1,
                    _ => bytes.int_in_range(0..=33)?,
                },
                !bytes.arbitrary::<bool>()?,
            ),
            61..=62 => Deed::Reopen,
            _ => Deed::Narrow,
        };
        Ok(Self { client, deed })
    }
}

/// The number of messages that a [`Deed::Series`] sends. Each input begins with new sockets and the
/// default configuration. The number is large, so that most of the input's time is for messages.
const SERIES_LEN: u8 = 32;

struct Fuzzer {
    tally: Tally,
    log: KernelLog,
    clients: [Client; 2],
    /// Whether the configuration may differ from the default.
    changed: bool,
    buffer: Vec<u8>,
}

impl Fuzzer {
    fn run(&mut self, steps: &[Step]) {
        // The previous input may have changed options or groups of the sockets.
        self.clients.iter_mut().for_each(Client::renew);
        if mem::take(&mut self.changed) {
            self.buffer.clear();
            let [client, _] = &mut self.clients;
            Settings::default().append_to(&mut self.buffer, client.next_sequence());
            client.send(&self.buffer, None);
        }
        for Step { client: n, deed } in steps {
            let client = &mut self.clients[*n];
            match deed {
                Deed::Send {
                    messages,
                    end,
                    group,
                } => {
                    self.buffer.clear();
                    for message in messages {
                        message.append_to(&mut self.buffer, client.next_sequence());
                        self.changed |= message.is_change();
                    }
                    let len = self.buffer.len().saturating_add_signed((*end).into());
                    self.buffer.resize(len, 0xff);
                    self.tally.add(client.send(&self.buffer, *group));
                }
                Deed::Series {
                    message,
                    series,
                    start,
                    together,
                } => {
                    self.buffer.clear();
                    for n in 0..SERIES_LEN {
                        let mut message = message.clone();
                        message.vary(*series, start.wrapping_add(n));
                        message.append_to(&mut self.buffer, client.next_sequence());
                        self.changed |= message.is_change();
                        if !together || n == SERIES_LEN - 1 {
                            self.tally.add(client.send(&self.buffer, None));
                            self.buffer.clear();
                        }
                    }
                }
                Deed::Receive => client.receive(),
                Deed::Switch(switch, on) => client.switch(*switch, *on),
                Deed::Membership(group, join) => client.membership(*group, *join),
                Deed::Narrow => client.narrow(),
                Deed::Reopen => client.reopen(),
            }
        }
        self.clients.iter_mut().for_each(Client::finish);
        self.log.check();
    }
}

thread_local! {
    static FUZZER: RefCell<Fuzzer> = RefCell::new(Fuzzer {
        tally: Tally::new(),
        log: KernelLog::open(),
        clients: [true, false].map(Client::open),
        changed: true,
        buffer: Vec::new(),
    });
}

fuzz_target!(|steps: Sequence<Step>| {
    FUZZER.with_borrow_mut(|fuzzer| fuzzer.run(&steps.0));
});
