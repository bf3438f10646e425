// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program that counts the packets of an interface. It passes no packet to the socket.

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

/// The name of the map. The map has [`KINDS`] entries for incoming packets, then [`KINDS`] entries
/// for outgoing packets.
pub(crate) const MAP: &str = "traffic";

/// An entry of the map: the number of packets, then the number of bytes.
pub(crate) type Entry = [u64; 2];
const ENTRY_LEN: u32 = 16;

/// The IP protocols. The map has an entry for each protocol, and then an entry for all other
/// packets.
const PROTOCOLS: [i32; 4] = [
    libc::IPPROTO_TCP,
    libc::IPPROTO_UDP,
    libc::IPPROTO_ICMP,
    libc::IPPROTO_ICMPV6,
];
const OTHER: i32 = 4;
pub(crate) const KINDS: u32 = 5;

// Registers that keep their value over calls.
const SKB: Register = Register::R6;
/// The protocol of the header at [`OFFSET`]: first an Ethernet protocol, then an IP protocol. When
/// the program has read all headers, this is the number of the map's entry for the packet.
const NEXT: Register = Register::R7;
/// The offset in the packet of the header whose protocol is in [`NEXT`].
const OFFSET: Register = Register::R8;
/// The number of extension headers that may still follow.
const LEFT: Register = Register::R9;

// The offsets of the program's data, from the end of the stack.
const BYTES: i16 = -8;
const KEY: i16 = -16;

/// `PACKET_OUTGOING` of `linux/if_packet.h`.
const PACKET_OUTGOING: i32 = 4;
/// `BPF_HDR_START_MAC` of `linux/bpf.h`: an offset counts from the link layer header.
const BPF_HDR_START_MAC: i32 = 0;

const ETHERNET_HEADER_LEN: i32 = 14;
/// The number of VLAN tags that the program skips: one more than the two tags that packets have in
/// practice. The kernel has removed the first tag of an incoming packet already.
const VLAN_TAGS: usize = 3;
const VLAN_TAG_LEN: i32 = 4;

const IPV4_PROTOCOL: i32 = 9;
const IPV6_NEXT_HEADER: i32 = 6;
const IPV6_HEADER_LEN: i32 = 40;
/// Extension headers whose second byte is their length, in units of 8 bytes without the first unit:
/// hop-by-hop, routing, destination, mobility, host identity, shim6.
const EXTENSION_HEADERS: [i32; 6] = [0, 43, 60, 135, 139, 140];
const FRAGMENT: i32 = 44;
const AUTHENTICATION: i32 = 51;
const MIN_EXTENSION_HEADER_LEN: i32 = 8;
/// The number of extension headers that the kernel accepts (`IP6_MAX_EXT_HDRS_CNT`).
const MAX_EXTENSION_HEADERS: i32 = 12;
/// The mask for the fragment offset, which shares 16 bits of the fragment header with flags.
const FRAGMENT_OFFSET: i32 = 0xfff8;

/// The place from which offsets count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// The first byte that the socket would get.
    Packet,
    /// The Ethernet header.
    Frame,
}

/// Makes the program for the interface with this number. The program is for a packet socket without
/// link layer headers (`SOCK_DGRAM`). On such a socket, a packet begins with the header of its
/// Ethernet protocol.
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
    // An outgoing packet with VLAN tags is an exception: it does not begin with the first tag. If
    // this host added the tags, the packet begins after the tags. If a bridge forwards the packet,
    // the packet begins with the second tag. So the program reads such a packet from the Ethernet
    // header on.
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
    // The socket gets no byte of the packet.
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

/// Jumps to `transport` if the packet is IP, with its transport protocol in [`NEXT`]. Otherwise
/// jumps to `other`.
fn find_transport(asm: &mut Assembler, start: Start, transport: Label, other: Label) {
    let [ipv4, ipv6] = asm.labels();
    skip_vlan_tags(asm, start, other);
    asm.jump_if(NEXT, Equal, libc::ETH_P_IP, ipv4);
    asm.jump_if(NEXT, Equal, libc::ETH_P_IPV6, ipv6);
    asm.jump(other);

    asm.place(ipv4);
    read(asm, start, IPV4_PROTOCOL, 1, other);
    asm.load(Size::Byte, NEXT, R10, BYTES);
    // ICMPv6 in an IPv4 packet is counted as another protocol.
    asm.jump_if(NEXT, Equal, libc::IPPROTO_ICMPV6, other);
    asm.jump(transport);

    asm.place(ipv6);
    read(asm, start, IPV6_NEXT_HEADER, 1, other);
    asm.load(Size::Byte, NEXT, R10, BYTES);
    asm.add(OFFSET, IPV6_HEADER_LEN);
    skip_extension_headers(asm, start, other);
    // ICMP in an IPv6 packet is counted as another protocol.
    asm.jump_if(NEXT, Equal, libc::IPPROTO_ICMP, other);
    asm.jump(transport);
}

/// Skips VLAN tags, until [`NEXT`] is a protocol that is not a VLAN tag.
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

/// Skips extension headers, until [`NEXT`] is not an extension header. Jumps to `missing` if the
/// packet ends within the extension headers, or has too many of them.
fn skip_extension_headers(asm: &mut Assembler, start: Start, missing: Label) {
    let [walk, extension, fragment, authentication, following, upper] = asm.labels();
    asm.mov(LEFT, MAX_EXTENSION_HEADERS + 1);
    asm.place(walk);
    // This instruction loads the byte of NEXT again. The verifier knows nothing about the loaded
    // value, so it does not check the rest of the program separately for each value of NEXT.
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
    // R2 is the length of the header.
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
    // In a fragment that is not the first, no other header follows the fragment header. The
    // protocol that the fragment header names is then the result.
    asm.jump_if(R1, NotEqual, 0, upper);

    asm.place(following);
    asm.load(Size::Byte, NEXT, R10, BYTES);
    asm.add(OFFSET, R2);
    asm.jump(walk);
    asm.place(upper);
}

/// Copies `len` bytes of the packet, from `behind` bytes after [`OFFSET`] on, to [`BYTES`] on the
/// stack.
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

/// Adds the packet to the entry for its kind ([`NEXT`]) and its direction.
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
