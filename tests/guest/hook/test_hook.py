# SPDX-License-Identifier: GPL-2.0

"""The Netfilter hook, as the listener of its queue and the pinging hosts see it."""

import errno
import select
import socket
import struct
import time

import pytest

import nfqueue
from control import Control
from family import FAMILIES
from netlink import DEADLINE, wait_until
from network import (
    ICMP_ECHO_REPLY,
    ICMP_ECHO_REQUEST,
    icmp,
    ipv4,
    run,
)
from nfqueue import (
    ACCEPT,
    DROP,
    FORWARD,
    LOCAL_IN,
    LOCAL_OUT,
    NFQA_CFG_F_FAIL_OPEN,
    POST_ROUTING,
    PRE_ROUTING,
    REPEAT,
    Listener,
)

MORE_FRAGMENTS = 0x2000
ETHERNET = bytes.fromhex("020000000002 020000000001 0800")


@pytest.fixture
def far_listener(module, link):
    """Loads the module, makes a link, and binds a listener at the far end of the link."""
    with link.far, Listener() as listener:
        yield listener


def icmp_kinds(packets):
    """Returns the type and the code of each ICMP packet."""
    kinds = []
    for packet in packets:
        assert packet.payload[0] >> 4 == 4 and packet.payload[9] == socket.IPPROTO_ICMP
        kinds.append(tuple(packet.payload[(packet.payload[0] & 0xF) * 4:][:2]))
    return kinds


# Tests in which the queue has no listener.


@pytest.mark.smoke
def test_pings_pass_without_a_listener(module, loopback, link):
    """Bug: the hook queues without bypass, so the kernel drops all packets while no program listens."""
    for path in (loopback, link):
        with path.pinger() as pinger:
            for seq in range(1, 6):
                pinger.ping(seq)


def test_pings_are_dropped_without_a_listener_and_bypass(load, loopback, link):
    """With bypass=0 no packet passes without a verdict."""
    load(bypass=0)
    for path in (loopback, link):
        with path.pinger() as pinger:
            for seq in range(1, 6):
                pinger.send(seq)
            path.settle()
            assert not pinger.replies()


def test_ping_of_the_distribution_works(module, link):
    """The distribution's ping gets its replies, too. This ping shares no code with the tests."""
    with link.near:
        assert "3 received" in run("ping", "-n", "-c3", "-i0.01", f"-W{DEADLINE:.0f}", "192.0.2.2")


# Tests in which a listener decides about packets.


@pytest.mark.smoke
def test_listener_gets_the_packet_from_its_ip_header_on(far_listener, link):
    """Bug: the packet that the listener gets does not begin with the IP header, or is cut off."""
    with link.pinger() as pinger:
        pinger.send(seq=7, size=1000)
        packet = far_listener.receive()
        assert (packet.hook, packet.ethertype) == (PRE_ROUTING, 0x0800)
        assert packet.indev != 0 and packet.outdev == 0
        request = packet.payload
        assert request[0] == 0x45 and len(request) == 20 + 8 + 1000
        assert struct.unpack_from(">H", request, 2)[0] == len(request)
        assert request[12:20] == socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2")
        assert request[20:22] == bytes([ICMP_ECHO_REQUEST, 0])
        assert struct.unpack_from(">HH", request, 24) == (pinger.ident, 7)
        link.settle()
        assert not pinger.replies()
        far_listener.verdict(packet, ACCEPT)
        assert pinger.reply() == 7


@pytest.mark.smoke
def test_drop_is_no_reply_and_accept_is_one(far_listener, link):
    """Each packet gets its own verdict. Verdicts may be sent in any order."""
    with link.pinger() as pinger:
        for seq in range(1, 9):
            pinger.send(seq)
        packets = [far_listener.receive() for _ in range(8)]
        for seq, packet in reversed(list(enumerate(packets, 1))):
            far_listener.verdict(packet, ACCEPT if seq % 2 else DROP)
        link.settle()
        assert sorted(pinger.replies()) == [1, 3, 5, 7]


