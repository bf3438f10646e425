# SPDX-License-Identifier: GPL-2.0

"""Packets that end early, contradict themselves or are unusual, injected before the hook. The module's
statistics show how the module treats each packet."""

import random
import struct

import pytest

from control import ALL_TYPES, Control, difference
from ipv6_headers import (
    AH,
    DESTINATION,
    ESP,
    FRAGMENT,
    HIP,
    HOP,
    ICMPV6,
    MOBILITY,
    NONE,
    ROUTING,
    SHIM6,
    TCP,
    UDP,
    chain,
    extension,
    fragment,
)
from netlink import SLOW
from network import checksum, icmp, ipv4, ipv6

# What happens to a packet. QUEUED: the module queues it. UNPARSABLE: the module counts it as unparsable, and
# it passes. PASSED: the module does not count it, because it is not ICMP of its IP version, is a later
# fragment, or was dropped by the stack before the hook.
QUEUED, UNPARSABLE, PASSED = "queued", "unparsable", "passed"

# ICMP and ICMPv6 types ("unreachable") of messages that no host answers.
UNREACHABLE4, UNREACHABLE6 = 3, 1

# All packets have an unspecified source address, so that no host sends an error about these packets.
MESSAGE4 = icmp(UNREACHABLE4, data=bytes(28))
MESSAGE6 = struct.pack(">BBHI", UNREACHABLE6, 0, 0, 0) + bytes(48)


def packet4(payload=MESSAGE4, **header):
    return ipv4("0.0.0.0", "127.0.0.1", payload, **header)


def packet6(first, payload, **header):
    return ipv6("::", "::1", payload, following=first, **header)


ROUTER_ALERT = bytes([5, 2, 0, 0, 1, 0])


def jumbo(length, payload=MESSAGE6):
    """Returns an options header with the jumbo payload option, whose value is `length`, and then the
    payload."""
    return extension(ICMPV6, body=struct.pack(">BBI", 0xC2, 4, length)) + payload


JUMBO_MESSAGE = MESSAGE6 + bytes(70_000 - 8 - len(MESSAGE6))

