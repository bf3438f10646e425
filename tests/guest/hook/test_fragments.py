# SPDX-License-Identifier: GPL-2.0

"""Fragmented datagrams of both families. At some hook points the whole datagram is queued, at others only its
first fragment. The tests show at which points, and how the verdict affects the other fragments."""
import socket
import struct

import pytest

from family import FAMILIES, Echo
from network import checksum, icmp, ipv4, ipv6
from nfqueue import (
    ACCEPT,
    DROP,
    FORWARD,
    LOCAL_IN,
    LOCAL_OUT,
    POST_ROUTING,
    PRE_ROUTING,
    Listener,
)

MORE_FRAGMENTS = 0x2000
FRAGMENT = 44
DATA = bytes(range(256)) * 16
WHOLE, FIRST = "whole", "first fragment"
# The hook points that a large echo request passes, and the part of the datagram that is queued there. IPv4
# reassembles the fragments before LOCAL_IN, the last point. IPv6 reassembles them after LOCAL_IN, when it
# handles extension headers.
PATH = [("near", LOCAL_OUT, WHOLE), ("near", POST_ROUTING, WHOLE), ("router", PRE_ROUTING, FIRST),
        ("router", FORWARD, FIRST), ("router", POST_ROUTING, FIRST), ("far", PRE_ROUTING, FIRST)]
LAST = {"ipv4": ("far", LOCAL_IN, WHOLE), "ipv6": ("far", LOCAL_IN, FIRST)}


def part(family, packet):
    """Returns which part of the datagram a packet has: all of it, or its first fragment."""
    payload = packet.payload
    if family.name == "ipv4":
        message, fragmented = payload[20:], struct.unpack_from(">H", payload, 6)[0] & ~0x4000
        is_first = fragmented == MORE_FRAGMENTS
    else:
        fragmented = payload[6] == FRAGMENT
        message = payload[48:] if fragmented else payload[40:]
        is_first = struct.unpack_from(">H", payload, 42)[0] == 1
    assert message[0] == family.request
    if not fragmented:
        assert message[8:] == DATA
        return WHOLE
    assert is_first and DATA.startswith(message[8:])
    return FIRST


@pytest.fixture(params=FAMILIES, ids=str)
def family(request):
    return request.param


@pytest.fixture
def echo(load, routed, family):
    with Echo(family, routed) as echo:
        yield echo


def test_what_there_is_of_a_datagram_at_each_hook_point(load, routed, family, echo):
    """Bug: the hook mistakes the data of a later fragment for an ICMP header."""
    load(hooks=31)
    listeners = {}
    for place in ("near", "router", "far"):
        with getattr(routed, place):
            listeners[place] = Listener()
    echo.send(DATA)
    for place, hook, expected in (*PATH, LAST[family.name]):
        packet = listeners[place].receive()
        assert (packet.hook, part(family, packet)) == (hook, expected)
        routed.settle()
        assert not any(listener.waiting() for listener in listeners.values())
        listeners[place].verdict(packet, ACCEPT)
    for listener in listeners.values():
        listener.close()


def test_verdict_on_the_first_fragment_decides_the_datagram(module, routed, family, echo):
    """If the first fragment is dropped, the datagram is lost, although its other fragments passed."""
    with routed.far, Listener() as listener:
        for verdict in (DROP, ACCEPT):
            echo.send(DATA)
            packet = listener.receive()
            routed.settle()
            assert part(family, packet) == FIRST
            assert not listener.waiting() and not echo.waiting()
            listener.verdict(packet, verdict)
            routed.settle()
            assert echo.waiting() == (verdict == ACCEPT)
        assert echo.reply() == DATA


def test_datagram_is_queued_whole_where_connections_are_tracked(module, routed, family, echo):
    """Connection tracking reassembles the fragments at an earlier priority, so the hook sees the whole
    datagram."""
    routed.far.nft("table inet tracked { chain in { type filter hook prerouting priority 50; "
                   "ct state new accept; }; }")
    with routed.far, Listener() as listener:
        echo.send(DATA)
        packet = listener.receive()
        assert part(family, packet) == WHOLE
        listener.verdict(packet, ACCEPT)
        assert echo.reply() == DATA
        assert not listener.waiting()


def test_large_pings_pass_without_a_listener(load, routed, family, echo):
    """Pings get their replies, although requests and replies are fragmented, and every hook point has a
    hook."""
    load(hooks=31)
    for size in (1400, 1472, 1473, 20_000, 65_507):
        data = (DATA * 16)[:size]
        echo.send(data)
        assert echo.reply() == data


def fragments(family, path, *ranges):
    """Returns fragments of one echo request, one for each range of its bytes. The request has a right
    checksum."""
    source, destination = family.ends(path)
    if family.name == "ipv4":
        message = icmp(family.request, data=bytes(range(16)))
        return [ipv4(source, destination, message[start:end], identification=77,
                     fragment=start // 8 | (MORE_FRAGMENTS if end < len(message) else 0))
                for start, end in ranges]
    pseudo = ipv6(source, destination, b"")[8:] + struct.pack(">II", 24, family.protocol)
    message = struct.pack(">BBHI", family.request, 0, 0, 0) + bytes(range(16))
    message = message[:2] + struct.pack(">H", checksum(pseudo + message)) + message[4:]
    return [ipv6(source, destination, struct.pack(
        ">BBHI", family.protocol, 0, start | (end < len(message)), 77) + message[start:end],
        following=FRAGMENT) for start, end in ranges]


def test_fragments_that_overlap_are_never_put_together(module, routed, family, echo):
    """The kernel drops fragments that overlap. So no later fragment can replace the ICMP header that was
    queued."""
    with routed.far, Listener() as listener, \
            routed.near.socket(family.number, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for ranges, is_answered in ((((0, 16), (16, 24)), True), (((0, 16), (8, 24)), False),
                                    (((8, 24), (0, 16)), False), (((16, 24), (0, 16)), True)):
            for packet in fragments(family, routed, *ranges):
                raw.sendto(packet, (family.ends(routed)[1], 0))
            packet = listener.receive()
            listener.verdict(packet, ACCEPT)
            routed.settle()
            assert not listener.waiting()
            assert echo.waiting() == is_answered, ranges
            if is_answered:
                assert echo.reply() == bytes(range(16))