def test_verdict_for_a_packet_that_is_gone(far_listener, link):
    """A packet can be decided only once. A second verdict gets ENOENT, which must not end a consumer."""
    with link.pinger() as pinger:
        pinger.send()
        packet = far_listener.receive()
        far_listener.verdict(packet, ACCEPT)
        for verdict in (ACCEPT, DROP):
            with pytest.raises(FileNotFoundError):
                far_listener.verdict(packet, verdict)
        assert pinger.reply() == 1
        link.settle()
        assert not pinger.replies()


def test_second_listener_is_refused(far_listener, link):
    """A queue can be bound only once. The second bind gets an error, and the first listener still gets
    packets."""
    with link.far, pytest.raises(OSError):
        Listener()
    with link.pinger() as pinger:
        pinger.send()
        far_listener.verdict(far_listener.receive(), ACCEPT)
        assert pinger.reply() == 1


def test_other_queues_get_nothing(far_listener, link):
    """Packets go only to the queue that the parameter `queue` names."""
    with link.far, Listener(1) as other, link.pinger() as pinger:
        pinger.send()
        far_listener.verdict(far_listener.receive(), ACCEPT)
        assert pinger.reply() == 1
        assert not other.waiting()


def test_repeated_packet_comes_again(far_listener, link):
    """Bug: after NF_REPEAT, a packet loops in the kernel. Instead the hook must queue the packet again, until
    the listener accepts it."""
    with link.pinger() as pinger:
        pinger.send()
        for _ in range(5):
            packet = far_listener.receive()
            link.settle()
            assert not far_listener.waiting() and not pinger.replies()
            far_listener.verdict(packet, REPEAT)
        far_listener.verdict(far_listener.receive(), ACCEPT)
        assert pinger.reply() == 1
        assert not far_listener.waiting()


# The hook points.

PATH = [("near", LOCAL_OUT), ("near", POST_ROUTING),
        ("router", PRE_ROUTING), ("router", FORWARD), ("router", POST_ROUTING),
        ("far", PRE_ROUTING), ("far", LOCAL_IN)]
# The points that the echo request passes, and then the points that the echo reply passes on its way from `far`
# to `near`.
ROUND_TRIP = PATH + [({"near": "far", "far": "near"}.get(place, place), hook)
                     for place, hook in PATH]


@pytest.mark.parametrize("mask", [1, 2, 4, 8, 16, 5, 31])
def test_hook_points(load, routed, mask):
    """Bug: a hook is at a point that the mask does not select, or a selected point lacks its hook, or a hook
    queues a packet twice."""
    load(hooks=mask)
    listeners = {}
    for place in ("near", "router", "far"):
        with getattr(routed, place):
            listeners[place] = Listener()
    route = []
    with routed.pinger() as pinger:
        pinger.send()
        while not (replies := pinger.replies()):
            sockets = [pinger.socket, *(listener.socket for listener in listeners.values())]
            assert select.select(sockets, [], [], DEADLINE)[0], f"the ping was lost behind {route}"
            # There is only one packet, so it waits at only one point.
            for place, listener in listeners.items():
                for packet in listener.drain():
                    route.append((place, packet.hook))
                    listener.decide(packet, ACCEPT)
        routed.settle()
        assert replies + pinger.replies() == [1]
    assert route == [(place, hook) for place, hook in ROUND_TRIP if mask >> hook & 1]
    for listener in listeners.values():
        assert not listener.waiting()
        listener.close()