PACKETS = {
    # IPv4.
    "4 plain": (packet4(), QUEUED),
    "4 unknown type": (packet4(icmp(255)), QUEUED),
    "4 bad checksum of the message": (packet4(b"\3\0\xff\xff" + bytes(32)), QUEUED),
    "4 error about a packet that lies": (packet4(icmp(UNREACHABLE4, data=b"\x4f" * 28)), QUEUED),
    "4 options": (packet4(options=b"\x94\4\0\0"), QUEUED),
    "4 most options": (packet4(options=bytes([1] * 40)), QUEUED),
    "4 options that lie": (packet4(options=b"\x07\xff\4\1"), QUEUED),
    "4 message of 8 bytes": (packet4(MESSAGE4[:8]), QUEUED),
    "4 message of 7 bytes": (packet4(MESSAGE4[:7]), UNPARSABLE),
    "4 message of 1 byte": (packet4(MESSAGE4[:1]), UNPARSABLE),
    "4 no message": (packet4(b""), UNPARSABLE),
    "4 ends before its message": (packet4(length=24), UNPARSABLE),
    "4 bytes behind its end": (packet4() + bytes(20), QUEUED),
    "4 header of 4 words": (packet4(ihl=4), PASSED),
    "4 header longer than the packet": (packet4(ihl=15, payload=MESSAGE4[:8]), PASSED),
    "4 header as long as the packet": (packet4(b"", options=bytes(40)), UNPARSABLE),
    "4 says it is longer than it is": (packet4(length=1500), PASSED),
    "4 says it has no length": (packet4(length=0), PASSED),
    "4 shorter than its header": (packet4(length=19), PASSED),
    "4 version 5": (packet4(version=5), PASSED),
    "4 wrong header checksum": (packet4(check=0), PASSED),
    "4 first fragment": (packet4(fragment=1 << 13), QUEUED),
    "4 first fragment with 8 bytes": (packet4(MESSAGE4[:8], fragment=1 << 13), QUEUED),
    "4 later fragment": (packet4(fragment=1), PASSED),
    "4 last fragment, far out": (packet4(fragment=0x1fff), PASSED),
    "4 later fragment of one byte": (packet4(b"\3", fragment=7), PASSED),
    "4 UDP that looks like ICMP": (packet4(protocol=UDP), PASSED),
    "4 ICMPv6": (packet4(MESSAGE6, protocol=ICMPV6), PASSED),
    "4 cut to nothing": (packet4()[:19], PASSED),
    # IPv6.
    "6 plain": (packet6(ICMPV6, MESSAGE6), QUEUED),
    "6 message of 8 bytes": (packet6(ICMPV6, MESSAGE6[:8]), QUEUED),
    "6 message of 7 bytes": (packet6(ICMPV6, MESSAGE6[:7]), UNPARSABLE),
    "6 no message": (packet6(ICMPV6, b""), UNPARSABLE),
    "6 hop limit 0": (packet6(ICMPV6, MESSAGE6, hop_limit=0), QUEUED),
    "6 version 4": (packet6(ICMPV6, MESSAGE6, version=4), PASSED),
    "6 says it is longer than it is": (packet6(ICMPV6, MESSAGE6, length=1000), PASSED),
    "6 ends before its message": (packet6(ICMPV6, MESSAGE6, length=4), UNPARSABLE),
    "6 bytes behind its end": (packet6(ICMPV6, MESSAGE6 + bytes(9), length=len(MESSAGE6)), QUEUED),
    "6 UDP that looks like ICMPv6": (packet6(UDP, MESSAGE6), PASSED),
    "6 ICMP of IPv4": (packet6(1, MESSAGE4), PASSED),
    "6 nothing follows": (packet6(NONE, MESSAGE6), PASSED),
    "6 encrypted": (packet6(ESP, MESSAGE6), PASSED),
    "6 router alert": (packet6(HOP, extension(ICMPV6, body=ROUTER_ALERT) + MESSAGE6), QUEUED),
    "6 routing header": (packet6(ROUTING, extension(ICMPV6, body=bytes(6)) + MESSAGE6), QUEUED),
    "6 authenticated": (packet6(AH, struct.pack(">BBHIIQ", ICMPV6, 4, 0, 1, 1, 0) + MESSAGE6[:48]),
                        QUEUED),
    "6 mobility": (packet6(MOBILITY, extension(ICMPV6) + MESSAGE6), QUEUED),
    "6 host identity": (packet6(HIP, extension(ICMPV6) + MESSAGE6), QUEUED),
    "6 shim": (packet6(SHIM6, extension(ICMPV6) + MESSAGE6), QUEUED),
    "6 long options": (packet6(DESTINATION, extension(ICMPV6, units=20) + MESSAGE6), QUEUED),
    "6 twelve headers": (packet6(DESTINATION, chain(12, ICMPV6, MESSAGE6)), QUEUED),
    "6 thirteen headers": (packet6(DESTINATION, chain(13, ICMPV6, MESSAGE6)), UNPARSABLE),
    "6 thirteen headers to TCP": (packet6(DESTINATION, chain(13, TCP, MESSAGE6)), UNPARSABLE),
    "6 two headers to TCP": (packet6(DESTINATION, chain(2, TCP, MESSAGE6)), PASSED),
    "6 options beyond the end": (packet6(DESTINATION, extension(ICMPV6)[:1] + b"\xff" + bytes(6)),
                                 UNPARSABLE),
    "6 options cut short": (packet6(DESTINATION, extension(ICMPV6)[:5]), UNPARSABLE),
    "6 options, then nothing": (packet6(DESTINATION, extension(ICMPV6)), UNPARSABLE),
    "6 no options": (packet6(DESTINATION, b""), UNPARSABLE),
    "6 headers in the wrong order": (packet6(DESTINATION, extension(ROUTING) + extension(
        DESTINATION, body=bytes(6)) + extension(ICMPV6) + MESSAGE6), QUEUED),
    "6 first fragment": (packet6(FRAGMENT, fragment(ICMPV6, more=1) + MESSAGE6), QUEUED),
    "6 atomic fragment": (packet6(FRAGMENT, fragment(ICMPV6) + MESSAGE6), QUEUED),
    "6 later fragment": (packet6(FRAGMENT, fragment(ICMPV6, 1) + MESSAGE6), PASSED),
    "6 later fragment of UDP": (packet6(FRAGMENT, fragment(UDP, 100) + MESSAGE6), PASSED),
    "6 first fragment of 7 bytes": (packet6(FRAGMENT, fragment(ICMPV6, more=1) + MESSAGE6[:7]),
                                    UNPARSABLE),
    "6 first fragment that ends in a header": (packet6(
        FRAGMENT, fragment(DESTINATION, more=1) + extension(ICMPV6)), UNPARSABLE),
    "6 fragment header cut short": (packet6(FRAGMENT, fragment(ICMPV6)[:7]), UNPARSABLE),
    "6 fragment in a fragment": (packet6(FRAGMENT, fragment(FRAGMENT) + fragment(ICMPV6) + MESSAGE6),
                                 QUEUED),
    "6 no length, no jumbo": (packet6(ICMPV6, MESSAGE6, length=0), UNPARSABLE),
    "6 jumbogram": (packet6(HOP, jumbo(70_000, JUMBO_MESSAGE), length=0), QUEUED),
    "6 jumbogram that is cut short": (packet6(HOP, jumbo(70_000), length=0), PASSED),
    "6 jumbo option of a small packet": (packet6(HOP, jumbo(64), length=0), PASSED),
    "6 jumbo option beside a length": (packet6(HOP, jumbo(70_000)), PASSED),
    "6 jumbo option that is no first header": (packet6(DESTINATION, jumbo(70_000), length=0), UNPARSABLE),
    "6 fragment of a jumbogram": (packet6(HOP, extension(
        FRAGMENT, body=struct.pack(">BBI", 0xC2, 4, 70_000)) + fragment(ICMPV6) + JUMBO_MESSAGE[8:],
                                          length=0), UNPARSABLE),
    "6 hop-by-hop options, but no length": (packet6(HOP, extension(ICMPV6) + MESSAGE6, length=0), QUEUED),
    "6 options that reach into the message": (packet6(DESTINATION, struct.pack(
        ">BB", ICMPV6, 1) + bytes(6) + MESSAGE6), QUEUED),
    "6 options that reach to its last bytes": (packet6(DESTINATION, struct.pack(
        ">BB", ICMPV6, 6) + bytes(6) + MESSAGE6), QUEUED),
    "6 options that swallow the message": (packet6(DESTINATION, struct.pack(
        ">BB", ICMPV6, 7) + bytes(6) + MESSAGE6), UNPARSABLE),
    "6 authentication of no length": (packet6(AH, struct.pack(
        ">BBHI", ICMPV6, 0, 0, 1) + MESSAGE6), QUEUED),
    "6 cut to nothing": (packet6(ICMPV6, b"")[:39], PASSED),
}


