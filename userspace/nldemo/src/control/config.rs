// SPDX-License-Identifier: GPL-2.0

//! The whole configuration of a network namespace.

use knetlink::Malformed;
use knetlink::attr::Attributes;
use serde::Serialize;

use super::hooks::HookSet;
use super::setting::Change;
use super::setting::Key;
use super::setting::Setting;
use super::spread::Spread;
use super::types::TypeSet;
use crate::protocol::CONFIG_A_EVENT;
use crate::protocol::CONFIG_A_HOOKED;

/// The configuration: which ICMP packets of a network namespace are queued, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Whether packets are queued.
    pub enabled: bool,
    /// The number of the first queue.
    pub queue: u16,
    /// The number of queues. Their numbers follow one another, and begin with `queue`.
    pub queues: u16,
    /// How packets are spread over the queues.
    pub spread: Spread,
    /// Whether packets pass if their queue has no consumer.
    pub bypass: bool,
    /// The hook points at which the module has hooks.
    pub hooks: HookSet,
    /// The priority of the module's hooks. At one hook point, hooks with a lower priority run
    /// earlier.
    pub priority: i32,
    /// The hooks accept packets with this mark, unless the value is 0.
    pub skip_mark: u32,
    /// The ICMP types that are queued.
    pub ipv4_types: TypeSet,
    /// The ICMPv6 types that are queued.
    pub ipv6_types: TypeSet,
    /// The number of the namespace's latest event.
    pub event: u32,
    /// Whether the hooks are registered. False if a hook point had no room for another hook. Then
    /// no packet is queued until a change of the configuration succeeds.
    pub hooked: bool,
}

