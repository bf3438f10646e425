// SPDX-License-Identifier: GPL-2.0

//! Runs every decoder on messages in the kernel's form, and on such messages after they were
//! damaged. No decoder may panic, read beyond the end of a message, or run for ever. The unit tests
//! of the crates try random bytes instead.

mod decode;

use knetlink::Message;
use knetlink::attr;
use netlink_packet_core::NLM_F_ACK_TLVS;
use netlink_packet_core::NLM_F_CAPPED;
use netlink_packet_core::NLM_F_MULTIPART;
use netlink_packet_core::NLMSG_DONE;
use netlink_packet_core::NLMSG_ERROR;
use nfnetlink_queue::Event;
use nfnetlink_queue::Events;
use nldemo::control::Setting;
use nldemo::protocol;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::sample::select;

use decode::decode;

const CASES: u32 = 20_000;
/// The message type of the answers of `sock_diag`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;

fn datagram(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    Message {
        kind,
        flags,
        sequence: 7,
        portid: 3,
        payload,
    }
    .append_to(&mut datagram);
    datagram
}

/// The type of a message of `nfnetlink_queue` or, for subsystem 0, the type of an attribute.
fn number(subsystem: libc::c_int, number: libc::c_int) -> u16 {
    u16::try_from((subsystem << 8) | number).unwrap()
}

fn ipv4() -> Vec<u8> {
    let header = [
        0x46, 0, 0, 64, 0x12, 0x34, 0x40, 0, 64, 1, 0x77, 0x55, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1,
        0,
    ];
    let echo = [8, 0, 0xf7, 0xff, 0, 1, 0, 2];
    [&header[..], &echo, &[0xa5; 32]].concat()
}

fn ipv6() -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 48, 0, 64];
    packet.extend([&[0xfd][..], &[0; 14], &[1]].concat());
    packet.extend([&[0xfd][..], &[0; 14], &[2]].concat());
    // The packet has hop-by-hop options, a fragment header although it is not a fragment, and an
    // echo request.
    packet.extend([44, 0, 5, 2, 0, 0, 1, 0]);
    packet.extend([58, 0, 0, 0, 0, 0, 0, 9]);
    packet.extend([128, 0, 0x12, 0x34, 0, 1, 0, 2]);
    packet.extend([0x5a; 24]);
    packet
}

/// The message about a queued packet, with everything that the kernel may say about a packet.
fn queued(family: libc::c_int, ethertype: u16, content: &[u8]) -> Vec<u8> {
    let kind = |attribute| number(0, attribute);
    let mut payload = vec![u8::try_from(family).unwrap(), 0, 0, 5];
    let [type0, type1] = ethertype.to_be_bytes();
    let header = [0, 0, 0, 9, type0, type1, 1];
    attr::append(&mut payload, kind(libc::NFQA_PACKET_HDR), header);
    for attribute in [
        libc::NFQA_MARK,
        libc::NFQA_PRIORITY,
        libc::NFQA_IFINDEX_INDEV,
        libc::NFQA_IFINDEX_OUTDEV,
        libc::NFQA_IFINDEX_PHYSINDEV,
        libc::NFQA_IFINDEX_PHYSOUTDEV,
        libc::NFQA_CT_INFO,
        libc::NFQA_UID,
        libc::NFQA_GID,
        libc::NFQA_SKB_INFO,
    ] {
        attr::append(&mut payload, kind(attribute), [0, 0, 0, 2]);
    }
    attr::append(&mut payload, kind(libc::NFQA_TIMESTAMP), [1; 16]);
    let address = [0, 6, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0];
    attr::append(&mut payload, kind(libc::NFQA_HWADDR), address);
    attr::append_nest(&mut payload, kind(libc::NFQA_CT), |nest| {
        attr::append(nest, 3, [0, 0, 0, 8]);
        attr::append(nest, 12, [0, 0, 1, 1]);
    });
    let length = u32::try_from(content.len()).unwrap();
    attr::append(&mut payload, kind(libc::NFQA_CAP_LEN), length.to_be_bytes());
    attr::append_slice(&mut payload, kind(libc::NFQA_PAYLOAD), content);
    datagram(
        number(libc::NFNL_SUBSYS_QUEUE, libc::NFQNL_MSG_PACKET),
        0,
        &payload,
    )
}

/// A refusal of a request of this type, with its extended acknowledgement.
fn refusal(request: u16, flags: u16) -> Vec<u8> {
    let mut payload = (-libc::ENOENT).to_ne_bytes().to_vec();
    payload.extend(datagram(request, 1, b"request!"));
    if flags & NLM_F_CAPPED != 0 {
        payload.truncate(20);
    }
    attr::append(&mut payload, 1, *b"no such packet\0");
    attr::append(&mut payload, 2, 16_u32.to_ne_bytes());
    datagram(NLMSG_ERROR, flags | NLM_F_ACK_TLVS, &payload)
}

fn config() -> Vec<u8> {
    let mut payload = Vec::new();
    for text in [
        "enabled=1",
        "queue=3",
        "queues=4",
        "spread=cpu",
        "bypass=1",
        "hooks=forward",
        "priority=-5",
        "skip-mark=7",
        "ipv4-types=echo",
        "ipv6-types=128,129",
    ] {
        let setting: Setting = text.parse().unwrap();
        setting.append_to(&mut payload);
    }
    attr::append(&mut payload, protocol::CONFIG_A_EVENT, 8_u32.to_ne_bytes());
    attr::append(&mut payload, protocol::CONFIG_A_HOOKED, [1]);
    payload
}

