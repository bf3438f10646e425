// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program that counts an interface's traffic, and lets nothing through.

use crate::assembler::Assembler;
use crate::assembler::Condition::Equal;
use crate::assembler::Condition::NotEqual;
use crate::assembler::Helper;
use crate::assembler::Label;
use crate::assembler::Register;
use crate::assembler::Register::R0;
use crate::assembler::Register::R1;
use crate::assembler::Register::R2;
use crate::assembler::Register::R3;
use crate::assembler::Register::R4;
use crate::assembler::Register::R5;
use crate::assembler::Register::R10;
use crate::assembler::Size;
use crate::image::Array;
use crate::image::Program;
use crate::skb;

/// The name of the map. It has [`KINDS`] entries for what comes in, then as many for what goes out.
pub(crate) const MAP: &str = "traffic";

/// An entry of the map: packets, then bytes.
pub(crate) type Entry = [u64; 2];
const ENTRY_LEN: u32 = 16;

/// The protocols of IP that have an entry each; behind them is one for all the rest.
const PROTOCOLS: [i32; 4] = [
    libc::IPPROTO_TCP,
    libc::IPPROTO_UDP,
    libc::IPPROTO_ICMP,
    libc::IPPROTO_ICMPV6,
];
const OTHER: i32 = 4;
pub(crate) const KINDS: u32 = 5;

// What outlives calls.
const SKB: Register = Register::R6;
/// What is ahead: an Ethernet protocol, then a protocol of IP, then the entry to count in.
const NEXT: Register = Register::R7;
/// Where in the packet that begins.
const OFFSET: Register = Register::R8;
/// How many more extension headers there may be.
const LEFT: Register = Register::R9;

// The stack, from its end.
const BYTES: i16 = -8;
const KEY: i16 = -16;

/// `PACKET_OUTGOING` of `linux/if_packet.h`.
const PACKET_OUTGOING: i32 = 4;
/// Of `linux/bpf.h`.
const BPF_HDR_START_MAC: i32 = 0;

const ETHERNET_HEADER_LEN: i32 = 14;
/// As many as anybody uses, and one more. The kernel takes one off what comes in, besides.
const VLAN_TAGS: usize = 3;
const VLAN_TAG_LEN: i32 = 4;

const IPV4_PROTOCOL: i32 = 9;
const IPV6_NEXT_HEADER: i32 = 6;
const IPV6_HEADER_LEN: i32 = 40;
/// Headers that others may follow and that say how long they are, in 8 bytes not counting the
/// first: hop-by-hop, routing, destination, mobility, host identity, shim6.
const EXTENSION_HEADERS: [i32; 6] = [0, 43, 60, 135, 139, 140];
const FRAGMENT: i32 = 44;
const AUTHENTICATION: i32 = 51;
const MIN_EXTENSION_HEADER_LEN: i32 = 8;
/// As many as the kernel takes (`IP6_MAX_EXT_HDRS_CNT`).
const MAX_EXTENSION_HEADERS: i32 = 12;
/// In 16 bits of the fragment header.
const FRAGMENT_OFFSET: i32 = 0xfff8;

/// What offsets are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// What the socket would get.
    Packet,
    /// The Ethernet header.
    Frame,
}

/// The program for the interface of that number, on a packet socket without link layer headers
/// (`SOCK_DGRAM`): there packets begin with what their Ethernet protocol says.
pub(crate) fn program(ifindex: u32) -> Program {
    let mut asm = Assembler::default();
    let [packet, frame, transport, other, count, end] = asm.labels();

    let ifindex = i32::try_from(ifindex).expect("the kernel keeps it in an int");
    asm.mov(SKB, R1);
    asm.load(Size::Word, R0, SKB, skb::IFINDEX);
    asm.jump_if(R0, NotEqual, ifindex, end);
    asm.load(Size::Word, NEXT, SKB, skb::PROTOCOL);
    asm.be16_to_host(NEXT);
    asm.load(Size::Word, R0, SKB, skb::PKT_TYPE);
    asm.jump_if(R0, NotEqual, PACKET_OUTGOING, packet);
    // With tags, what goes out is an exception: it begins behind them if they were put before it
    // here, and with the second one if a bridge passes it on.
    asm.jump_if(NEXT, Equal, libc::ETH_P_8021Q, frame);
    asm.jump_if(NEXT, Equal, libc::ETH_P_8021AD, frame);

    asm.place(packet);
    asm.mov(OFFSET, 0);
    find_transport(&mut asm, Start::Packet, transport, other);
    asm.place(frame);
    asm.mov(OFFSET, ETHERNET_HEADER_LEN);
    find_transport(&mut asm, Start::Frame, transport, other);

    asm.place(transport);
    for (kind, protocol) in (0..).zip(PROTOCOLS) {
        let [another] = asm.labels();
        asm.jump_if(NEXT, NotEqual, protocol, another);
        asm.mov(NEXT, kind);
        asm.jump(count);
        asm.place(another);
    }
    asm.place(other);
    asm.mov(NEXT, OTHER);

    asm.place(count);
    add_packet(&mut asm, end);
    asm.place(end);
    // Nothing of the packet for the socket.
    asm.mov(R0, 0);
    asm.exit();

    Program {
        name: "count_traffic",
        code: asm.finish(),
        map: Some(Array {
            name: MAP,
            value_len: ENTRY_LEN,
            entries: 2 * KINDS,
        }),
    }
}

