// SPDX-License-Identifier: GPL-2.0

//! The numbers of the protocol are in three places: the C header, the YNL specification and this
//! crate. These tests compare the three places.

use std::collections::BTreeMap;

use linux_names::hook::Hook;
use nldemo::control::HookSet;
use nldemo::control::Key;
use nldemo::control::Spread;
use serde::Deserialize;

const HEADER: &str = include_str!("../../../uapi/nldemo.h");
const SPEC: &str = include_str!("../../../specs/nldemo.yaml");
const CRATE: &str = include_str!("../src/protocol.rs");

type Numbers = BTreeMap<String, u64>;

/// The macros and enumerators of the header that are numbers, by their names without the prefix.
/// The enumerators that only mark the last number are left out.
fn header() -> Numbers {
    let named = HEADER.lines().filter_map(|line| {
        let named = line.strip_prefix("#define").or(line.strip_prefix('\t'))?;
        let mut words = named.split_ascii_whitespace().filter(|&word| word != "=");
        let name = words.next()?.strip_prefix("NLDEMO_")?;
        Some((name, words.next()?.trim_end_matches(',')))
    });
    numbers(named.filter(|(name, _)| !name.ends_with("_A_MAX")))
}

/// The `pub const NAME: TYPE = NUMBER;` lines of the crate.
fn constants() -> Numbers {
    let constants = CRATE.lines().filter_map(|line| {
        let (declaration, number) = line.strip_prefix("pub const ")?.split_once(" = ")?;
        Some((declaration.split_once(':')?.0, number.strip_suffix(';')?))
    });
    numbers(constants)
}

fn numbers<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Numbers {
    let mut numbers = Numbers::new();
    for (name, number) in pairs {
        let number = number.parse();
        let number = number.unwrap_or_else(|_| panic!("{name} is no plain number"));
        assert_eq!(numbers.insert(name.to_owned(), number), None, "{name}");
    }
    numbers
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Spec {
    protonum: u64,
    definitions: Vec<Definition>,
    attribute_sets: Vec<AttributeSet>,
    operations: Operations,
    mcast_groups: List<Group>,
}

#[derive(Deserialize)]
struct List<T> {
    list: Vec<T>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Definition {
    Const { name: String, value: u64 },
    Enum { name: String, entries: Vec<Entry> },
    Flags { name: String, entries: Vec<Entry> },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Name(String),
    Described { name: String },
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Described { name } => name,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct AttributeSet {
    name: String,
    name_prefix: String,
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Attribute {
    name: String,
    nested_attributes: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Operations {
    name_prefix: String,
    list: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    name: String,
    value: Option<u64>,
    r#do: Option<Exchange>,
    dump: Option<Exchange>,
}

#[derive(Deserialize)]
struct Exchange {
    request: Half,
    reply: Option<Half>,
}

#[derive(Deserialize)]
struct Half {
    value: u64,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    value: u64,
}

fn spec() -> Spec {
    serde_yaml_ng::from_str(SPEC).unwrap()
}

/// All numbers that the specification gives to names. The keys are the names in the header.
fn specified() -> Numbers {
    let spec = spec();
    let mut numbers = Numbers::new();
    let mut add = |name: &str, number: u64| {
        let name = name.to_uppercase().replace('-', "_");
        let name = name.strip_prefix("NLDEMO_").unwrap_or(&name).to_owned();
        let before = numbers.insert(name.clone(), number);
        assert!(before.is_none_or(|before| before == number), "{name}");
    };
    add("protocol-default", spec.protonum);
    for definition in &spec.definitions {
        match definition {
            Definition::Const { name, value } => add(name, *value),
            Definition::Enum { name, entries } => {
                for (entry, number) in entries.iter().zip(0..) {
                    add(&format!("{name}-{}", entry.name()), number);
                }
            }
            Definition::Flags { name, entries } => {
                for (entry, place) in entries.iter().zip(0..) {
                    add(&format!("{name}-{}", entry.name()), 1 << place);
                }
            }
        }
    }
    for set in &spec.attribute_sets {
        for (attribute, number) in set.attributes.iter().zip(1..) {
            add(&format!("{}{}", set.name_prefix, attribute.name), number);
        }
    }
    for operation in &spec.operations.list {
        let prefix = &spec.operations.name_prefix;
        let name = format!("{prefix}{}", operation.name);
        if let Some(number) = operation.value {
            add(&name, number);
        }
        for exchange in operation.r#do.iter().chain(&operation.dump) {
            add(&name, exchange.request.value);
            if let Some(reply) = &exchange.reply {
                add(name.strip_suffix("-get").unwrap(), reply.value);
            }
        }
    }
    for group in &spec.mcast_groups.list {
        add(&format!("group-{}", group.name), group.value);
    }
    numbers
}

/// The names of a definition's entries.
fn entries(wanted: &str) -> Vec<String> {
    let definitions = spec().definitions.into_iter();
    let mut entries = definitions.filter_map(|definition| match definition {
        Definition::Enum { name, entries } | Definition::Flags { name, entries } => {
            (name == wanted).then_some(entries)
        }
        Definition::Const { .. } => None,
    });
    let entries = entries.next().unwrap();
    entries
        .iter()
        .map(|entry| entry.name().to_owned())
        .collect()
}

#[test]
fn crate_has_the_numbers_of_the_header() {
    assert!(
        header().len() > 40,
        "the header is not read: {:?}",
        header()
    );
    let mut header = header();
    // The constants `HOOKS_*` are the kernel's numbers of hook points. The crate has these numbers
    // from `linux_names`.
    header.retain(|name, _| !name.starts_with("HOOKS_"));
    assert_eq!(constants(), header);
}

#[test]
fn spec_has_the_numbers_of_the_header() {
    let mut header = header();
    // A specification has no place for the range of protocol numbers, nor for messages without
    // attributes.
    for name in [
        "PROTOCOL_MIN",
        "PROTOCOL_MAX",
        "MSG_ECHO",
        "MSG_HELLO_REPLY",
    ] {
        assert!(header.remove(name).is_some(), "{name}");
    }
    assert_eq!(specified(), header);
}

#[test]
fn names_are_those_of_the_spec() {
    // The specification names hook points as C does. The program prints the names of nftables, and
    // accepts the names of C and of nftables.
    let hooks = entries("hooks");
    let hooks: Vec<_> = hooks.iter().map(|name| Hook::named(name)).collect();
    assert_eq!(hooks, HookSet::POINTS.map(Some));
    let spreads = (0..).map(|number: u8| Spread::from(number).to_string());
    let names = entries("spread");
    assert_eq!(spreads.take(names.len()).collect::<Vec<_>>(), names);

    // A key has the name of its attribute. If the attribute is in a nest, the key has the name of
    // the nest and the name of the attribute. `event` and `hooked` have no key, because a client
    // cannot set them.
    let sets = spec().attribute_sets;
    let config = &sets[0];
    assert_eq!(config.name_prefix, "nldemo-config-a-");
    let names: Vec<_> = config
        .attributes
        .iter()
        .filter(|attribute| !["event", "hooked"].contains(&attribute.name.as_str()))
        .map(|attribute| match &attribute.nested_attributes {
            Some(nest) => {
                let set = sets.iter().find(|set| set.name == *nest).unwrap();
                let [inner] = &set.attributes[..] else {
                    panic!("{nest} has not one attribute");
                };
                format!("{}-{}", attribute.name, inner.name)
            }
            None => attribute.name.clone(),
        })
        .collect();
    assert_eq!(Key::ALL.map(Key::name).to_vec(), names);
}