impl Config {
    /// Decodes the payload of a message that carries a configuration.
    ///
    /// Unknown attributes are ignored. If an attribute comes twice, the last one is used. A missing
    /// attribute is an error.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut config = Self {
            enabled: false,
            queue: 0,
            queues: 0,
            spread: Spread::Flow,
            bypass: false,
            hooks: HookSet::default(),
            priority: 0,
            skip_mark: 0,
            ipv4_types: TypeSet::NONE,
            ipv6_types: TypeSet::NONE,
            event: 0,
            hooked: false,
        };
        let mut missing = Key::ALL.to_vec();
        let (mut event, mut hooked) = (None, None);
        for attribute in Attributes::new(payload) {
            let attribute = attribute?;
            if attribute.kind == CONFIG_A_EVENT {
                event = Some(attribute.host32()?);
            } else if attribute.kind == CONFIG_A_HOOKED {
                hooked = Some(attribute.octet()? != 0);
            } else if let Some(setting) = Setting::decode(&attribute)? {
                config.apply(setting);
                missing.retain(|&key| key != setting.key());
            }
        }
        match (event, hooked) {
            (Some(event), Some(hooked)) if missing.is_empty() => Ok(Self {
                event,
                hooked,
                ..config
            }),
            _ => Err(Malformed("configuration without some of its attributes")),
        }
    }

    /// Replaces one value.
    pub fn apply(&mut self, setting: Setting) {
        match setting {
            Setting::Enabled(value) => self.enabled = value,
            Setting::Queue(value) => self.queue = value,
            Setting::Queues(value) => self.queues = value,
            Setting::Spread(value) => self.spread = value,
            Setting::Bypass(value) => self.bypass = value,
            Setting::Hooks(value) => self.hooks = value,
            Setting::Priority(value) => self.priority = value,
            Setting::SkipMark(value) => self.skip_mark = value,
            Setting::Ipv4Types(value) => self.ipv4_types = value,
            Setting::Ipv6Types(value) => self.ipv6_types = value,
        }
    }

    /// All values, in the order of [`Key::ALL`].
    #[must_use]
    pub fn settings(&self) -> [Setting; 10] {
        [
            Setting::Enabled(self.enabled),
            Setting::Queue(self.queue),
            Setting::Queues(self.queues),
            Setting::Spread(self.spread),
            Setting::Bypass(self.bypass),
            Setting::Hooks(self.hooks),
            Setting::Priority(self.priority),
            Setting::SkipMark(self.skip_mark),
            Setting::Ipv4Types(self.ipv4_types),
            Setting::Ipv6Types(self.ipv6_types),
        ]
    }

    /// The differences from an earlier configuration.
    #[must_use]
    pub fn changes_since(&self, earlier: &Self) -> Vec<Change> {
        let pairs = earlier.settings().into_iter().zip(self.settings());
        pairs
            .filter(|(from, to)| from != to)
            .map(|(from, to)| Change { from, to })
            .collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use knetlink::attr;
    use proptest::prelude::*;

    use super::super::setting::tests::any_setting;
    use super::*;

    /// The module's default configuration, with the event number `event`.
    pub(in super::super) fn defaults(event: u32) -> Config {
        Config {
            enabled: true,
            queue: 0,
            queues: 1,
            spread: Spread::Flow,
            bypass: true,
            hooks: HookSet(1),
            priority: 0,
            skip_mark: 0,
            ipv4_types: TypeSet::ALL,
            ipv6_types: TypeSet::NONE,
            event,
            hooked: true,
        }
    }

    /// The payload of the kernel's answer.
    pub(in super::super) fn encode(config: &Config) -> Vec<u8> {
        let mut payload = Vec::new();
        for setting in config.settings() {
            setting.append_to(&mut payload);
        }
        attr::append(&mut payload, CONFIG_A_HOOKED, [u8::from(config.hooked)]);
        attr::append(&mut payload, CONFIG_A_EVENT, config.event.to_ne_bytes());
        payload
    }

    #[test]
    fn keys_are_in_the_order_of_the_settings() {
        assert_eq!(
            defaults(0).settings().map(|setting| setting.key()),
            Key::ALL
        );
    }

    #[test]
    fn unknown_attributes_are_passed_over_and_the_last_of_two_counts() {
        let mut payload = Vec::new();
        attr::append(&mut payload, 200, [1, 2, 3]);
        Setting::Queue(7).append_to(&mut payload);
        payload.extend(encode(&defaults(5)));
        attr::append(&mut payload, 201, []);
        assert_eq!(Config::parse(&payload).unwrap(), defaults(5));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let payload = encode(&defaults(1));
        for length in 0..payload.len() {
            assert!(Config::parse(&payload[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn json_has_the_documented_keys() {
        let mut config = defaults(3);
        config.ipv6_types = TypeSet::parse("echo", linux_names::Family::Ipv6).unwrap();
        config.ipv4_types = TypeSet::NONE;
        assert_eq!(
            serde_json::to_string(&config).unwrap(),
            r#"{"enabled":true,"queue":0,"queues":1,"spread":"flow","bypass":true,"#.to_owned()
                + r#""hooks":["prerouting"],"priority":0,"skip_mark":0,"ipv4_types":"none","#
                + r#""ipv6_types":"128-129","event":3,"hooked":true}"#
        );
    }

    proptest! {
        #[test]
        fn what_is_applied_is_what_changed_and_is_read_back(setting in any_setting()) {
            let mut config = defaults(9);
            config.apply(setting);
            prop_assert_eq!(Config::parse(&encode(&config)).unwrap(), config);
            match config.changes_since(&defaults(0))[..] {
                [] => prop_assert!(defaults(0).settings().contains(&setting)),
                [change] => prop_assert_eq!(change.to, setting),
                _ => prop_assert!(false, "more than one change"),
            }
        }

        #[test]
        fn attributes_of_any_order_length_and_number_are_read_without_panic(
            attributes in prop::collection::vec(
                (0..15_u16, prop::collection::vec(any::<u8>(), 0..44)), 0..20),
            cut in 0..400_usize,
        ) {
            let mut payload = Vec::new();
            for (kind, content) in attributes {
                attr::append_nest(&mut payload, kind, |nest| nest.extend(content));
                payload.resize(knetlink::aligned(payload.len()), 0);
            }
            payload.truncate(cut);
            let _ = Config::parse(&payload);
        }
    }
}
