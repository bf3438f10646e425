// SPDX-License-Identifier: GPL-2.0

//! `nldemo config`.

use std::io;

use anstyle::AnsiColor;
use clap::Subcommand;
use linux_names::Family;
use nldemo::control::Config;
use nldemo::control::Control;
use nldemo::control::Setting;
use nldemo::control::Spread;
use nldemo::control::TypeSet;
use nldemo::control::priority_name;

use crate::arguments::Module;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::Cell;
use crate::table::Table;

/// Advice for a network namespace in which the module's hooks are not registered.
pub(crate) const NOT_HOOKED: &str = "\
the module sees no packets, because a hook point had too many hooks when the module was loaded; \
remove some of them (nft list hooks shows them), then run nldemo config set enabled=on";

/// If a set has at most this many types, the output names each type. For a larger set, the output
/// has only the number of types in the set.
const NAMED_TYPES: usize = 4;

const KEYS: &str = "\
Keys and their values:
  enabled      whether packets are queued: on, off
  queue        the first queue: 0 to 65535
  queues       the number of queues, with consecutive numbers from the first queue on: at least 1
  spread       how packets are spread over the queues: flow (by the two addresses, so that
               packets of a flow stay in order), cpu (by the CPU that handles the packet)
  bypass       whether packets pass if their queue has no consumer: on, off
  hooks        hook points with commas between them: prerouting, input, forward, output,
               postrouting, or the names in C (PRE_ROUTING, LOCAL_IN, ...); or a bit mask:
               bit n is the point with the number n (NF_INET_*)
  priority     the place among the hooks of one point: a number, or a name after NF_IP_PRI_ (raw,
               mangle, nat-dst, filter, nat-src, ...). A hook with a lower number runs earlier
  skip-mark    packets with this mark pass: decimal, or hexadecimal with the prefix 0x. With 0, no
               packet passes because of its mark
  ipv4-types   the ICMP types that are queued: all, none, echo (request and reply), names of
               nftables, numbers, ranges of numbers, with commas between them
  ipv6-types   the same for ICMPv6";

const JSON: &str = "\
JSON keys (-j), of the configuration:
  enabled, bypass          true or false
  queue, queues            numbers
  spread                   flow or cpu
  hooks                    list of names
  priority, skip_mark      numbers
  ipv4_types, ipv6_types   text that config set accepts: all, none, or numbers and ranges such as
                           0,3-5,8
  event                    number of the network namespace's latest event (see nldemo monitor)
  hooked                   whether the module's hooks are registered, true or false

Exit status: 0 done; 1 no answer; 2 error, or the kernel refused the change";

/// Show or change which packets the module queues
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Show(Show),
    Set(Set),
}

/// Show the configuration of the network namespace
#[derive(clap::Args)]
#[command(after_long_help = format!("{KEYS}\n\n{JSON}"))]
struct Show {
    #[command(flatten)]
    module: Module,
}

/// Change the configuration, and show it
///
/// The kernel checks the values. If it refuses a value, the error names that value, and nothing
/// changes. Keys that are not given keep their values.
#[derive(clap::Args)]
#[command(after_long_help = format!("{KEYS}\n\n{SET_EXAMPLES}\n\n{JSON}"))]
struct Set {
    /// The keys and their new values, see below
    #[arg(required = true, value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
    #[command(flatten)]
    module: Module,
}

const SET_EXAMPLES: &str = "\
Examples:
  nldemo config set enabled=off
  nldemo config set queue=8 queues=4 spread=cpu
  nldemo config set hooks=prerouting,output priority=mangle
  nldemo config set ipv4-types=echo,3,11-12 ipv6-types=none";

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<(), Failure> {
    let module = match &args.command {
        Command::Show(show) => &show.module,
        Command::Set(set) => {
            refuse_duplicates(&set.settings)?;
            Control::open(set.module.protocol)?.change(&set.settings)?;
            &set.module
        }
    };
    let config = Control::open(module.protocol)?.config()?;
    Ok(print(&config, output)?)
}