def test_hook_points_drop_where_they_are(load, routed):
    """A packet that is dropped at FORWARD goes no further."""
    load(hooks=1 << FORWARD)
    with routed.router, Listener() as listener, routed.pinger() as pinger:
        pinger.send(1)
        pinger.send(2)
        listener.decide(listener.receive(), DROP)
        listener.decide(listener.receive(), ACCEPT)
        reply = listener.receive()
        assert icmp_kinds([reply]) == [(ICMP_ECHO_REPLY, 0)]
        listener.decide(reply, ACCEPT)
        assert pinger.reply() == 2
        routed.settle()
        assert not pinger.replies() and not listener.waiting()


# These tests check which packets are queued, and which are not.


def test_udp_and_tcp_are_never_queued(load, routed):
    """Bug: the hook queues packets that are not ICMP."""
    load(hooks=31)
    listeners = []
    for place in (routed.near, routed.router, routed.far):
        with place:
            listeners.append(Listener())
    with routed.far.socket(socket.AF_INET, socket.SOCK_STREAM) as server, \
            routed.near.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        server.bind((routed.far_address, 0))
        server.listen()
        client.settimeout(DEADLINE)
        client.connect(server.getsockname())
        connection, _ = server.accept()
        with connection:
            data = bytes(range(256)) * 200
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            connection.settimeout(DEADLINE)
            assert b"".join(iter(lambda: connection.recv(1 << 16), b"")) == data
    for _ in range(20):
        routed.settle()
    # Other protocols: 0x81 (the number of ICMP and one more bit), ICMPv6, SCTP, UDP-Lite, ESP, IGMP.
    for protocol in (0x81, 58, 132, 136, 50, 2):
        with routed.near.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as raw, \
                routed.far.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as sink:
            sink.settimeout(DEADLINE)
            raw.sendto(icmp(ICMP_ECHO_REQUEST), (routed.far_address, 0))
            assert sink.recv(100)[20:] == icmp(ICMP_ECHO_REQUEST)
    routed.settle()
    for listener in listeners:
        assert not listener.waiting()
        listener.close()


def test_every_icmp_type_is_queued(far_listener, link):
    """Bug: only echo requests are queued, although the module must queue all types of ICMP."""
    with link.near.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        sent = [(kind, code) for kind in range(256) for code in (0, 255 if kind % 16 else 13)]
        packets = []
        for kind, code in sent:
            raw.sendto(icmp(kind, code, data=b"any"), ("192.0.2.2", 0))
            packets += far_listener.drain()
        link.settle()
        packets += far_listener.drain()
    assert icmp_kinds(packets) == sent
    far_listener.decide_up_to(packets[-1], DROP)


@pytest.mark.parametrize("family, error", list(zip(FAMILIES, (b"\3\3", b"\1\4"))),
                         ids=list(map(str, FAMILIES)))
def test_icmp_errors_are_queued(module, routed, family, error):
    """The kernel itself sends the ICMP error "port unreachable". The listener's verdict decides about this
    error, too."""
    with routed.near, Control() as control, Listener() as listener:
        control.set(ipv6={error[0]})
        for verdict in (DROP, ACCEPT):
            with routed.near.socket(family.number, socket.SOCK_DGRAM) as client:
                client.connect((family.ends(routed)[1], 9))
                client.send(b"anybody there?")
                packet = listener.receive()
                header = 20 if family.name == "ipv4" else 40
                assert packet.payload[header:header + 2] == error
                # The ICMP error quotes the datagram.
                assert packet.payload.endswith(b"anybody there?")
                listener.verdict(packet, verdict)
                refused = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                assert refused == (errno.ECONNREFUSED if verdict == ACCEPT else 0)


def test_lone_later_fragment_is_passed_on(far_listener, link):
    """Bug: the hook queues a later fragment, because the data of the fragment looks like an ICMP header."""
    raw = link.near.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("veth0", 0))
    before = link.far.counters()
    looks_like = icmp(ICMP_ECHO_REQUEST, data=bytes(48))
    fields = (1, MORE_FRAGMENTS | 1, 0x1FF0, MORE_FRAGMENTS | 0xFFF, 0x4000 | 2, 0x8000 | 3)
    with raw:
        for number, field in enumerate(fields):
            raw.send(ETHERNET + ipv4("192.0.2.1", "192.0.2.2", looks_like, fragment=field,
                                     identification=number))
    link.settle()
    assert not far_listener.waiting()
    after = link.far.counters()
    # All fragments reached the reassembly.
    assert after["Ip"]["ReasmReqds"] - before["Ip"]["ReasmReqds"] == len(fields)


