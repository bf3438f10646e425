// SPDX-License-Identifier: GPL-2.0

//! Sends packets past the module's hooks. Each input changes the configuration of the hooks.
//!
//! Some packets arrive at a TUN device, which is the program's standard input. Others leave by raw
//! sockets. For both kinds of packets the hooks run in the context of the program, so the kernel
//! records their coverage. A packet on the loopback device comes back in a softirq, where no
//! coverage is recorded.

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

/// The length of `struct virtio_net_hdr`, which comes before a packet on the device.
const VNET_HEADER_LEN: usize = 10;
/// The offset of its field `hdr_len`: the number of bytes of the packet that must be linear.
const VNET_LINEAR: std::ops::Range<usize> = 2..4;

#[derive(Debug, Arbitrary)]
struct Input {
    settings: Settings,
    /// After the packets comes a series of other packets. Each packet of the series differs in one
    /// value from the packet at `start`.
    series: Series,
    /// The packet that the series begins with.
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
        /// The number of bytes that must be linear, if that is not the whole packet.
        linear: u8,
    },
    Out {
        /// Whether the packet has the mark of packets that are not queued.
        marked: bool,
    },
}

impl Sent {
    /// The packet at `place` of a series.
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
    /// Raw sockets for IPv4 and IPv6, without and with the mark.
    sockets: [[Socket; 2]; 2],
}

impl Fuzzer {
    /// The mark of packets that are not queued, if there is one.
    const MARK: u32 = 1;
    /// The length of a series. It is large, so that most of the work for an input is for packets.
    const SERIES_LEN: u8 = 128;

    fn new() -> Self {
        let socket = |domain, mark| {
            // With this protocol, the sender writes the IP headers.
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

    /// Sends a packet; true if the kernel took it.
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

/// The host to send to, so that the packet takes this way.
fn ipv4(destination: Destination) -> Ipv4Addr {
    match destination {
        Destination::Near => Ipv4Addr::new(10, 0, 0, 1),
        Destination::Far => Ipv4Addr::new(10, 1, 0, 9),
        Destination::Loopback => Ipv4Addr::LOCALHOST,
        Destination::Multicast => Ipv4Addr::BROADCAST,
    }
}

/// The IPv6 host to send to, so that the packet takes this way.
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
