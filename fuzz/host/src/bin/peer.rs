// SPDX-License-Identifier: GPL-2.0

//! Runs the parsers of `nldemo`, the module's program: for messages of the kernel, and for command
//! line arguments.

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
    /// A buffer of netlink messages, as a socket receives it.
    Datagram(&'a [u8]),
    /// An argument of `nldemo config set`: `KEY=VALUE`.
    Setting(&'a str),
    /// The rules of `nldemo queue run --policy`.
    Policy(&'a str),
    /// A rewriting of packets: `nldemo queue run --set`.
    Replacement(&'a str),
}

/// Writes the parsed messages and settings again, parses the result, and checks that the values are
/// the same.
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
                let read = Setting::decode(&attribute.expect("a sound attribute"));
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