/// Goes on at `transport` with a protocol that IP carries, or at `other`.
fn find_transport(asm: &mut Assembler, start: Start, transport: Label, other: Label) {
    let [ipv4, ipv6] = asm.labels();
    skip_vlan_tags(asm, start, other);
    asm.jump_if(NEXT, Equal, libc::ETH_P_IP, ipv4);
    asm.jump_if(NEXT, Equal, libc::ETH_P_IPV6, ipv6);
    asm.jump(other);

    asm.place(ipv4);
    read(asm, start, IPV4_PROTOCOL, 1, other);
    asm.load(Size::Byte, NEXT, R10, BYTES);
    // ICMPv6 has no business in IPv4.
    asm.jump_if(NEXT, Equal, libc::IPPROTO_ICMPV6, other);
    asm.jump(transport);

    asm.place(ipv6);
    read(asm, start, IPV6_NEXT_HEADER, 1, other);
    asm.load(Size::Byte, NEXT, R10, BYTES);
    asm.add(OFFSET, IPV6_HEADER_LEN);
    skip_extension_headers(asm, start, other);
    // Nor has ICMP in IPv6.
    asm.jump_if(NEXT, Equal, libc::IPPROTO_ICMP, other);
    asm.jump(transport);
}

/// Goes on with the first protocol that is no VLAN tag.
fn skip_vlan_tags(asm: &mut Assembler, start: Start, missing: Label) {
    let [untagged] = asm.labels();
    for _ in 0..VLAN_TAGS {
        let [tag] = asm.labels();
        asm.jump_if(NEXT, Equal, libc::ETH_P_8021Q, tag);
        asm.jump_if(NEXT, NotEqual, libc::ETH_P_8021AD, untagged);
        asm.place(tag);
        read(asm, start, 0, VLAN_TAG_LEN, missing);
        asm.load(Size::Half, NEXT, R10, BYTES + 2);
        asm.be16_to_host(NEXT);
        asm.add(OFFSET, VLAN_TAG_LEN);
    }
    asm.place(untagged);
}

/// Goes on with the first header that is no extension header; one that is missing, or one too
/// many, leads elsewhere.
fn skip_extension_headers(asm: &mut Assembler, start: Start, missing: Label) {
    let [walk, extension, fragment, authentication, following, upper] = asm.labels();
    asm.mov(LEFT, MAX_EXTENSION_HEADERS + 1);
    asm.place(walk);
    // The byte that NEXT is from. Of a copy that it knows nothing of, the verifier forgets which
    // header it was, and need not follow each of them apart.
    asm.load(Size::Byte, R1, R10, BYTES);
    for header in EXTENSION_HEADERS {
        asm.jump_if(R1, Equal, header, extension);
    }
    asm.jump_if(R1, Equal, FRAGMENT, extension);
    asm.jump_if(R1, NotEqual, AUTHENTICATION, upper);

    asm.place(extension);
    asm.add(LEFT, -1);
    asm.jump_if(LEFT, Equal, 0, missing);
    read(asm, start, 0, MIN_EXTENSION_HEADER_LEN, missing);
    // How long it is, in R2.
    asm.load(Size::Byte, R2, R10, BYTES + 1);
    asm.jump_if(NEXT, Equal, FRAGMENT, fragment);
    asm.jump_if(NEXT, Equal, AUTHENTICATION, authentication);
    asm.add(R2, 1);
    asm.shift_left(R2, 3);
    asm.jump(following);

    asm.place(authentication);
    asm.add(R2, 2);
    asm.shift_left(R2, 2);
    asm.jump(following);

    asm.place(fragment);
    asm.mov(R2, MIN_EXTENSION_HEADER_LEN);
    asm.load(Size::Half, R1, R10, BYTES + 2);
    asm.be16_to_host(R1);
    asm.and(R1, FRAGMENT_OFFSET);
    asm.load(Size::Byte, NEXT, R10, BYTES);
    // A later one has data where the header would be; what it is of, the fragment header says.
    asm.jump_if(R1, NotEqual, 0, upper);

    asm.place(following);
    asm.load(Size::Byte, NEXT, R10, BYTES);
    asm.add(OFFSET, R2);
    asm.jump(walk);
    asm.place(upper);
}

/// Copies `len` bytes of the packet, so far behind [`OFFSET`], to [`BYTES`] on the stack.
fn read(asm: &mut Assembler, start: Start, behind: i32, len: i32, missing: Label) {
    asm.mov(R1, SKB);
    asm.mov(R2, OFFSET);
    asm.add(R2, behind);
    asm.mov(R3, R10);
    asm.add(R3, i32::from(BYTES));
    asm.mov(R4, len);
    match start {
        Start::Packet => asm.call(Helper::SkbLoadBytes),
        Start::Frame => {
            asm.mov(R5, BPF_HDR_START_MAC);
            asm.call(Helper::SkbLoadBytesRelative);
        }
    }
    asm.jump_if(R0, NotEqual, 0, missing);
}

/// Adds the packet to the entry for its kind, [`NEXT`], and direction.
fn add_packet(asm: &mut Assembler, missing: Label) {
    let [inward] = asm.labels();
    asm.load(Size::Word, R0, SKB, skb::PKT_TYPE);
    asm.jump_if(R0, NotEqual, PACKET_OUTGOING, inward);
    asm.add(NEXT, OTHER + 1);
    asm.place(inward);
    asm.store(Size::Word, R10, KEY, NEXT);
    asm.load_map(R1);
    asm.mov(R2, R10);
    asm.add(R2, i32::from(KEY));
    asm.call(Helper::MapLookupElem);
    asm.jump_if(R0, Equal, 0, missing);
    asm.mov(R1, 1);
    asm.atomic_add(R0, 0, R1);
    asm.load(Size::Word, R1, SKB, skb::LEN);
    asm.atomic_add(R0, 8, R1);
}
