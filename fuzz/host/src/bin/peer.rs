// SPDX-License-Identifier: GPL-2.0

//! Everything in the peer that reads what a kernel sends, or what a user writes.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

use knetlink::attr::Attributes;
use knetlink::Message;
use knetlink::Messages;
use nldemo::control::Setting;
use nldemo::policy::Policy;
use nldemo::replacement::Replacement;

#[path = "../../../../userspace/nldemo/tests/decode/mod.rs"]
mod decode;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// What a socket receives.
    Datagram(&'a [u8]),
    /// What `nldemo config set` is given.
    Setting(&'a str),
    /// What `nldemo queue run` is given.
    Policy(&'a str),
    /// Likewise.
    Replacement(&'a str),
}

/// What is read of messages makes the same messages again.
fn write_again(datagram: &[u8]) {
    for message in Messages::new(datagram).flatten() {
        let mut again = Vec::new();
        message.append_to(&mut again);
        let read: Vec<Message<'_>> = Messages::new(&again).flatten().collect();
        assert_eq!(read, [message]);
        for attribute in Attributes::new(message.payload).flatten() {
            if let Ok(Some(setting)) = Setting::decode(&attribute) {
                let mut again = Vec::new();
                setting.append_to(&mut again);
                let attribute = Attributes::new(&again).next().expect("an attribute");
                let read = Setting::decode(&attribute.expect("a sound one"));
                assert_eq!(read.expect("a value"), Some(setting));
            }
        }
    }
}

fuzz_target!(|input: Input<'_>| match input {
    Input::Datagram(datagram) => {
        decode::decode(datagram);
        write_again(datagram);
    }
    Input::Setting(text) => {
        if let Ok(setting) = text.parse::<Setting>() {
            let again = format!("{}={}", setting.key().name(), setting.value());
            assert_eq!(again.parse::<Setting>().ok(), Some(setting), "{again}");
        }
    }
    Input::Policy(text) => drop(text.parse::<Policy>()),
    Input::Replacement(text) => drop(text.parse::<Replacement>()),
});