fn refuse_duplicates(settings: &[Setting]) -> Result<(), Failure> {
    for (index, setting) in settings.iter().enumerate() {
        let key = setting.key();
        if settings[..index].iter().any(|earlier| earlier.key() == key) {
            let message = format!("{key} is set twice; give each key once");
            return Err(Failure::usage(message));
        }
    }
    Ok(())
}

fn print(config: &Config, output: &mut Output) -> io::Result<()> {
    if output.is_json() {
        return output.json(config);
    }
    let mut table = Table::default();
    let settings = config.settings();
    let rows = settings.iter().map(|setting| {
        let (key, value) = (setting.key().name(), setting.value());
        (key, value, meaning(setting, config))
    });
    let event = (
        "event",
        config.event.to_string(),
        "number of the latest event".to_owned(),
    );
    let hooked = (
        "hooked",
        if config.hooked { "yes" } else { "no" }.to_owned(),
        if config.hooked {
            "the hooks are registered"
        } else {
            NOT_HOOKED
        }
        .to_owned(),
    );
    for (key, value, meaning) in rows.chain([event, hooked]) {
        table.row([
            Cell::left(key).painted(AnsiColor::Cyan),
            Cell::left(value),
            Cell::left(meaning),
        ]);
    }
    output.text(table.render(output))
}

/// A text that explains a value. It is empty if the meaning of the value is obvious.
fn meaning(setting: &Setting, config: &Config) -> String {
    match *setting {
        Setting::Enabled(true) => "packets are queued".into(),
        Setting::Enabled(false) => "every packet passes".into(),
        Setting::Queue(_) if config.queues == 1 => "the only queue".into(),
        Setting::Queue(_) => "the first queue".into(),
        Setting::Queues(1) => String::new(),
        Setting::Queues(queues) => {
            let last = u32::from(config.queue) + u32::from(queues.saturating_sub(1));
            format!("queues {} to {last}", config.queue)
        }
        Setting::Spread(Spread::Flow) => "by address pair, which keeps flows in order".into(),
        Setting::Spread(Spread::Cpu) => "by the CPU that handles the packet".into(),
        Setting::Spread(Spread::Other(_)) => "unknown to this program".into(),
        Setting::Bypass(true) => "packets pass if their queue has no consumer".into(),
        Setting::Bypass(false) => "packets are dropped if their queue has no consumer".into(),
        Setting::Hooks(hooks) => format!("bit mask {:#x}", hooks.0),
        Setting::Priority(priority) => priority_name(priority).unwrap_or_default().into(),
        Setting::SkipMark(0) => "no packet passes because of its mark".into(),
        Setting::SkipMark(_) => "packets with this mark pass".into(),
        Setting::Ipv4Types(types) => type_names(types, Family::Ipv4),
        Setting::Ipv6Types(types) => type_names(types, Family::Ipv6),
    }
}

fn type_names(types: TypeSet, family: Family) -> String {
    let protocol = match family {
        Family::Ipv4 => "ICMP",
        Family::Ipv6 => "ICMPv6",
    };
    let kinds: Vec<_> = types.iter().collect();
    match kinds.len() {
        0 => format!("no {protocol}"),
        256 => format!("every {protocol} type"),
        1..=NAMED_TYPES => {
            let name = |&kind| match family.type_name(kind) {
                Some(name) => name.to_owned(),
                None => format!("type {kind}"),
            };
            kinds.iter().map(name).collect::<Vec<_>>().join(", ")
        }
        count => format!("{count} {protocol} types"),
    }
}

#[cfg(test)]
mod tests {
    use nldemo::control::Key;

    use super::*;

    #[test]
    fn few_types_are_named_and_many_counted() {
        for (text, expected) in [
            ("none", "no ICMP"),
            ("all", "every ICMP type"),
            ("echo", "echo-reply, echo-request"),
            ("3,200", "destination-unreachable, type 200"),
            ("0-4", "5 ICMP types"),
        ] {
            let types = TypeSet::parse(text, Family::Ipv4).unwrap();
            assert_eq!(type_names(types, Family::Ipv4), expected);
        }
    }

    #[test]
    fn help_names_every_key() {
        for key in Key::ALL.map(Key::name) {
            assert!(KEYS.contains(&format!("\n  {key} ")), "{key}");
            assert!(JSON.contains(&key.replace('-', "_")), "{key}");
        }
    }
}