def test_first_fragment_is_queued(far_listener, link):
    """A first fragment is queued, even if it has nothing but the IP header and the ICMP header."""
    raw = link.near.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with raw:
        raw.bind(("veth0", 0))
        raw.send(ETHERNET + ipv4("192.0.2.1", "192.0.2.2", icmp(ICMP_ECHO_REQUEST),
                                 fragment=MORE_FRAGMENTS))
    packet = far_listener.receive()
    assert len(packet.payload) == 28
    far_listener.verdict(packet, DROP)


@pytest.mark.parametrize("options", [b"", b"\1" * 40], ids=["plain", "options"])
def test_truncated_icmp_is_passed_on(far_listener, link, options):
    """Bug: the hook reads beyond the packet. The frame's bytes after the packet look like the missing ICMP
    bytes."""
    before = link.far.counters()
    with link.near.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("veth0", 0))
        for size in range(8):
            packet = ipv4("192.0.2.1", "192.0.2.2", icmp(ICMP_ECHO_REQUEST)[:size],
                          options=options)
            raw.send(ETHERNET + packet)
            raw.send(ETHERNET + packet + icmp(ICMP_ECHO_REQUEST)[size:] + bytes(64))
    link.settle()
    assert not far_listener.waiting()
    after = link.far.counters()
    # All packets reached the kernel's ICMP layer, which counted each packet as an error.
    for counter in ("InMsgs", "InErrors"):
        assert after["Icmp"][counter] - before["Icmp"][counter] == 16, counter


def test_headers_that_lie_are_never_queued(far_listener, link):
    """The IP layer refuses packets whose header has a wrong length, version or checksum, so the hook never
    sees them."""
    message = icmp(ICMP_ECHO_REQUEST, data=bytes(20))
    lies = [
        *({"ihl": ihl} for ihl in (0, 1, 4)),
        {"ihl": 15, "length": 59},
        {"ihl": 15, "length": 40},
        *({"length": length} for length in (0, 19, 49, 1000, 65535)),
        *({"version": version} for version in (0, 5, 6, 15)),
        {"check": 0xBAD},
    ]
    before = link.far.counters()["Ip"]
    with link.near.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("veth0", 0))
        for lie in lies:
            raw.send(ETHERNET + ipv4("192.0.2.1", "192.0.2.2", message, **lie))
        # These frames end within the IP header.
        whole = ipv4("192.0.2.1", "192.0.2.2", message)
        for size in range(1, 20):
            raw.send(ETHERNET + whole[:size])
    link.settle()
    assert not far_listener.waiting()
    after = link.far.counters()["Ip"]
    assert after["InReceives"] - before["InReceives"] >= len(lies) + 19
    # The packets arrived, and the IP layer refused them. It delivered only the UDP packet of settle().
    assert after["InDelivers"] - before["InDelivers"] == 1
    with link.pinger() as pinger:
        pinger.send()
        far_listener.verdict(far_listener.receive(), ACCEPT)
        assert pinger.reply() == 1


