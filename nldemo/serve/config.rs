// SPDX-License-Identifier: GPL-2.0

//! Requests for the configuration of a network namespace.

use core::num::NonZero;

use kernel::prelude::*;

use super::{
    super::{
        config::{
            Config,
            Spread,
            TypeSet,
            HOOKS, //
        },
        messages::{
            CONFIG,
            CONFIG_NTF, //
        },
        netns::{
            hooked,
            NetNs, //
        },
        uapi::{
            NLDEMO_CONFIG_A_BYPASS,
            NLDEMO_CONFIG_A_ENABLED,
            NLDEMO_CONFIG_A_EVENT,
            NLDEMO_CONFIG_A_HOOKED,
            NLDEMO_CONFIG_A_HOOKS,
            NLDEMO_CONFIG_A_IPV4,
            NLDEMO_CONFIG_A_IPV6,
            NLDEMO_CONFIG_A_PRIORITY,
            NLDEMO_CONFIG_A_QUEUE,
            NLDEMO_CONFIG_A_QUEUES,
            NLDEMO_CONFIG_A_SKIP_MARK,
            NLDEMO_CONFIG_A_SPREAD,
            NLDEMO_FAMILY_A_TYPES,
            NLDEMO_SPREAD_CPU,
            NLDEMO_TYPES_LEN, //
        }, //
    },
    events::announce, //
};

use crate::net::{
    netlink::{
        Attribute,
        Attributes,
        Nest,
        Payload,
        Policy,
        Refusal,
        Request, //
    },
    pernet::Instance,
    rcu::Prepared, //
};

const ENABLED: Attribute<u8> = Attribute::new(NLDEMO_CONFIG_A_ENABLED).range(0, 1);
const QUEUE: Attribute<u16> = Attribute::new(NLDEMO_CONFIG_A_QUEUE);
const QUEUES: Attribute<u16> = Attribute::new(NLDEMO_CONFIG_A_QUEUES).range(1, u16::MAX as i64);
const SPREAD: Attribute<u8> =
    Attribute::new(NLDEMO_CONFIG_A_SPREAD).range(0, NLDEMO_SPREAD_CPU as i64);
const BYPASS: Attribute<u8> = Attribute::new(NLDEMO_CONFIG_A_BYPASS).range(0, 1);
const HOOK_MASK: Attribute<u8> =
    Attribute::new(NLDEMO_CONFIG_A_HOOKS).range(*HOOKS.start(), *HOOKS.end());
const PRIORITY: Attribute<i32> = Attribute::new(NLDEMO_CONFIG_A_PRIORITY);
const SKIP_MARK: Attribute<u32> = Attribute::new(NLDEMO_CONFIG_A_SKIP_MARK);
const IPV4: Attribute<Nest> = Attribute::nest(NLDEMO_CONFIG_A_IPV4, &FAMILY_POLICY);
const IPV6: Attribute<Nest> = Attribute::nest(NLDEMO_CONFIG_A_IPV6, &FAMILY_POLICY);
const EVENT: Attribute<u32> = Attribute::new(NLDEMO_CONFIG_A_EVENT);
const HOOKED: Attribute<u8> = Attribute::new(NLDEMO_CONFIG_A_HOOKED);

const TYPES: Attribute<[u8; NLDEMO_TYPES_LEN as usize]> =
    Attribute::new(NLDEMO_FAMILY_A_TYPES).required();
static FAMILY_POLICY: Policy = Policy::new(&[TYPES.rule()]);

/// The attributes that a request to change the configuration may have.
pub(crate) static SET_POLICY: Policy = Policy::new(&[
    ENABLED.rule(),
    QUEUE.rule(),
    QUEUES.rule(),
    SPREAD.rule(),
    BYPASS.rule(),
    HOOK_MASK.rule(),
    PRIORITY.rule(),
    SKIP_MARK.rule(),
    IPV4.rule(),
    IPV6.rule(),
]);

/// Room for the attributes of one message, in bytes.
const LEN_MAX: usize = 256;

