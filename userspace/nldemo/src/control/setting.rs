// SPDX-License-Identifier: GPL-2.0

//! One value of the configuration: its key, its text and its attribute.

use std::fmt;
use std::str::FromStr;

use knetlink::Malformed;
use knetlink::attr;
use knetlink::attr::Attribute;
use linux_names::Family;
use linux_names::number::number;
use linux_names::similar::DidYouMean;
use linux_names::similar::similar;
use serde::Serialize;

use super::hooks::HookSet;
use super::priority;
use super::spread::Spread;
use super::types::TypeSet;
use crate::protocol;

/// The keys of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Whether packets are queued.
    Enabled,
    /// The number of the first queue.
    Queue,
    /// The number of queues.
    Queues,
    /// How packets are spread over the queues.
    Spread,
    /// Whether packets pass if their queue has no consumer.
    Bypass,
    /// The hook points at which the module has hooks.
    Hooks,
    /// The priority of the module's hooks among the hooks of one point.
    Priority,
    /// The mark of packets that the hooks accept without looking further.
    SkipMark,
    /// The ICMP types that are queued.
    Ipv4Types,
    /// The ICMPv6 types that are queued.
    Ipv6Types,
}

impl Key {
    /// All keys, in the order of their attributes.
    pub const ALL: [Self; 10] = [
        Self::Enabled,
        Self::Queue,
        Self::Queues,
        Self::Spread,
        Self::Bypass,
        Self::Hooks,
        Self::Priority,
        Self::SkipMark,
        Self::Ipv4Types,
        Self::Ipv6Types,
    ];

    /// The name of the attribute in `specs/nldemo.yaml`. For a nest, `-types` follows the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Queue => "queue",
            Self::Queues => "queues",
            Self::Spread => "spread",
            Self::Bypass => "bypass",
            Self::Hooks => "hooks",
            Self::Priority => "priority",
            Self::SkipMark => "skip-mark",
            Self::Ipv4Types => "ipv4-types",
            Self::Ipv6Types => "ipv6-types",
        }
    }

    /// A description of the values that the key accepts, for the error about any other value.
    fn allowed(self) -> String {
        match self {
            Self::Enabled | Self::Bypass => {
                "on and off (yes and no, true and false, 1 and 0)".into()
            }
            Self::Queue | Self::Queues => "numbers from 0 to 65535".into(),
            Self::Spread => "flow, cpu and numbers from 0 to 255".into(),
            Self::Hooks => format!(
                "{} with commas between them, and bit masks from 0 to 255",
                HookSet::POINTS.map(|hook| hook.to_string()).join(", ")
            ),
            Self::Priority => {
                let names = priority::PRIORITIES.map(|(_, name)| name);
                format!(
                    "numbers from -2147483648 to 2147483647, and {}",
                    names.join(", ")
                )
            }
            Self::SkipMark => "numbers from 0 to 4294967295, or 0x0 to 0xffffffff".into(),
            Self::Ipv4Types => allowed_types(Family::Ipv4),
            Self::Ipv6Types => allowed_types(Family::Ipv6),
        }
    }
}

fn allowed_types(family: Family) -> String {
    let names: Vec<_> = family.types().iter().map(|&(_, name)| name).collect();
    format!(
        "all, none, echo, numbers from 0 to 255 and ranges such as 3-5, with commas between them, \
         and {}",
        names.join(", ")
    )
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key and its value.
///
/// The text form is `KEY=VALUE`. The kernel checks the values. This crate only makes sure that a
/// value fits its attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Setting {
    /// See [`Key::Enabled`].
    Enabled(bool),
    /// See [`Key::Queue`].
    Queue(u16),
    /// See [`Key::Queues`].
    Queues(u16),
    /// See [`Key::Spread`].
    Spread(Spread),
    /// See [`Key::Bypass`].
    Bypass(bool),
    /// See [`Key::Hooks`].
    Hooks(HookSet),
    /// See [`Key::Priority`].
    Priority(i32),
    /// See [`Key::SkipMark`].
    SkipMark(u32),
    /// See [`Key::Ipv4Types`].
    Ipv4Types(TypeSet),
    /// See [`Key::Ipv6Types`].
    Ipv6Types(TypeSet),
}