@pytest.mark.parametrize("hooks", [1 << LOCAL_OUT, 1 << POST_ROUTING])
def test_malformed_packets_of_raw_sockets_are_passed_on(load, link, hooks):
    """Bug: the hook reads beyond the packet. Nothing has checked the headers of outgoing packets before the
    hook."""
    load(hooks=hooks)
    message = icmp(ICMP_ECHO_REQUEST)
    bad = [
        *(ipv4("192.0.2.1", "192.0.2.2", message[:size]) for size in range(8)),
        # The IP header fills the whole packet, or leaves only 7 bytes for the ICMP header.
        ipv4("192.0.2.1", "192.0.2.2", message + bytes(32), ihl=15),
        ipv4("192.0.2.1", "192.0.2.2", message + bytes(39), ihl=15),
        *(ipv4("192.0.2.1", "192.0.2.2", message, version=version) for version in (0, 3, 5, 6, 15)),
        ipv4("192.0.2.1", "192.0.2.2", message, fragment=1),
    ]
    good = ipv4("192.0.2.1", "192.0.2.2", message + bytes(40), ihl=15)
    with link.near, Listener() as listener, link.packets() as sniffer, \
            link.near.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        sniffer.settimeout(DEADLINE)
        for packet in bad:
            raw.sendto(packet, ("192.0.2.2", 0))
            arrived = sniffer.recv(2000)
            assert arrived[:1] + arrived[20:] == packet[:1] + packet[20:]
            assert not listener.waiting()
        # In `good`, a whole ICMP header follows the IP header of 60 bytes. So this packet is queued.
        raw.sendto(good, ("192.0.2.2", 0))
        packet = listener.receive()
        assert len(packet.payload) == len(good)
        listener.verdict(packet, DROP)
        link.settle()


def test_packet_with_ip_options(far_listener, link):
    """Bug: the ICMP header is expected at byte 20, even after IP options."""
    with link.pinger() as pinger:
        pinger.socket.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\1" * 40)
        pinger.send()
        packet = far_listener.receive()
        assert packet.payload[0] == 0x4F and packet.payload[60] == ICMP_ECHO_REQUEST
        far_listener.verdict(packet, ACCEPT)
        assert pinger.reply() == 1


@pytest.mark.parametrize("hooks", [PRE_ROUTING, LOCAL_IN, LOCAL_OUT, POST_ROUTING])
def test_packet_in_fragments_of_an_skb(load, loopback, hooks):
    """Bug: the hook reads only the linear part of a packet. The linear part of a big ping on lo is short."""
    load(hooks=1 << hooks)
    with loopback.near, Listener() as listener, loopback.pinger() as pinger:
        for seq, size in enumerate((20_000, 60_000), 1):
            pinger.send(seq, size)
            for kind in (ICMP_ECHO_REQUEST, ICMP_ECHO_REPLY):
                packet = listener.receive()
                assert icmp_kinds([packet]) == [(kind, 0)]
                assert len(packet.payload) == 28 + size
                listener.decide(packet, ACCEPT)
            assert pinger.reply() == seq
        assert not listener.waiting()


# Listeners that come, go, or are slow.


def test_listener_that_goes_does_not_leave_packets_stuck(module, link):
    """Bug: when a consumer exits, packets stay in the queue, or all later packets are dropped."""
    with link.pinger() as pinger:
        for seq in (1, 11):
            with link.far:
                listener = Listener()
            for number in range(10):
                pinger.send(seq + number)
            link.settle()
            with link.far:
                assert nfqueue.statistics()[0][0] == 10
            listener.close()
            with link.far:
                assert 0 not in nfqueue.statistics()
            pinger.ping(100)
            # The packets in the queue were dropped, not kept.
            assert not pinger.replies()


def test_listener_that_is_killed_does_not_leave_packets_stuck(module, link, start):
    """Bug: when a consumer crashes, packets stay in the queue."""
    def listen():
        with link.far, Listener() as listener:
            while True:
                listener.receive()

    def bound():
        with link.far:
            return nfqueue.is_bound(0)

    worker = start(listen)
    wait_until(bound)
    with link.pinger() as pinger:
        for seq in range(10):
            pinger.send(seq)
        link.settle()
        assert not pinger.replies()
        worker.kill()
        pinger.ping(100)
        assert not pinger.replies()