/// The attributes of a reply or an event.
fn attributes(config: &Config, event: u32, hooked: bool) -> Payload<LEN_MAX> {
    let mut payload = Payload::new();
    payload.put(&ENABLED, config.enabled.into());
    payload.put(&QUEUE, config.queue);
    payload.put(&QUEUES, config.queues.get());
    payload.put(&SPREAD, config.spread as u8);
    payload.put(&BYPASS, config.bypass.into());
    payload.put(&HOOK_MASK, config.hooks);
    payload.put(&PRIORITY, config.priority);
    payload.put(&SKIP_MARK, config.skip_mark);
    payload.nest(&IPV4, |family| family.put(&TYPES, config.ipv4.0));
    payload.nest(&IPV6, |family| family.put(&TYPES, config.ipv6.0));
    payload.put(&EVENT, event);
    payload.put(&HOOKED, hooked.into());
    payload
}

/// The configuration `old`, changed by the attributes.
fn changed(old: &Config, attributes: &Attributes<'_>) -> Result<Config, Refusal> {
    let mut config = *old;
    if let Some(enabled) = attributes.get(&ENABLED) {
        config.enabled = enabled != 0;
    }
    if let Some(queue) = attributes.get(&QUEUE) {
        config.queue = queue;
    }
    if let Some(queues) = attributes.get(&QUEUES).and_then(NonZero::new) {
        config.queues = queues;
    }
    if let Some(spread) = attributes.get(&SPREAD) {
        config.spread = if u32::from(spread) == NLDEMO_SPREAD_CPU {
            Spread::Cpu
        } else {
            Spread::Flow
        };
    }
    if let Some(bypass) = attributes.get(&BYPASS) {
        config.bypass = bypass != 0;
    }
    if let Some(hooks) = attributes.get(&HOOK_MASK) {
        config.hooks = hooks;
    }
    if let Some(priority) = attributes.get(&PRIORITY) {
        config.priority = priority;
    }
    if let Some(skip_mark) = attributes.get(&SKIP_MARK) {
        config.skip_mark = skip_mark;
    }
    for (family, types) in [(&IPV4, &mut config.ipv4), (&IPV6, &mut config.ipv6)] {
        if let Some(set) = attributes.nested(family).and_then(|nest| nest.get(&TYPES)) {
            *types = TypeSet(set);
        }
    }
    if !config.queues_exist() {
        const BEYOND: &CStr = c"The last queue would be beyond 65535";
        // The refusal must point at an attribute that the request has.
        return Err(if attributes.get(&QUEUES).is_some() {
            attributes.refuse(&QUEUES, ERANGE, BEYOND)
        } else {
            attributes.refuse(&QUEUE, ERANGE, BEYOND)
        });
    }
    Ok(config)
}

/// Answers with the configuration.
///
/// Context: process, may sleep.
pub(crate) fn get(
    instance: &Instance<'_, NetNs>,
    request: &Request<'_>,
    _attributes: &Attributes<'_>,
) -> Result<(), Refusal> {
    let payload = {
        let numbers = instance.control.numbers.lock();
        let config = instance.control.config();
        attributes(&config, numbers.event, hooked(instance))
    };
    Ok(request.reply(CONFIG, payload.bytes()?)?.send()?)
}

/// Changes the whole configuration in one step, or fails and changes nothing. If hooks of the old
/// configuration are missing, because a hook point had too many hooks, this also registers the
/// hooks.
///
/// Each call of the hook uses one configuration. While the priority changes, the module has
/// two hooks at a hook point: one with the old priority, and one with the new priority. A
/// packet that is between these two hooks when the configuration is replaced can be decided
/// by both configurations, or by none.
///
/// Context: process, may sleep.
pub(crate) fn set(
    instance: &Instance<'_, NetNs>,
    _request: &Request<'_>,
    attributes: &Attributes<'_>,
) -> Result<(), Refusal> {
    if attributes.is_empty() {
        return Err(Refusal::new(EINVAL, c"Nothing to change"));
    }
    let control = &instance.control;
    let Some((hooks, socket)) = instance.attachments() else {
        return Err(Refusal::new(
            EAGAIN,
            c"The network namespace is being set up",
        ));
    };
    let mut numbers = control.numbers.lock();
    let old = control.config();
    let new = changed(&old, attributes)?;
    if new == old && hooks.are_complete() {
        return Ok(());
    }
    let prepared = Prepared::new(new)?;
    hooks
        .change(new.points(), || control.publish(prepared))
        .map_err(|error| match error {
            E2BIG => Refusal::new(E2BIG, c"There are too many hooks at a hook point"),
            _ => error.into(),
        })?;
    numbers.generation = numbers.generation.wrapping_add(1);
    let event = numbers.next_event();
    announce(socket, CONFIG_NTF, || self::attributes(&new, event, true));
    Ok(())
}