impl Setting {
    /// The key.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Enabled(_) => Key::Enabled,
            Self::Queue(_) => Key::Queue,
            Self::Queues(_) => Key::Queues,
            Self::Spread(_) => Key::Spread,
            Self::Bypass(_) => Key::Bypass,
            Self::Hooks(_) => Key::Hooks,
            Self::Priority(_) => Key::Priority,
            Self::SkipMark(_) => Key::SkipMark,
            Self::Ipv4Types(_) => Key::Ipv4Types,
            Self::Ipv6Types(_) => Key::Ipv6Types,
        }
    }

    /// The value, in the form that it has in `KEY=VALUE`.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Enabled(on) | Self::Bypass(on) => if *on { "on" } else { "off" }.to_owned(),
            Self::Queue(number) | Self::Queues(number) => number.to_string(),
            Self::Spread(spread) => spread.to_string(),
            Self::Hooks(hooks) => hooks.to_string(),
            Self::Priority(priority) => priority.to_string(),
            Self::SkipMark(mark) => format!("{mark:#x}"),
            Self::Ipv4Types(types) | Self::Ipv6Types(types) => types.to_string(),
        }
    }

    /// Reads the value of a key.
    fn parse(key: Key, value: &str) -> Option<Self> {
        Some(match key {
            Key::Enabled => Self::Enabled(switch(value)?),
            Key::Queue => Self::Queue(number(value)?),
            Key::Queues => Self::Queues(number(value)?),
            Key::Spread => {
                Self::Spread(Spread::named(value).or_else(|| Some(number::<u8>(value)?.into()))?)
            }
            Key::Bypass => Self::Bypass(switch(value)?),
            Key::Hooks => {
                Self::Hooks(HookSet::named(value).or_else(|| Some(HookSet(number(value)?)))?)
            }
            Key::Priority => {
                Self::Priority(priority::priority_named(value).or_else(|| number(value))?)
            }
            Key::SkipMark => Self::SkipMark(number(value)?),
            Key::Ipv4Types => Self::Ipv4Types(TypeSet::parse(value, Family::Ipv4)?),
            Key::Ipv6Types => Self::Ipv6Types(TypeSet::parse(value, Family::Ipv6)?),
        })
    }

    /// Appends the attribute that has this value.
    pub fn append_to(&self, message: &mut Vec<u8>) {
        match *self {
            Self::Enabled(on) => attr::append(message, protocol::CONFIG_A_ENABLED, [on.into()]),
            Self::Queue(number) => {
                attr::append(message, protocol::CONFIG_A_QUEUE, number.to_ne_bytes());
            }
            Self::Queues(number) => {
                attr::append(message, protocol::CONFIG_A_QUEUES, number.to_ne_bytes());
            }
            Self::Spread(spread) => {
                attr::append(message, protocol::CONFIG_A_SPREAD, [spread.into()]);
            }
            Self::Bypass(on) => attr::append(message, protocol::CONFIG_A_BYPASS, [on.into()]),
            Self::Hooks(hooks) => attr::append(message, protocol::CONFIG_A_HOOKS, [hooks.0]),
            Self::Priority(priority) => {
                attr::append(message, protocol::CONFIG_A_PRIORITY, priority.to_ne_bytes());
            }
            Self::SkipMark(mark) => {
                attr::append(message, protocol::CONFIG_A_SKIP_MARK, mark.to_ne_bytes());
            }
            Self::Ipv4Types(types) => append_types(message, protocol::CONFIG_A_IPV4, types),
            Self::Ipv6Types(types) => append_types(message, protocol::CONFIG_A_IPV6, types),
        }
    }

    /// Decodes an attribute of the configuration. Returns `None` if no [`Key`] belongs to the
    /// attribute.
    pub fn decode(attribute: &Attribute<'_>) -> Result<Option<Self>, Malformed> {
        let half = || Ok::<_, Malformed>(u16::from_ne_bytes(*attribute.prefix()?));
        Ok(Some(match attribute.kind {
            protocol::CONFIG_A_ENABLED => Self::Enabled(attribute.octet()? != 0),
            protocol::CONFIG_A_QUEUE => Self::Queue(half()?),
            protocol::CONFIG_A_QUEUES => Self::Queues(half()?),
            protocol::CONFIG_A_SPREAD => Self::Spread(attribute.octet()?.into()),
            protocol::CONFIG_A_BYPASS => Self::Bypass(attribute.octet()? != 0),
            protocol::CONFIG_A_HOOKS => Self::Hooks(HookSet(attribute.octet()?)),
            protocol::CONFIG_A_PRIORITY => Self::Priority(i32::from_ne_bytes(*attribute.prefix()?)),
            protocol::CONFIG_A_SKIP_MARK => Self::SkipMark(attribute.host32()?),
            protocol::CONFIG_A_IPV4 => Self::Ipv4Types(decode_types(attribute)?),
            protocol::CONFIG_A_IPV6 => Self::Ipv6Types(decode_types(attribute)?),
            _ => return Ok(None),
        }))
    }
}

