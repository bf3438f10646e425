// SPDX-License-Identifier: GPL-2.0

//! Rules, and the decisions that they make.

use std::fmt;

use linux_names::interface::NoInterface;
use nfnetlink_queue::Decision;
use nfnetlink_queue::Packet;
use nfnetlink_queue::Summary;
use nfnetlink_queue::Verdict;

use super::condition::Condition;
use super::link::Link;

/// A list of rules. [`parse`](str::parse) reads its text form.
///
/// Clones share their rate limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(super) rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    pub(super) decision: Decision,
}

/// The error about a condition that needs more bytes of a packet than the kernel copies of any
/// packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "condition '{condition}' needs {needed} bytes of a packet, and only {copied} bytes are copied"
)]
pub struct NeverHolds {
    condition: String,
    needed: usize,
    copied: usize,
}

impl Rule {
    /// Whether the rule matches a packet. `None` if this is unknown, because too little of the
    /// packet was copied.
    #[inline]
    fn holds(&self, packet: &Packet<'_>, ip: Option<&Summary>) -> Option<bool> {
        let mut known = true;
        for condition in &self.conditions {
            if !known && condition.takes() {
                continue;
            }
            match condition.holds(packet, ip) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => known = false,
            }
        }
        known.then_some(true)
    }
}

impl Policy {
    /// Decides about a packet. `ip` is the parsed content of the packet, or `None` if the content
    /// could not be parsed. This function allocates no memory and takes no lock.
    ///
    /// Returns `None` if the first rule that may match needs bytes that the kernel did not copy.
    #[inline]
    #[must_use]
    pub fn decide(&self, packet: &Packet<'_>, ip: Option<&Summary>) -> Option<Decision> {
        for rule in &self.rules {
            if rule.holds(packet, ip)? {
                return Some(rule.decision);
            }
        }
        Some(Decision::ACCEPT)
    }

