// SPDX-License-Identifier: GPL-2.0

//! Parses the text form of a policy.

use std::fmt;
use std::num::NonZero;
use std::str::FromStr;

use linux_names::Family;
use linux_names::hook::Hook;
use linux_names::icmp::ECHO_REPLY;
use linux_names::icmp::ECHO_REQUEST;
use linux_names::network::Network;
use linux_names::network::network;
use linux_names::number::number;
use nfnetlink_queue::Decision;

use super::condition::Comparison;
use super::condition::Condition;
use super::link::Link;
use super::rate;
use super::rate::Rate;
use super::rules::Policy;
use super::rules::Rule;

const CONDITIONS: &str = "icmp, icmp6, ipv4, ipv6, echo-request, echo-reply, type, from, to, size, \
                          in, out, hook, mark, fragment, unparsable, rate, not";
const ACTIONS: &str = "accept, drop, repeat, queue, set";

/// The text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParsePolicyError {
    text: String,
    /// The number of characters before the error.
    offset: usize,
    expected: String,
    found: String,
}

impl fmt::Display for ParsePolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            text,
            offset,
            expected,
            found,
        } = self;
        let column = offset + 1;
        writeln!(f, "column {column}: expected {expected}, found {found}")?;
        write!(f, "  {text}\n  {:offset$}^", "")
    }
}

type Result<T> = std::result::Result<T, ParsePolicyError>;

/// A word, a comparison or a semicolon.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    /// The offset of the token, in bytes.
    start: usize,
}

/// The tokens of a text. [`peek`](Self::peek) reads the next token without taking it.
struct Parser<'a> {
    text: &'a str,
    place: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Semicolon,
    Comparison,
    Word,
}

fn class(character: char) -> Class {
    match character {
        ';' => Class::Semicolon,
        '=' | '!' | '<' | '>' => Class::Comparison,
        _ if character.is_whitespace() => Class::Space,
        _ => Class::Word,
    }
}

fn policy(text: &str) -> Result<Policy> {
    let mut parser = Parser { text, place: 0 };
    let mut rules = Vec::new();
    if parser.take("echo-size") {
        rules = parser.echo_size()?;
        parser.end()?;
        return Ok(Policy { rules });
    }
    loop {
        let start = parser.peek();
        rules.push(parser.rule()?);
        if !parser.take(";") {
            parser.end()?;
            return Ok(Policy { rules });
        }
        // A semicolon at the end is allowed.
        let next = parser.peek();
        if next.text.is_empty() {
            return Ok(Policy { rules });
        }
        if rules.last().is_some_and(|rule| rule.conditions.is_empty()) {
            return Err(parser.error(
                next,
                format!(
                    "the end, because the rule '{}' matches every packet",
                    start.text
                ),
            ));
        }
    }
}

impl FromStr for Policy {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self> {
        policy(text)
    }
}