/// A change of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The value before the change.
    pub from: Setting,
    /// The value after the change.
    pub to: Setting,
}

fn append_types(message: &mut Vec<u8>, kind: u16, types: TypeSet) {
    attr::append_nest(message, kind, |nest| {
        attr::append(nest, protocol::FAMILY_A_TYPES, types.to_bytes());
    });
}

fn decode_types(family: &Attribute<'_>) -> Result<TypeSet, Malformed> {
    let mut types = None;
    for attribute in family.nested() {
        let attribute = attribute?;
        if attribute.kind == protocol::FAMILY_A_TYPES {
            types = Some(TypeSet::from_bytes(*attribute.prefix()?));
        }
    }
    types.ok_or(Malformed("family without its set of types"))
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key(), self.value())
    }
}

/// The reason why a text is not a [`Setting`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSettingError {
    /// The text has no `=`.
    #[error("expected KEY=VALUE")]
    NoValue,
    /// The key is unknown.
    #[error(
        "unknown key '{key}'{}; the keys are: {}",
        DidYouMean(*.similar),
        Key::ALL.map(Key::name).join(", ")
    )]
    UnknownKey {
        /// The key that was given.
        key: String,
        /// The most similar key, if one is similar.
        similar: Option<&'static str>,
    },
    /// The value does not fit the attribute of the key.
    #[error("'{value}' is no value of {key}; allowed are {}", .key.allowed())]
    InvalidValue {
        /// The key.
        key: Key,
        /// The value that was given.
        value: String,
    },
}