    /// Fails if a condition can never be true, because it needs more than the `copied` bytes of
    /// each packet.
    pub fn check_copied(&self, copied: usize) -> Result<(), NeverHolds> {
        for rule in &self.rules {
            let ipv6 = rule.conditions.iter().any(Condition::is_of_ipv6);
            for condition in &rule.conditions {
                let needed = condition.needs(ipv6);
                if needed > copied {
                    let condition = condition.to_string();
                    return Err(NeverHolds {
                        condition,
                        needed,
                        copied,
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether the policy names interfaces.
    #[must_use]
    pub fn names_interfaces(&self) -> bool {
        self.links().next().is_some()
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        let conditions = self.rules.iter().flat_map(|rule| &rule.conditions);
        conditions.filter_map(Condition::link)
    }

    /// The decision about every packet. `None` if the decision depends on the packet.
    #[must_use]
    pub fn constant(&self) -> Option<Decision> {
        match self.rules.first() {
            Some(rule) => rule.conditions.is_empty().then_some(rule.decision),
            None => Some(Decision::ACCEPT),
        }
    }

    /// Looks up the interfaces that the policy names, in the current network namespace. Returns an
    /// error for each interface that does not exist. No packet matches such an interface. Before
    /// the first call, no packet matches any interface.
    ///
    /// Call this function again when interfaces were added, deleted or renamed. Clones of the
    /// policy use the new numbers, too.
    #[must_use]
    pub fn find_interfaces(&self) -> Vec<NoInterface> {
        let mut missing = Vec::new();
        for link in self.links() {
            if let Err(error) = link.look_up() {
                if !missing.contains(&error) {
                    missing.push(error);
                }
            }
        }
        missing
    }

    /// The marks that the policy gives to packets that it repeats. The hook that queues packets
    /// must skip these marks.
    pub fn repeat_marks(&self) -> impl Iterator<Item = u32> {
        let decisions = self.rules.iter().map(|rule| rule.decision);
        decisions
            .filter(|decision| decision.verdict() == Verdict::Repeat)
            .filter_map(Decision::mark)
    }

    /// The queues that the policy sends packets to.
    pub fn queues(&self) -> impl Iterator<Item = u16> {
        self.rules
            .iter()
            .filter_map(|rule| match rule.decision.verdict() {
                Verdict::Queue { number, .. } => Some(number),
                _ => None,
            })
    }
}

/// Shows the text form of the policy.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            for condition in &rule.conditions {
                write!(f, "{condition} ")?;
            }
            write!(f, "{}", rule.decision)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use linux_names::hook::Hook;

    use super::*;
    use crate::packets::ping;
    use crate::packets::ping6;
    use crate::packets::queued;

    fn decide(policy: &str, packet: &Packet<'_>) -> Decision {
        let policy: Policy = policy.parse().unwrap();
        assert_eq!(policy.find_interfaces(), []);
        policy
            .decide(packet, Summary::parse(packet).as_ref())
            .unwrap()
    }

    fn verdict(policy: &str, bytes: &[u8]) -> Decision {
        decide(policy, &queued(bytes))
    }

    fn holds(condition: &str, packet: &Packet<'_>) -> bool {
        let holds = decide(&format!("{condition} drop"), packet) == Decision::DROP;
        let holds_not = decide(&format!("not {condition} drop"), packet) == Decision::DROP;
        assert_ne!(holds, holds_not, "{condition}");
        holds
    }

    #[test]
    fn echo_size_accepts_requests_of_that_size_only() {
        assert_eq!(verdict("echo-size=32", &ping(32)), Decision::ACCEPT);
        assert_eq!(verdict("echo-size=32", &ping6(32)), Decision::ACCEPT);
        assert_eq!(verdict("echo-size=0", &ping(0)), Decision::ACCEPT);
        for other in [0, 24, 31, 33, 40, 56] {
            assert_eq!(verdict("echo-size=32", &ping(other)), Decision::DROP);
        }
    }

    #[test]
    fn echo_size_drops_everything_else() {
        let mut reply = ping(32);
        reply[20] = 0;
        let mut udp = ping(32);
        udp[9] = 17;
        let mut fragment = ping(32);
        fragment[6] = 0x20;
        for bytes in [&reply[..], &udp, &fragment, &[0x45; 10], &[]] {
            assert_eq!(verdict("echo-size=32", bytes), Decision::DROP);
        }
    }

    #[test]
    fn accept_and_drop_do_not_look() {
        for bytes in [&ping(56)[..], &[]] {
            assert_eq!(verdict("accept", bytes), Decision::ACCEPT);
            assert_eq!(verdict("drop", bytes), Decision::DROP);
        }
    }

    #[test]
    fn decision_is_constant_if_the_first_rule_has_no_condition() {
        for (policy, constant) in [
            ("drop", Some(Decision::DROP)),
            ("set mark=7 accept", Some(Decision::ACCEPT.with_mark(7))),
            ("icmp drop; accept", None),
            ("rate 1/s accept", None),
        ] {
            assert_eq!(
                policy.parse::<Policy>().unwrap().constant(),
                constant,
                "{policy}"
            );
        }
        assert_eq!(
            Policy { rules: Vec::new() }.constant(),
            Some(Decision::ACCEPT)
        );
    }

    #[test]
    fn first_rule_that_holds_decides_and_the_end_accepts() {
        let policy = "size>1000 drop; ipv6 queue 4 bypass; size>100 set mark=9 accept; \
                      from 10.0.0.0/8 repeat mark=0x5; drop";
        let mark = NonZero::new(5).unwrap();
        for (bytes, expected) in [
            (ping(1001), Decision::DROP),
            (ping6(1001), Decision::DROP),
            (ping6(1000), Decision::queue(4, true)),
            (ping(1000), Decision::ACCEPT.with_mark(9)),
            (ping(100), Decision::repeat(mark)),
            (vec![], Decision::DROP),
        ] {
            assert_eq!(verdict(policy, &bytes), expected);
        }
        assert_eq!(verdict("size>1000 drop", &ping(1)), Decision::ACCEPT);
    }

    #[test]
    fn every_condition_holds_where_it_should() {
        let (four, six) = (ping(56), ping6(56));
        let mut reply = ping(56);
        reply[20] = 0;
        let mut fragment = ping(56);
        fragment[6] = 0x20;
        let mut udp = ping(56);
        udp[9] = 17;
        let all = [&four[..], &six, &reply, &fragment, &udp, &[0x45; 8]];
        for (condition, expected) in [
            ("icmp", [true, false, true, true, false, false]),
            ("icmp6", [false, true, false, false, false, false]),
            ("ipv4", [true, false, true, true, true, true]),
            ("ipv6", [false, true, false, false, false, false]),
            ("echo-request", [true, true, false, false, false, false]),
            ("echo-reply", [false, false, true, false, false, false]),
            ("type 8", [true, false, false, false, false, false]),
            ("type 128", [false, true, false, false, false, false]),
            (
                "type echo-request",
                [true, true, false, false, false, false],
            ),
            ("fragment", [false, false, false, true, false, false]),
            ("unparsable", [false, false, false, false, false, true]),
            ("size=56", [true, true, true, false, false, false]),
            ("size != 55", [true, true, true, false, false, false]),
            ("size<57", [true, true, true, false, false, false]),
            ("size>=57", [false, false, false, false, false, false]),
            ("from 10.0.0.1", [true, false, true, true, true, false]),
            ("from 10.0.0.2", [false; 6]),
            ("from 10.0.0.1/0", [true, false, true, true, true, false]),
            ("to 10.0.0.0/30", [true, false, true, true, true, false]),
            ("to 302::/8", [false; 6]),
            ("to 200::/8", [false, true, false, false, false, false]),
            ("from ::/0", [false, true, false, false, false, false]),
        ] {
            let found = all.map(|bytes| holds(condition, &queued(bytes)));
            assert_eq!(found, expected, "{condition}");
        }
    }

    #[test]
    fn conditions_on_what_the_kernel_tells() {
        let bytes = ping(1);
        let mut packet = queued(&bytes);
        packet.mark = 0x1234;
        packet.hook = Hook(3);
        packet.indev = Some(1);
        for condition in [
            "mark 0x1234",
            "mark 4660",
            "mark 0x34/0xff",
            "hook output",
            "in lo",
            "in 1",
        ] {
            assert!(holds(condition, &packet), "{condition}");
        }
        for condition in ["mark 1", "mark 0/0xff", "hook input", "out lo", "in 4711"] {
            assert!(!holds(condition, &packet), "{condition}");
        }
    }

    #[test]
    fn interface_that_is_not_there_is_named() {
        let policy: Policy = "out no-such0 drop; not in no-such0 in lo drop"
            .parse()
            .unwrap();
        assert!(policy.names_interfaces());
        let missing = policy.find_interfaces();
        assert_eq!(missing, [NoInterface::new("no-such0")]);
        let other = ping(1);
        let mut packet = queued(&other);
        packet.outdev = Some(7);
        assert_eq!(policy.decide(&packet, None), Some(Decision::ACCEPT));
        packet.indev = Some(1);
        assert_eq!(policy.decide(&packet, None), Some(Decision::DROP));
    }

    #[test]
    fn rates_are_taken_by_packets_that_the_rule_is_for() {
        let policy: Policy = "ipv6 rate 3/s accept; drop".parse().unwrap();
        let sharing = policy.clone();
        let accepted = |policy: &Policy, bytes: &[u8]| {
            let packet = queued(bytes);
            policy.decide(&packet, Summary::parse(&packet).as_ref()) == Some(Decision::ACCEPT)
        };
        assert!((0..100).all(|_| !accepted(&policy, &ping(1))));
        assert!((0..3).all(|_| accepted(&policy, &ping6(1))));
        assert!(!accepted(&sharing, &ping6(1)));
    }

    #[test]
    fn what_never_holds_is_told_with_what_it_needs() {
        for (policy, needed) in [
            ("accept; ", 0),
            ("ipv4 in lo hook input mark 3 rate 1/s drop", 0),
            ("icmp drop", 20),
            ("unparsable drop", 20),
            ("not fragment drop", 20),
            ("from 10.0.0.1 drop", 20),
            ("from ::1 drop", 40),
            ("icmp6 drop", 40),
            ("echo-request drop", 28),
            ("mark 1 drop; not type 8 accept; drop", 28),
            ("icmp6 size>5 drop", 48),
            ("ipv6 echo-reply drop", 48),
        ] {
            let policy: Policy = policy.parse().unwrap();
            assert_eq!(policy.check_copied(needed), Ok(()), "{policy}");
            if needed > 0 {
                policy.check_copied(needed - 1).unwrap_err();
            }
        }
        let policy: Policy = "mark 1 size>5 drop".parse().unwrap();
        assert_eq!(
            policy.check_copied(0).unwrap_err().to_string(),
            "condition 'size>5' needs 28 bytes of a packet, and only 0 bytes are copied"
        );
    }

    #[test]
    fn packet_of_which_too_little_is_known_is_not_decided() {
        let decide = |policy: &str, bytes: &[u8], copied: usize| {
            let policy: Policy = policy.parse().unwrap();
            let mut packet = queued(&bytes[..copied]);
            packet.length = bytes.len();
            packet.mark = 7;
            policy.decide(&packet, Summary::parse(&packet).as_ref())
        };
        let six = ping6(56);
        let (accept, drop) = (Some(Decision::ACCEPT), Some(Decision::DROP));
        for (policy, copied, expected) in [
            ("icmp6 drop", 39, None),
            ("not icmp6 drop", 39, None),
            ("unparsable drop", 39, None),
            ("from 101::/16 drop", 39, None),
            ("icmp6 drop", 40, drop),
            ("from 101::/16 drop", 40, drop),
            ("echo-request drop", 47, None),
            ("not size>5 drop", 47, None),
            ("echo-request drop", 48, drop),
            // In these rows, the bytes that were copied are enough for a decision.
            ("icmp echo-request drop", 47, accept),
            ("echo-request mark 1 drop", 47, accept),
            ("mark 7 drop; echo-request accept", 20, drop),
        ] {
            assert_eq!(
                decide(policy, &six, copied),
                expected,
                "{policy}, {copied} bytes"
            );
        }
        // If there is no decision about a packet, the packet takes no token of the rate.
        let policy: Policy = "icmp6 rate 1/s accept; drop".parse().unwrap();
        let mut packet = queued(&six[..30]);
        packet.length = six.len();
        assert_eq!(policy.decide(&packet, None), None);
        let packet = queued(&six);
        assert_eq!(
            policy.decide(&packet, Summary::parse(&packet).as_ref()),
            accept
        );
    }

    #[test]
    fn marks_and_queues_are_told() {
        let policy = "icmp repeat mark=7; icmp6 queue 3; mark 1 set mark=4 queue 9 bypass; drop";
        let policy: Policy = policy.parse().unwrap();
        assert_eq!(policy.repeat_marks().collect::<Vec<_>>(), [7]);
        assert_eq!(policy.queues().collect::<Vec<_>>(), [3, 9]);
    }
}
