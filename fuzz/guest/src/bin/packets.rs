// SPDX-License-Identifier: GPL-2.0

//! Sends packets through the module's hooks. Each input first sets the module's configuration.
//!
//! Some packets arrive from the network: the fuzzer writes them to its standard input, which is the
//! file of a TUN device. Other packets leave: the fuzzer sends them by raw sockets. Both kinds of
//! packets meet the hooks in the context of the fuzzer's process, so KCOV records the coverage. If
//! a packet leaves by the loopback device, this host receives the packet in a softirq, where KCOV
//! records nothing.

#![no_main]

use std::cell::RefCell;
use std::io::stdin;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use arbitrary::Arbitrary;
use knetlink::Message;
use libfuzzer_sys::fuzz_target;
use netlink_packet_core::NLM_F_REQUEST;
use nix::unistd::write;
use nldemo::protocol;
use socket2::Domain;
use socket2::Protocol;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;

use nldemo_fuzz_guest::Sequence;
use nldemo_fuzz_guest::client::Client;
use nldemo_fuzz_guest::kernel_log::KernelLog;
use nldemo_fuzz_guest::packet::Destination;
use nldemo_fuzz_guest::packet::Packet;
use nldemo_fuzz_guest::packet::Series;
use nldemo_fuzz_guest::settings::Settings;
use nldemo_fuzz_guest::tally::Tally;

/// The length of `struct virtio_net_hdr`, which comes before each packet in a write to the TUN
/// device.
const VNET_HEADER_LEN: usize = 10;
/// The bytes of the field `hdr_len` in `struct virtio_net_hdr`. The field has the number of the
/// packet's bytes that must be in the linear part.
const VNET_LINEAR: std::ops::Range<usize> = 2..4;

#[derive(Debug, Arbitrary)]
struct Input {
    settings: Settings,
    /// After `packets`, the fuzzer sends a series of changed copies of them. In each copy, only the
    /// value that `series` names is changed.
    series: Series,
    /// The number from which the first copy gets its changed value. Each further copy has the next
    /// number.
    start: u8,
    packets: Sequence<Sent>,
}

#[derive(Clone, Debug, Arbitrary)]
struct Sent {
    packet: Packet,
    way: Way,
}

#[derive(Clone, Debug, Arbitrary)]
enum Way {
    In {
        /// The number of bytes that must be in the linear part. If the packet is shorter, all its
        /// bytes must be there.
        linear: u8,
    },
    Out {
        /// Whether the packet has the mark `Fuzzer::MARK`.
        marked: bool,
    },
}

impl Sent {
    /// A copy of this packet, in which the value that `series` names is changed. `place` gives the
    /// new value.
    fn varied(&self, series: Series, place: u8) -> Self {
        let mut sent = self.clone();
        match series {
            Series::Seams => sent.way = Way::In { linear: place },
            _ => sent.packet.vary(series, place),
        }
        sent
    }
}

struct Fuzzer {
    tally: Tally,
    log: KernelLog,
    module: Client,
    /// Raw sockets: for IPv4 and for IPv6, each without and with the mark `Fuzzer::MARK`.
    sockets: [[Socket; 2]; 2],
}

impl Fuzzer {
    /// If the configuration has a mark for packets that are not queued, it is this mark.
    const MARK: u32 = 1;
    /// The number of packets in a series. It is large, so that an input spends most of its time on
    /// packets, and not on the change of the configuration.
    const SERIES_LEN: u8 = 128;

    fn new() -> Self {
        let socket = |domain, mark| {
            // With this protocol, the program writes the IP headers itself.
            let protocol = Some(Protocol::from(nix::libc::IPPROTO_RAW));
            let socket = Socket::new(domain, Type::RAW.nonblocking(), protocol);
            let socket = socket.expect("root may have raw sockets");
            socket.set_mark(mark).expect("root may set marks");
            if domain == Domain::IPV4 {
                socket.set_broadcast(true).expect("a socket option");
            }
            socket
        };
        Self {
            tally: Tally::new(),
            log: KernelLog::open(),
            module: Client::open(true),
            sockets: [Domain::IPV4, Domain::IPV6]
                .map(|domain| [0, Self::MARK].map(|mark| socket(domain, mark))),
        }
    }

    /// Sends a packet. Returns true if the kernel accepted the packet.
    fn send(&mut self, Sent { packet, way }: &Sent) -> bool {
        let bytes = packet.to_bytes();
        match *way {
            Way::In { linear } => {
                let mut framed = vec![0; VNET_HEADER_LEN];
                let linear = bytes.len().min(linear.into());
                let linear = u16::try_from(linear).expect("at most 255");
                framed[VNET_LINEAR].copy_from_slice(&linear.to_ne_bytes());
                framed.extend(bytes);
                write(stdin(), &framed).is_ok()
            }
            Way::Out { marked } => {
                let (family, address) = match packet {
                    Packet::V4(_) => (0, ipv4(packet.destination()).into()),
                    Packet::V6(_) => (1, ipv6(packet.destination()).into()),
                };
                let address = SockAddr::from(SocketAddr::new(address, 0));
                self.sockets[family][usize::from(marked)]
                    .send_to(&bytes, &address)
                    .is_ok()
            }
        }
    }

    fn run(&mut self, input: &Input) {
        let mut request = Vec::new();
        input
            .settings
            .append_to(&mut request, self.module.next_sequence());
        self.module.send(&request, None);
        let packets = &input.packets.0;
        let mut taken = packets.iter().filter(|sent| self.send(sent)).count();
        for (sent, n) in packets.iter().cycle().zip(0..Self::SERIES_LEN) {
            let place = input.start.wrapping_add(n);
            taken += usize::from(self.send(&sent.varied(input.series, place)));
        }
        self.tally.add(taken);
        request.clear();
        Message {
            kind: protocol::MSG_STATS_GET,
            flags: NLM_F_REQUEST,
            sequence: self.module.next_sequence(),
            portid: 0,
            payload: &[],
        }
        .append_to(&mut request);
        self.module.send(&request, None);
        self.module.finish();
        self.log.check();
    }
}

/// The IPv4 address for `send_to()`. The kernel routes a packet of a raw socket to this address.
fn ipv4(destination: Destination) -> Ipv4Addr {
    match destination {
        Destination::Near => Ipv4Addr::new(10, 0, 0, 1),
        Destination::Far => Ipv4Addr::new(10, 1, 0, 9),
        Destination::Loopback => Ipv4Addr::LOCALHOST,
        Destination::Multicast => Ipv4Addr::BROADCAST,
    }
}

/// The IPv6 address for `send_to()`. The kernel routes a packet of a raw socket to this address.
fn ipv6(destination: Destination) -> Ipv6Addr {
    match destination {
        Destination::Near => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1),
        Destination::Far => Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 9),
        Destination::Loopback => Ipv6Addr::LOCALHOST,
        Destination::Multicast => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
    }
}

thread_local! {
    static FUZZER: RefCell<Fuzzer> = RefCell::new(Fuzzer::new());
}

fuzz_target!(|input: Input| {
    FUZZER.with_borrow_mut(|fuzzer| fuzzer.run(&input));
});