impl FromStr for Setting {
    type Err = ParseSettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or(ParseSettingError::NoValue)?;
        let Some(key) = Key::ALL.into_iter().find(|key| key.name() == name) else {
            return Err(ParseSettingError::UnknownKey {
                key: name.to_owned(),
                similar: similar(name, Key::ALL.map(Key::name)),
            });
        };
        Self::parse(key, value).ok_or_else(|| ParseSettingError::InvalidValue {
            key,
            value: value.to_owned(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use knetlink::attr::Attributes;
    use proptest::prelude::*;

    use super::*;

    /// Any setting.
    pub(in super::super) fn any_setting() -> impl Strategy<Value = Setting> {
        let types = || any::<[u8; protocol::TYPES_LEN]>().prop_map(TypeSet::from_bytes);
        prop_oneof![
            any::<bool>().prop_map(Setting::Enabled),
            any::<u16>().prop_map(Setting::Queue),
            any::<u16>().prop_map(Setting::Queues),
            any::<u8>().prop_map(|number| Setting::Spread(number.into())),
            any::<bool>().prop_map(Setting::Bypass),
            any::<u8>().prop_map(|bits| Setting::Hooks(HookSet(bits))),
            any::<i32>().prop_map(Setting::Priority),
            any::<u32>().prop_map(Setting::SkipMark),
            types().prop_map(Setting::Ipv4Types),
            types().prop_map(Setting::Ipv6Types),
        ]
    }

    fn message(text: &str) -> String {
        text.parse::<Setting>().unwrap_err().to_string()
    }

    #[test]
    fn values_have_several_spellings() {
        for (text, normal) in [
            ("enabled=1", "enabled=on"),
            ("bypass=no", "bypass=off"),
            ("queue=0x10", "queue=16"),
            ("queues=0", "queues=0"),
            ("spread=1", "spread=cpu"),
            ("hooks=local-in,FORWARD", "hooks=input,forward"),
            (
                "hooks=31",
                "hooks=prerouting,input,forward,output,postrouting",
            ),
            ("priority=mangle", "priority=-150"),
            ("priority=-0", "priority=0"),
            ("priority=first", "priority=-2147483648"),
            ("skip-mark=0xFF", "skip-mark=0xff"),
            ("skip-mark=16", "skip-mark=0x10"),
            ("ipv4-types=echo", "ipv4-types=0,8"),
            ("ipv6-types=echo", "ipv6-types=128-129"),
        ] {
            let setting: Setting = text.parse().unwrap();
            assert_eq!(setting.to_string(), normal, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_key_value_and_what_is_allowed() {
        for text in [
            "enabled=2",
            "enabled=",
            "queue=65536",
            "queue=-1",
            "queue=+1",
            "queue= 1",
            "queues=x",
            "spread=Flow",
            "spread=256",
            "bypass=maybe",
            "hooks=",
            "hooks=ingress",
            "hooks=256",
            "priority=0x80000000",
            "priority=2147483648",
            "priority=--1",
            "skip-mark=0x100000000",
            "skip-mark=0x",
            "skip-mark=0x-1",
            "ipv4-types=",
            "ipv4-types=256",
            "ipv6-types=ping",
        ] {
            let (key, value) = text.split_once('=').unwrap();
            let start = format!("'{value}' is no value of {key}; allowed are ");
            assert!(
                message(text).starts_with(&start),
                "{text}: {}",
                message(text)
            );
        }
        assert_eq!(message("queue"), "expected KEY=VALUE");
    }

    #[test]
    fn unknown_keys_are_told_from_misspelt_ones() {
        for (wrong, right) in [
            ("skipmark", "skip-mark"),
            ("skip_mark", "skip-mark"),
            ("hook", "hooks"),
            ("ipv4", "ipv4-types"),
            ("prio", "priority"),
            ("Enabled", "enabled"),
        ] {
            let start =
                format!("unknown key '{wrong}', did you mean '{right}'?; the keys are: enabled,");
            let message = message(&format!("{wrong}=1"));
            assert!(message.starts_with(&start), "{message}");
        }
        assert!(message("xyz=1").starts_with("unknown key 'xyz'; the keys are: enabled, "));
        assert!(message("=1").starts_with("unknown key ''; the keys are: "));
    }

    #[test]
    fn attributes_have_the_widths_of_the_header() {
        let encoded = |text: &str| {
            let mut buffer = Vec::new();
            text.parse::<Setting>().unwrap().append_to(&mut buffer);
            buffer
        };
        for (text, length) in [
            ("enabled=1", 5_u8),
            ("queue=1", 6),
            ("queues=1", 6),
            ("spread=cpu", 5),
            ("bypass=1", 5),
            ("hooks=1", 5),
            ("priority=1", 8),
            ("skip-mark=1", 8),
            ("ipv4-types=all", 4 + 4 + 32),
            ("ipv6-types=all", 4 + 4 + 32),
        ] {
            assert_eq!(
                encoded(text)[..2],
                u16::from(length).to_ne_bytes(),
                "{text}"
            );
        }
        assert_eq!(encoded("queue=258")[4..6], 258_u16.to_ne_bytes());
    }

    proptest! {
        #[test]
        fn every_setting_is_read_back_from_its_text_and_its_attribute(setting in any_setting()) {
            prop_assert_eq!(setting.to_string().parse(), Ok(setting));
            let mut buffer = Vec::new();
            setting.append_to(&mut buffer);
            let mut attributes = Attributes::new(&buffer);
            let decoded = Setting::decode(&attributes.next().unwrap().unwrap()).unwrap();
            prop_assert_eq!(decoded, Some(setting));
            prop_assert!(attributes.next().is_none());
        }

        #[test]
        fn any_text_is_a_setting_or_an_error(
            key in "enabled|queue|hooks|priority|skip-mark|ipv4-types|[a-z=]{0,5}",
            value in ".{0,20}",
        ) {
            let text = format!("{key}={value}");
            if let Err(error) = text.parse::<Setting>() {
                prop_assert!(!error.to_string().is_empty());
            }
        }

        #[test]
        fn any_attribute_is_decoded_without_panic(
            kind in 0..16_u16,
            payload in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let _ = Setting::decode(&Attribute { kind, payload: &payload });
        }
    }
}