@pytest.fixture
def control(load, loopback):
    """A client of the control plane, in the packets' namespace. The module queues all ICMP types, and no
    queue has a listener."""
    load()
    loopback.near.ip("link set lo mtu 100000")  # for jumbograms
    with loopback.near, Control() as control:
        control.set(ipv4=ALL_TYPES, ipv6=ALL_TYPES)
        yield control


def test_each_has_its_fate(control, inject):
    """Injects the packets one by one. The counters show what happens to each packet."""
    wrong = {}
    for name, (packet, expected) in PACKETS.items():
        family = "ipv" + name[0]
        before = control.stats()
        inject(family, [packet])
        counts = difference(before, control.stats())
        fate = [what for what in (QUEUED, UNPARSABLE) if counts[family][what]] or [PASSED]
        assert sum(counts["ipv4"].values()) + sum(counts["ipv6"].values()) in (0, 2, 3), (name, counts)
        if fate != [expected]:
            wrong[name] = fate
    assert not wrong


def test_whatever_they_are_changed_to(control, inject, loopback):
    """Thousands of packets with bytes changed, removed or inserted. Each packet that the hook sees is counted
    once."""
    source = random.Random(5)
    for _ in range(int(3000 / SLOW)):
        name, (packet, _) = source.choice(list(PACKETS.items()))
        packet = bytearray(packet)
        for _ in range(source.randrange(1, 4)):
            at = source.randrange(len(packet))
            match source.randrange(4):
                case 0:
                    del packet[at:]
                case 1:
                    packet[at:at] = source.randbytes(source.randrange(1, 9))
                case _:
                    packet[at] = source.randrange(256)
            if not packet:
                packet = bytearray(1)
        header = (packet[0] & 0xF) * 4
        if name[0] == "4" and 20 <= header <= len(packet):
            # Without a right checksum, few packets would reach the hook.
            packet[10:12] = bytes(2)
            packet[10:12] = struct.pack(">H", checksum(packet[:header]))
        inject("ipv" + name[0], [bytes(packet)])
    stats = control.stats()
    for family in ("ipv4", "ipv6"):
        counts = stats[family]
        assert counts["seen"] == counts[QUEUED] + counts[UNPARSABLE]
        assert min(counts[QUEUED], counts[UNPARSABLE]) > 10 / SLOW, counts
    with loopback.pinger() as pinger:
        pinger.ping()