fn stats() -> Vec<u8> {
    let mut payload = Vec::new();
    attr::append(&mut payload, protocol::STATS_A_CPU, 1_u32.to_ne_bytes());
    for kind in [
        protocol::STATS_A_MESSAGES,
        protocol::STATS_A_BYTES,
        protocol::STATS_A_ACKS,
        protocol::STATS_A_ERRORS,
        protocol::STATS_A_REFUSED,
    ] {
        attr::append(&mut payload, kind, (1_u64 << 40).to_ne_bytes());
    }
    for family in [protocol::STATS_A_IPV4, protocol::STATS_A_IPV6] {
        attr::append_nest(&mut payload, family, |nest| {
            for kind in [
                protocol::PACKETS_A_SEEN,
                protocol::PACKETS_A_MATCHED,
                protocol::PACKETS_A_SKIPPED,
                protocol::PACKETS_A_QUEUED,
                protocol::PACKETS_A_UNPARSABLE,
            ] {
                attr::append(nest, kind, 5_u32.to_ne_bytes());
            }
        });
    }
    payload
}

fn netns() -> Vec<u8> {
    let mut payload = Vec::new();
    attr::append(&mut payload, protocol::NETNS_A_COOKIE, 9_u64.to_ne_bytes());
    attr::append(&mut payload, protocol::NETNS_A_EVENT, 4_u32.to_ne_bytes());
    payload
}

/// An answer of `sock_diag` about a socket: a fixed structure, and attributes behind it.
fn socket(family: libc::c_int, rest: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut payload = vec![u8::try_from(family).unwrap()];
    payload.extend(rest);
    for &(kind, value) in attributes {
        attr::append_slice(&mut payload, kind, value);
    }
    datagram(SOCK_DIAG_BY_FAMILY, NLM_F_MULTIPART, &payload)
}

/// One message of each kind.
fn messages() -> Vec<Vec<u8>> {
    vec![
        queued(libc::AF_INET, 0x0800, &ipv4()),
        queued(libc::AF_INET6, 0x86dd, &ipv6()),
        refusal(number(libc::NFNL_SUBSYS_QUEUE, libc::NFQNL_MSG_VERDICT), 0),
        refusal(protocol::MSG_CONFIG_SET, NLM_F_CAPPED),
        datagram(NLMSG_DONE, NLM_F_MULTIPART, &[0; 4]),
        datagram(protocol::MSG_CONFIG, 0, &config()),
        datagram(protocol::MSG_CONFIG_NTF, 0, &config()),
        datagram(protocol::MSG_STATS, NLM_F_MULTIPART, &stats()),
        datagram(protocol::MSG_NETNS_NTF, 0, &netns()),
        socket(libc::AF_INET6, &[1; 71], &[(11, &[1]), (15, &[7; 4])]),
        socket(libc::AF_INET, &[3; 71], &[(10, &[89])]),
        socket(libc::AF_UNIX, &[1; 15], &[(0, b"\0a\xff"), (4, &[1; 8])]),
        socket(libc::AF_NETLINK, &[7; 27], &[(0, &[1; 36]), (1, &[5; 8])]),
        socket(libc::AF_PACKET, &[3; 15], &[(0, &[1; 24]), (5, &[0; 4])]),
    ]
}

#[derive(Clone, Debug)]
enum Damage {
    Overwrite(Index, u8),
    /// Overwrites 16 bits at an even offset, because lengths and types are at even offsets.
    Number(Index, u16),
    Cut(Index),
    Insert(Index, Vec<u8>),
    /// Moves this number of bytes from the offset to the end of the message.
    Move(Index, usize),
}

impl Damage {
    fn inflict(self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Overwrite(place, byte) => *place.get_mut(bytes) = byte,
            Self::Number(place, number) => {
                let start = place.index(bytes.len()) & !1;
                let room = &mut bytes[start..];
                let length = room.len().min(2);
                room[..length].copy_from_slice(&number.to_ne_bytes()[..length]);
            }
            Self::Cut(place) => bytes.truncate(place.index(bytes.len())),
            Self::Insert(place, more) => {
                let start = place.index(bytes.len());
                bytes.splice(start..start, more);
            }
            Self::Move(place, count) => {
                let start = place.index(bytes.len());
                let end = bytes.len().min(start + count);
                let moved: Vec<_> = bytes.drain(start..end).collect();
                bytes.extend(moved);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let telling = select(vec![
        0_u16, 1, 3, 4, 5, 7, 8, 12, 15, 16, 17, 0x7fff, 0x8000, 0xffff,
    ]);
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Damage::Overwrite(place, byte)),
        4 => (any::<Index>(), prop_oneof![telling, 0..200_u16])
            .prop_map(|(place, number)| Damage::Number(place, number)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), vec(any::<u8>(), 1..20))
            .prop_map(|(place, more)| Damage::Insert(place, more)),
        1 => (any::<Index>(), 1..64_usize).prop_map(|(place, count)| Damage::Move(place, count)),
    ]
}

#[test]
fn true_messages_are_read() {
    for message in messages() {
        assert!(decode(&message) > 0, "{message:?}");
    }
    let packets = [ipv4(), ipv6()].map(|content| content.len());
    let all = messages().concat();
    let seen: Vec<_> = Events::new(&all)
        .filter_map(|event| match event.unwrap() {
            Event::Packet(queued) => Some(queued.packet().unwrap().payload.len()),
            _ => None,
        })
        .collect();
    assert_eq!(seen, packets);
}

#[test]
fn every_truncation_is_read_without_panic() {
    for message in messages() {
        for length in 0..message.len() {
            decode(&message[..length]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn damaged_messages_are_read_without_panic(
        chosen in vec(select(messages()), 1..4),
        damages in vec(damage(), 1..6),
    ) {
        let mut datagram = chosen.concat();
        for damage in damages {
            damage.inflict(&mut datagram);
        }
        decode(&datagram);
    }
}