impl<'a> Parser<'a> {
    /// The next token. It is empty at the end of the text.
    fn peek(&self) -> Token<'a> {
        let rest = self.text.get(self.place..).unwrap_or_default();
        let trimmed = rest.trim_start();
        let start = self.place + (rest.len() - trimmed.len());
        let first = trimmed.chars().next().map(class);
        let end = match first {
            None => 0,
            Some(Class::Semicolon) => 1,
            Some(first) => trimmed
                .find(|character| class(character) != first)
                .unwrap_or(trimmed.len()),
        };
        Token {
            text: trimmed.get(..end).unwrap_or_default(),
            start,
        }
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.place = token.start + token.text.len();
        token
    }

    /// Takes the next token if it is `text`. Returns whether it took the token.
    fn take(&mut self, text: &str) -> bool {
        let found = self.peek().text == text;
        if found {
            self.next();
        }
        found
    }

    /// Takes the next token and converts it.
    fn read<T>(&mut self, expected: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Result<T> {
        let token = self.next();
        read(token.text).ok_or_else(|| self.error(token, expected))
    }

    fn error(&self, token: Token<'_>, expected: impl Into<String>) -> ParsePolicyError {
        let before = self.text.get(..token.start).unwrap_or_default();
        ParsePolicyError {
            text: self.text.to_owned(),
            offset: before.chars().count(),
            expected: expected.into(),
            found: match token.text {
                "" => "the end".to_owned(),
                text => format!("'{text}'"),
            },
        }
    }

    fn end(&self) -> Result<()> {
        let token = self.peek();
        if token.text.is_empty() {
            return Ok(());
        }
        Err(self.error(token, "';' or the end"))
    }

    /// Reads `=N` after `echo-size`. `echo-size=N` is short for `echo-request size=N accept; drop`.
    fn echo_size(&mut self) -> Result<Vec<Rule>> {
        self.equals()?;
        let size = Condition::Size(Comparison::Equal, self.size()?);
        let accept = Rule {
            conditions: vec![Condition::TypeName(ECHO_REQUEST), size],
            decision: Decision::ACCEPT,
        };
        let drop = Rule {
            conditions: Vec::new(),
            decision: Decision::DROP,
        };
        Ok(vec![accept, drop])
    }

    fn rule(&mut self) -> Result<Rule> {
        let mut conditions = Vec::new();
        while let Some(condition) = self.condition()? {
            conditions.push(condition);
        }
        let expected = match conditions.len() {
            0 => format!("a condition ({CONDITIONS}) or an action ({ACTIONS})"),
            _ => format!("another condition ({CONDITIONS}) or an action ({ACTIONS})"),
        };
        Ok(Rule {
            conditions,
            decision: self.action(&expected)?,
        })
    }

    /// Reads a condition. `None` if the next token does not begin a condition.
    fn condition(&mut self) -> Result<Option<Condition>> {
        let start = self.place;
        let condition = match self.next().text {
            "not" => {
                let token = self.peek();
                // A second `not` would cancel the first, so it is an error.
                let condition = match token.text {
                    "not" => None,
                    _ => self.condition()?,
                };
                let condition = condition.ok_or_else(|| {
                    let plain = CONDITIONS.trim_end_matches(", not");
                    self.error(token, format!("a condition ({plain})"))
                })?;
                Condition::Not(Box::new(condition))
            }
            "icmp" => Condition::Icmp,
            "icmp6" => Condition::Icmp6,
            "ipv4" => Condition::Ipv4,
            "ipv6" => Condition::Ipv6,
            "fragment" => Condition::Fragment,
            "unparsable" => Condition::Unparsable,
            ECHO_REQUEST => Condition::TypeName(ECHO_REQUEST),
            ECHO_REPLY => Condition::TypeName(ECHO_REPLY),
            "type" => self.read(
                "an ICMP or ICMPv6 type: a number from 0 to 255, or a name of nftables such as \
                 destination-unreachable",
                icmp_type,
            )?,
            "from" => Condition::From(self.network()?),
            "to" => Condition::To(self.network()?),
            "size" => {
                let comparison = self.read("a comparison (=, !=, <, <=, >, >=)", |text| {
                    let mut all = Comparison::ALL.into_iter();
                    all.find_map(|(comparison, symbol)| (symbol == text).then_some(comparison))
                })?;
                Condition::Size(comparison, self.size()?)
            }
            "in" => Condition::In(self.interface()?),
            "out" => Condition::Out(self.interface()?),
            "hook" => {
                let expected = format!("a hook point ({})", Hook::names().join(", "));
                Condition::Hook(self.read(&expected, Hook::named)?)
            }
            "mark" => self.read("a mark such as 7, 0x10 or 0x10/0xff", masked_mark)?,
            "rate" => {
                let expected = format!("a rate from 1/s to {}/s", rate::MAX);
                let per_second = self.read(&expected, |text| {
                    let per_second = number(text.strip_suffix("/s")?)?;
                    NonZero::new(per_second).filter(|rate| rate.get() <= rate::MAX)
                })?;
                Condition::Rate(Rate::new(per_second))
            }
            _ => {
                self.place = start;
                return Ok(None);
            }
        };
        Ok(Some(condition))
    }

    fn action(&mut self, expected: &str) -> Result<Decision> {
        if self.take("set") {
            self.mark_equals()?;
            let mark = self.read("a mark such as 7 or 0x10", number)?;
            let action = self.peek();
            if action.text == "repeat" {
                return Err(self.error(action, "accept, drop or queue (repeat has its own mark)"));
            }
            return Ok(self.plain_action("accept, drop or queue")?.with_mark(mark));
        }
        self.plain_action(expected)
    }

    fn plain_action(&mut self, expected: &str) -> Result<Decision> {
        let action = self.next();
        match action.text {
            "accept" => Ok(Decision::ACCEPT),
            "drop" => Ok(Decision::DROP),
            "repeat" => {
                self.mark_equals()?;
                let expected = "a mark other than 0 (the hook must skip packets with this mark)";
                let mark = self.read(expected, |text| number(text).and_then(NonZero::new))?;
                Ok(Decision::repeat(mark))
            }
            "queue" => {
                let expected = "the number of a queue, from 0 to 65535";
                let queue = self.read(expected, number)?;
                Ok(Decision::queue(queue, self.take("bypass")))
            }
            _ => Err(self.error(action, expected)),
        }
    }

    fn mark_equals(&mut self) -> Result<()> {
        self.read("mark=", |text| (text == "mark").then_some(()))?;
        self.equals()
    }

    fn equals(&mut self) -> Result<()> {
        self.read("'='", |text| (text == "=").then_some(()))
    }

    fn size(&mut self) -> Result<u16> {
        self.read("a number of bytes from 0 to 65535", number)
    }

    fn network(&mut self) -> Result<Network> {
        let expected = "an address or a network such as 10.0.0.0/8 or fe80::/10";
        self.read(expected, network)
    }

    fn interface(&mut self) -> Result<Link> {
        self.read("the name of an interface", |text| {
            // A semicolon ends the rule. It is not the name of an interface.
            text.parse().ok().filter(|_| text != ";").map(Link::new)
        })
    }
}

