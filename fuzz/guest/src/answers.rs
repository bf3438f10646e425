// SPDX-License-Identifier: GPL-2.0

//! The answers that the module must send according to docs/protocol.md.

use knetlink::HEADER_LEN;
use knetlink::Message;
use knetlink::Messages;
use knetlink::Status;
use netlink_packet_core::NLM_F_ACK;
use netlink_packet_core::NLM_F_CAPPED;
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_core::NLM_F_MULTIPART;
use netlink_packet_core::NLM_F_REQUEST;
use netlink_packet_core::NLMSG_DONE;
use netlink_packet_core::NLMSG_ERROR;
use nix::libc;
use nldemo::control::Config;
use nldemo::control::CpuStats;
use nldemo::control::Stats;
use nldemo::control::Totals;
use nldemo::protocol;

/// The lowest message type of a protocol. Netlink itself uses the lower types (`NLMSG_MIN_TYPE`).
const FIRST_TYPE: u16 = 16;

/// One expected answer.
#[derive(Debug)]
pub struct Answer {
    /// The sequence number of the request, which the answer must have, too.
    sequence: u32,
    what: What,
}

#[derive(Debug)]
enum What {
    /// The request's payload.
    Payload { kind: u16, payload: Vec<u8> },
    /// The configuration.
    Config,
    /// The totals.
    Stats,
    /// A dump: messages with the counters of each CPU, and the message that ends the dump.
    Dump,
    /// An acknowledgement or an error.
    Status {
        /// The errnos that the module may send, as positive numbers. 0 means an acknowledgement.
        errnos: Vec<i32>,
        /// Whether the module is allowed to send no answer. If it sends no answer, the request has
        /// succeeded, and did not ask for an acknowledgement.
        optional: bool,
        /// The request, which the answer must quote.
        request: Vec<u8>,
    },
}

/// The result of comparing a received message with an expected answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The message is the whole answer.
    Whole,
    /// The message is a part of the answer, and other parts follow.
    Part,
    /// The message is not the answer.
    Other,
}

/// The expected answers to the messages in a buffer. `privileged` says whether the client has
/// `CAP_NET_ADMIN`.
#[must_use]
pub fn answers(buffer: &[u8], privileged: bool) -> Vec<Answer> {
    let mut expected = Vec::new();
    let mut start = 0;
    for message in Messages::new(buffer).flatten() {
        let end = start + HEADER_LEN + message.payload.len();
        answer(&message, &buffer[start..end], privileged, &mut expected);
        start = knetlink::aligned(end);
    }
    expected
}

fn answer(message: &Message<'_>, raw: &[u8], privileged: bool, expected: &mut Vec<Answer>) {
    let has = |flags| message.flags & flags == flags;
    let acked = has(NLM_F_ACK) && message.kind != NLMSG_ERROR;
    let mut expect = |what| {
        expected.push(Answer {
            sequence: message.sequence,
            what,
        });
    };
    let status = |errnos: &[i32], optional| What::Status {
        errnos: errnos.to_vec(),
        optional,
        request: raw.to_vec(),
    };
    let payload = |kind| What::Payload {
        kind,
        payload: message.payload.to_vec(),
    };
    if !has(NLM_F_REQUEST) || message.kind < FIRST_TYPE {
        if (message.kind, message.flags) == (0, 0) {
            expect(payload(protocol::MSG_HELLO_REPLY));
        }
        if acked {
            expect(status(&[0], false));
        }
        return;
    }
    let refused = match message.kind {
        protocol::MSG_CONFIG_GET | protocol::MSG_STATS_GET if !message.payload.is_empty() => {
            Some(libc::EINVAL)
        }
        protocol::MSG_CONFIG_GET if has(NLM_F_DUMP) => Some(libc::EOPNOTSUPP),
        protocol::MSG_ECHO | protocol::MSG_CONFIG_GET | protocol::MSG_STATS_GET => None,
        protocol::MSG_CONFIG_SET if !privileged => Some(libc::EPERM),
        protocol::MSG_CONFIG_SET if message.payload.is_empty() && !has(NLM_F_DUMP) => {
            Some(libc::EINVAL)
        }
        protocol::MSG_CONFIG_SET => {
            // The fuzzer accepts any of these errnos. The host tests of attributes check which
            // errno is right.
            let mut errnos = vec![libc::EINVAL, libc::ERANGE];
            if has(NLM_F_DUMP) {
                errnos.push(libc::EOPNOTSUPP);
            } else {
                errnos.push(0);
            }
            return expect(status(&errnos, !acked && !has(NLM_F_DUMP)));
        }
        _ => Some(libc::EOPNOTSUPP),
    };
    if let Some(errno) = refused {
        return expect(status(&[errno], false));
    }
    expect(match message.kind {
        protocol::MSG_ECHO => payload(protocol::MSG_ECHO),
        protocol::MSG_CONFIG_GET => What::Config,
        _ if has(NLM_F_DUMP) => return expect(What::Dump),
        _ => What::Stats,
    });
    if acked {
        expect(status(&[0], false));
    }
}