def test_full_queue_drops(module, link):
    """A full queue drops new packets even with bypass. The packets that are already in the queue are not
    lost."""
    with link.far, Listener(maxlen=1) as listener, link.pinger() as pinger:
        for seq in (1, 2, 3):
            pinger.send(seq)
        link.settle()
        with link.far:
            assert nfqueue.statistics()[0] == (1, 2, 0)
        (packet,) = listener.drain()
        listener.verdict(packet, ACCEPT)
        assert pinger.reply() == 1
        link.settle()
        assert not pinger.replies()
        pinger.send(4)
        listener.verdict(listener.receive(), ACCEPT)
        assert pinger.reply() == 4


def test_full_queue_passes_with_fail_open(module, link):
    """If the listener has set NFQA_CFG_F_FAIL_OPEN, new packets pass while the queue is full."""
    with link.far, Listener(maxlen=1, flags=NFQA_CFG_F_FAIL_OPEN) as listener, \
            link.pinger() as pinger:
        pinger.send(1)
        pinger.ping(2)
        pinger.ping(3)
        listener.verdict(listener.receive(), ACCEPT)
        assert pinger.reply() == 1


def test_rule_of_nftables_queues_behind_ours(module, link):
    """A `queue` rule of nftables runs after the module's hook. A packet passes only if both listeners accept
    it."""
    link.far.nft("table ip t { chain in { type filter hook prerouting priority 10; "
                 "ip protocol icmp queue num 5; }; }")
    with link.far, Listener(0) as ours, Listener(5) as theirs, link.pinger() as pinger:
        for seq, verdicts in enumerate(((ACCEPT, ACCEPT), (ACCEPT, DROP), (DROP, None)), 1):
            pinger.send(seq)
            ours.verdict(ours.receive(), verdicts[0])
            if verdicts[1] is not None:
                theirs.verdict(theirs.receive(), verdicts[1])
            link.settle()
            assert pinger.replies() == ([seq] if verdicts == (ACCEPT, ACCEPT) else [])
        assert not ours.waiting() and not theirs.waiting()


def test_rule_of_nftables_that_drops_comes_first(module, link):
    """A rule that runs before the module's hook drops a packet. Then the module never queues this packet."""
    link.far.nft("table ip t { chain in { type filter hook prerouting priority -10; "
                 "ip protocol icmp drop; }; }")
    with link.far, Listener() as listener, link.pinger() as pinger:
        pinger.send()
        link.settle()
        assert not listener.waiting() and not pinger.replies()


def test_many_packets_at_once(module, loopback):
    """One batch verdict decides about hundreds of packets in a queue."""
    with loopback.near, Listener() as listener, loopback.pinger() as pinger:
        for seq in range(200):
            pinger.send(seq)
        packets = [listener.receive() for _ in range(200)]
        assert [packet.id for packet in packets] == sorted(packet.id for packet in packets)
        listener.decide_up_to(packets[-1], ACCEPT)
        replies = []
        deadline = time.monotonic() + DEADLINE
        while len(replies) < 200 and time.monotonic() < deadline:
            for packet in listener.drain():
                assert icmp_kinds([packet]) == [(ICMP_ECHO_REPLY, 0)]
                listener.decide(packet, ACCEPT)
            replies += pinger.replies()
        assert sorted(replies) == list(range(200))


def test_namespaces_queue_independently(module, loopback, link):
    """Bug: only `init_net` queues, or all namespaces share a queue. Each namespace must have its own queue
    0."""
    with link.far, Listener() as far, loopback.near, Listener() as other:
        with link.pinger() as pinger, loopback.pinger() as looped:
            pinger.send(1)
            packet = far.receive()
            assert not other.waiting()
            looped.send(2)
            other.verdict(other.receive(), DROP)
            assert not far.waiting()
            far.verdict(packet, ACCEPT)
            assert pinger.reply() == 1
            loopback.settle()
            assert not looped.replies()