#[kunit_tests(rust_nldemo_serve_config)]
mod tests {
    use super::*;

    use crate::nldemo::config::Parameters;

    fn loaded() -> Result<Config> {
        let parameters = Parameters {
            protocol: 23,
            enabled: true,
            queue: 0,
            queues: 1,
            bypass: true,
            ipv6: true,
            hooks: 1,
            priority: 0,
            skip_mark: 0,
        };
        let (_, config) = Config::new(&parameters).map_err(|_| EINVAL)?;
        Ok(config)
    }

    /// The configuration after a request, or the error of the request.
    fn after(config: &Config, fill: impl FnOnce(&mut Payload<LEN_MAX>)) -> Result<Config> {
        let mut payload = Payload::new();
        fill(&mut payload);
        Attributes::parse(payload.bytes()?, &SET_POLICY)
            .and_then(|attributes| changed(config, &attributes))
            .map_err(|refusal| refusal.error())
    }

    #[test]
    fn what_is_not_named_stays() -> Result {
        let old = loaded()?;
        assert!(after(&old, |_| {})? == old);
        let new = after(&old, |payload| {
            payload.put(&QUEUE, 7);
            payload.nest(&IPV6, |family| family.put(&TYPES, [0xaa; 32]));
        })?;
        let expected = Config {
            queue: 7,
            ipv6: TypeSet([0xaa; 32]),
            ..old
        };
        assert!(new == expected);
        Ok(())
    }

    #[test]
    fn what_is_told_can_be_set() -> Result {
        let odd = Config {
            enabled: false,
            queue: 1000,
            queues: NonZero::new(33).ok_or(EINVAL)?,
            spread: Spread::Cpu,
            bypass: false,
            hooks: 0b11010,
            priority: -400,
            skip_mark: 0xdead_beef,
            ipv4: TypeSet([1; 32]),
            ipv6: TypeSet([2; 32]),
        };
        let told = attributes(&odd, 5, true);
        // Requests must not have the last two attributes: the number of the event, and whether
        // there are hooks.
        let bytes = told.bytes()?;
        let bytes = &bytes[..bytes.len() - 16];
        let new = Attributes::parse(bytes, &SET_POLICY)
            .and_then(|attributes| changed(&loaded()?, &attributes))
            .map_err(|refusal| refusal.error())?;
        assert!(new == odd);
        Ok(())
    }

    #[test]
    fn queues_beyond_the_last_are_refused() -> Result {
        let old = loaded()?;
        let both = |queue, queues| {
            after(&old, |payload| {
                payload.put(&QUEUE, queue);
                payload.put(&QUEUES, queues);
            })
        };
        assert!(both(65535, 1).is_ok());
        assert!(both(65535, 2).err() == Some(ERANGE));
        assert!(both(1, 65535).is_ok());
        assert!(both(2, 65535).err() == Some(ERANGE));
        let wide = both(0, 65535)?;
        assert!(after(&wide, |payload| payload.put(&QUEUE, 2)).err() == Some(ERANGE));
        Ok(())
    }

    #[test]
    fn what_can_only_be_told_cannot_be_set() -> Result {
        assert!(after(&loaded()?, |payload| payload.put(&EVENT, 1)).err() == Some(EINVAL));
        assert!(after(&loaded()?, |payload| payload.put(&HOOKED, 1)).err() == Some(EINVAL));
        Ok(())
    }
}