fn icmp_type(text: &str) -> Option<Condition> {
    if let Some(kind) = number(text) {
        return Some(Condition::Type(kind));
    }
    let mut families = Family::ALL.into_iter();
    families.find_map(|family| {
        let kind = family.type_named(text)?;
        family.type_name(kind).map(Condition::TypeName)
    })
}

fn masked_mark(text: &str) -> Option<Condition> {
    let (value, mask) = match text.split_once('/') {
        Some((value, mask)) => (number(value)?, number(mask)?),
        None => (number(text)?, u32::MAX),
    };
    // If the mark had bits outside the mask, the condition would never be true.
    (value & !mask == 0).then_some(Condition::Mark { value, mask })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn canonical_texts_are_written_as_they_were_read() {
        for text in [
            "accept",
            "drop",
            "echo-request size>56 drop; from 10.0.0.0/8 accept; rate 100/s accept; drop",
            "not icmp not in eth0 out veth1 hook postrouting drop",
            "type 5 set mark=0x7 queue 65535 bypass; type redirect repeat mark=0x10",
            "mark 0x1/0xff from fe80::/10 to ::1 set mark=0x0 accept",
            "icmp6 fragment unparsable size!=0 size<=65535 echo-reply type packet-too-big drop",
        ] {
            assert_eq!(text.parse::<Policy>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_spellings_mean_the_same() {
        for (text, canonical) in [
            ("echo-size=32", "echo-request size=32 accept; drop"),
            ("echo-size = 32", "echo-request size=32 accept; drop"),
            ("  size  >\t5 drop ;drop ; ", "size>5 drop; drop"),
            ("type echo-reply drop", "echo-reply drop"),
            ("type 0x8 size<=0x20 drop", "type 8 size<=32 drop"),
            ("rate 0x10/s queue 0x7", "rate 16/s queue 7"),
            ("hook local-in drop", "hook input drop"),
            ("hook PRE_ROUTING drop", "hook prerouting drop"),
            ("from 10.1.2.3/8 drop", "from 10.0.0.0/8 drop"),
            (
                "mark 16 set mark = 0x0010 accept",
                "mark 0x10 set mark=0x10 accept",
            ),
        ] {
            assert_eq!(text.parse::<Policy>().unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn errors_tell_the_column_and_what_was_expected() {
        for (text, column, expected) in [
            ("", 1, "a condition (icmp,"),
            ("maybe", 1, "a condition (icmp,"),
            ("icmp", 5, "another condition"),
            ("icmp; drop", 5, "another condition"),
            ("drop drop", 6, "';' or the end"),
            (
                "drop; icmp drop",
                7,
                "the end, because the rule 'drop' matches every packet",
            ),
            (";", 1, "a condition"),
            (
                "size>x drop",
                6,
                "a number of bytes from 0 to 65535, found 'x'",
            ),
            ("size>65536 drop", 6, "a number of bytes"),
            ("size 5 drop", 6, "a comparison"),
            ("size=>5 drop", 5, "a comparison"),
            ("from 10.0.0.0/33 drop", 6, "an address or a network"),
            ("type 256 drop", 6, "an ICMP or ICMPv6 type"),
            ("hook nowhere drop", 6, "a hook point (prerouting,"),
            (
                "in much-too-long-a-name drop",
                4,
                "the name of an interface",
            ),
            ("in ; drop", 4, "the name of an interface"),
            ("mark 0x100/0xff drop", 6, "a mark such as"),
            ("mark 0x+1 drop", 6, "a mark such as"),
            ("mark +1 drop", 6, "a mark such as"),
            ("mark 1/+1 drop", 6, "a mark such as"),
            ("size>+5 drop", 6, "a number of bytes"),
            ("type +8 drop", 6, "an ICMP or ICMPv6 type"),
            ("rate +5/s drop", 6, "a rate from"),
            ("queue +1", 7, "the number of a queue"),
            ("set mark=+5 drop", 10, "a mark such as"),
            ("echo-size=+5", 11, "a number of bytes"),
            ("rate 0/s drop", 6, "a rate from 1/s to 1000000/s"),
            ("rate 5 drop", 6, "a rate from"),
            ("rate 1000001/s drop", 6, "a rate from"),
            ("not drop", 5, "a condition"),
            ("not", 4, "a condition"),
            ("not not icmp drop", 5, "a condition"),
            ("repeat", 7, "mark="),
            ("repeat mark 5", 13, "'='"),
            ("repeat mark=0", 13, "a mark other than 0"),
            ("queue x", 7, "the number of a queue"),
            (
                "set mark=5 repeat mark=6",
                12,
                "accept, drop or queue (repeat",
            ),
            ("set mark=5 set mark=5", 12, "accept, drop or queue"),
            ("set mark=5 icmp drop", 12, "accept, drop or queue"),
            ("echo-size", 10, "'='"),
            ("echo-size=", 11, "a number of bytes"),
            ("echo-size=-1", 11, "a number of bytes"),
            ("echo-size=5 drop", 13, "';' or the end"),
            ("ä", 1, "a condition"),
            ("icmp ä drop", 6, "another condition"),
        ] {
            let error = text.parse::<Policy>().unwrap_err().to_string();
            let start = format!("column {column}: expected {expected}");
            assert!(error.starts_with(&start), "{text}: {error}");
            let pointer = format!("\n  {text}\n  {}^", " ".repeat(column - 1));
            assert!(error.ends_with(&pointer), "{error}");
        }
    }

    fn condition() -> impl Strategy<Value = String> {
        let plain = prop::sample::select(vec![
            "icmp",
            "icmp6",
            "ipv4",
            "ipv6",
            "fragment",
            "unparsable",
            "echo-request",
            "type time-exceeded",
            "hook forward",
            "in lo",
        ]);
        let leaf = prop_oneof![
            plain.prop_map(str::to_owned),
            any::<u8>().prop_map(|kind| format!("type {kind}")),
            (any::<std::net::IpAddr>(), 0..=32_u8)
                .prop_map(|(ip, length)| format!("from {ip}/{length}")),
            any::<std::net::IpAddr>().prop_map(|ip| format!("to {ip}")),
            (prop::sample::select(Comparison::ALL.to_vec()), any::<u16>())
                .prop_map(|((_, symbol), size)| format!("size {symbol} {size}")),
            (any::<u32>(), any::<u32>())
                .prop_map(|(value, mask)| format!("mark {}/{mask}", value & mask)),
            (1..=rate::MAX).prop_map(|rate| format!("rate {rate}/s")),
        ];
        (any::<bool>(), leaf).prop_map(|(not, leaf)| if not { format!("not {leaf}") } else { leaf })
    }

    fn action() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("accept".to_owned()),
            any::<u32>().prop_map(|mark| format!("set mark={mark} drop")),
            (1..u32::MAX).prop_map(|mark| format!("repeat mark={mark}")),
            any::<u16>().prop_map(|queue| format!("queue {queue} bypass")),
        ]
    }

    proptest! {
        #[test]
        fn any_policy_is_read_back_as_it_was_written(
            rules in prop::collection::vec((prop::collection::vec(condition(), 1..5), action()), 1..6),
        ) {
            let rules = rules.into_iter().map(|(conditions, action)| {
                format!("{} {action}", conditions.join(" "))
            });
            let policy: Policy = rules.collect::<Vec<_>>().join(";").parse().unwrap();
            prop_assert_eq!(policy.to_string().parse(), Ok(policy));
        }

        #[test]
        fn any_text_is_read_or_refused_without_panic(text in any::<String>()) {
            if let Err(error) = text.parse::<Policy>() {
                prop_assert!(!error.to_string().is_empty());
            }
        }

        #[test]
        fn any_words_are_read_or_refused_without_panic(
            words in prop::collection::vec(prop::sample::select(vec![
                "icmp", "not", "size", ">", "5", "rate", "5/s", ";", "drop", "set", "mark", "=",
                "repeat", "queue", "type", "from", "::1/9", "echo-size", "in", "lo", "ä", "!",
            ]), 0..12),
        ) {
            let _ = words.join(" ").parse::<Policy>();
        }
    }
}