impl Answer {
    /// Whether the module is allowed to send no answer.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        matches!(self.what, What::Status { optional: true, .. })
    }

    /// Compares this answer with a message that the socket at `portid` received.
    ///
    /// # Panics
    ///
    /// Panics if the message has the type of the answer, but its contents are wrong.
    #[must_use]
    pub fn judge(&self, message: &Message<'_>, portid: u32) -> Judgement {
        if message.sequence != self.sequence || message.portid != portid {
            return Judgement::Other;
        }
        let is = |truth| {
            if truth {
                Judgement::Whole
            } else {
                Judgement::Other
            }
        };
        match &self.what {
            What::Payload { kind, payload } => is((message.kind, message.flags) == (*kind, 0)
                && message.payload == payload.as_slice()),
            What::Config => {
                let is_config = (message.kind, message.flags) == (protocol::MSG_CONFIG, 0);
                if is_config {
                    check_config(message.payload);
                }
                is(is_config)
            }
            What::Stats => {
                let is_stats = (message.kind, message.flags) == (protocol::MSG_STATS, 0);
                if is_stats {
                    let totals = Totals::parse(message.payload).expect("sound statistics");
                    check_stats(&totals.stats);
                }
                is(is_stats)
            }
            What::Dump if message.flags & NLM_F_MULTIPART == 0 => Judgement::Other,
            What::Dump if message.kind == NLMSG_DONE => Judgement::Whole,
            What::Dump => {
                if message.kind == protocol::MSG_STATS {
                    CpuStats::parse(message.payload).expect("sound statistics of a CPU");
                    Judgement::Part
                } else {
                    Judgement::Other
                }
            }
            What::Status {
                errnos, request, ..
            } => {
                let Some(status) = Status::parse(message).expect("a sound status") else {
                    return Judgement::Other;
                };
                let errno = status.errno.map_or(0, |errno| errno as i32);
                let quoted = message.payload.get(4..).unwrap_or_default();
                let len = if message.flags & NLM_F_CAPPED == 0 {
                    request.len()
                } else {
                    HEADER_LEN
                };
                is(errnos.contains(&errno) && quoted.get(..len) == Some(&request[..len]))
            }
        }
    }
}

/// Checks a configuration that the module sent.
///
/// # Panics
///
/// Panics if the configuration has an impossible value.
pub fn check_config(payload: &[u8]) {
    let config = Config::parse(payload).expect("a sound configuration");
    assert!(config.queues > 0, "{config:?}");
    let last = u32::from(config.queue) + u32::from(config.queues) - 1;
    assert!(last <= u16::MAX.into(), "{config:?}");
}

/// Checks statistics that the module sent.
///
/// # Panics
///
/// Panics if the counters contradict each other.
pub fn check_stats(stats: &Stats) {
    // Each fuzzer has its own network namespace, so no other program sends packets there. But
    // timers of the network stack send packets on other CPUs. When the module reads the counters,
    // such a packet may be counted in `matched`, and not yet in `skipped` or `queued`. This check
    // allows `UNDERWAY` such packets.
    const UNDERWAY: u64 = 4;
    for packets in [stats.ipv4, stats.ipv6] {
        let decided = packets.skipped + packets.queued;
        assert!(
            (decided..=decided + UNDERWAY).contains(&packets.matched),
            "{stats:?}"
        );
        assert!(
            packets.seen >= packets.matched + packets.unparsable,
            "{stats:?}"
        );
    }
    assert!(
        stats.messages >= stats.acks + stats.errors + stats.refused,
        "{stats:?}"
    );
}
