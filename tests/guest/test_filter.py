# SPDX-License-Identifier: GPL-2.0

"""The peer's socket filters: what the BPF program counts, and what the kernel still delivers to a
netlink socket that has one."""

import contextlib
import json
import os
import signal
import socket
import struct
from pathlib import Path

import pytest

from netlink import NLM_F_REQUEST, Client, attribute, pack
from network import Path4, ipv4, ipv6, join, pinned
from test_nasty_packets import AH, DESTINATION, FRAGMENT, HOP, chain, extension, fragment

DONE, ERROR = 0, 2
TCP, UDP, ICMP, ICMPV6 = "tcp", "udp", "icmp", "icmpv6"
OTHER = "other"
IPV4, IPV6, ARP, VLAN, PROVIDER = 0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8
NUMBERS = {TCP: 6, UDP: 17, ICMP: 1, ICMPV6: 58}

UNPRIVILEGED_BPF = Path("/proc/sys/kernel/unprivileged_bpf_disabled")
SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280}[os.uname().machine]
ENOSYS = 38

CONFIG_SET = 19
CONFIG_A_QUEUE = 2


def frame(ethertype, packet, *tags):
    """An Ethernet frame for the far end of a link, with VLAN tags if there are to be some."""
    frame = bytes.fromhex("020000000002" "020000000001")
    for tag in tags:
        frame += struct.pack(">HH", tag, 0x6005)
    return frame + struct.pack(">H", ethertype) + packet


def packet4(protocol, payload=bytes(20), **header):
    return ipv4("192.0.2.1", "192.0.2.2", payload, protocol=protocol, **header)


def packet6(following, payload=bytes(20)):
    return ipv6("fd00::1", "fd00::2", payload, following=following)


FRAMES = {
    **{f"ipv4 {name}": (frame(IPV4, packet4(NUMBERS[name])), name) for name in (TCP, UDP, ICMP)},
    **{f"ipv6 {name}": (frame(IPV6, packet6(NUMBERS[name])), name) for name in (TCP, UDP, ICMPV6)},
    "ipv4 options": (frame(IPV4, packet4(6, options=bytes(40))), TCP),
    "ipv4 later fragment": (frame(IPV4, packet4(17, fragment=100)), UDP),
    "ipv4 another protocol": (frame(IPV4, packet4(132)), OTHER),
    "ipv4 icmpv6": (frame(IPV4, packet4(58)), OTHER),
    "ipv4 cut before its protocol": (frame(IPV4, packet4(6)[:9]), OTHER),
    "ipv4 cut behind its protocol": (frame(IPV4, packet4(6)[:10]), TCP),
    "ipv6 icmp": (frame(IPV6, packet6(1)), OTHER),
    "ipv6 nothing": (frame(IPV6, packet6(59)), OTHER),
    "ipv6 cut before its protocol": (frame(IPV6, packet6(6)[:6]), OTHER),
    "ipv6 options": (frame(IPV6, packet6(HOP, extension(17, units=3) + bytes(8))), UDP),
    "ipv6 longest options": (frame(IPV6, packet6(DESTINATION, extension(6, units=150) + bytes(8))), TCP),
    "ipv6 authenticated": (frame(IPV6, packet6(AH, struct.pack(">BB22x", 6, 4) + bytes(20))), TCP),
    "ipv6 first fragment": (frame(IPV6, packet6(FRAGMENT, fragment(17, more=1) + bytes(8))), UDP),
    "ipv6 later fragment": (frame(IPV6, packet6(FRAGMENT, fragment(17, 9) + bytes(8))), UDP),
    # Whatever it looks like, there is no header in it.
    "ipv6 later fragment of options": (frame(IPV6, packet6(FRAGMENT, fragment(60, 9) + extension(6))),
                                       OTHER),
    "ipv6 fragment behind options": (frame(IPV6, packet6(HOP, extension(FRAGMENT) + fragment(58) +
                                                         bytes(8))), ICMPV6),
    "ipv6 twelve headers": (frame(IPV6, packet6(DESTINATION, chain(12, 6, bytes(20)))), TCP),
    "ipv6 thirteen headers": (frame(IPV6, packet6(DESTINATION, chain(13, 6, bytes(20)))), OTHER),
    "ipv6 header cut short": (frame(IPV6, packet6(DESTINATION, extension(6)[:7])), OTHER),
    "ipv6 options beyond the end": (frame(IPV6, packet6(DESTINATION, b"\6\xff" + bytes(6))), TCP),
    "arp": (frame(ARP, bytes(28)), OTHER),
    "another protocol": (frame(0x88b5, bytes(50)), OTHER),
    "tagged ipv4": (frame(IPV4, packet4(6), VLAN), TCP),
    "tagged ipv6": (frame(IPV6, packet6(58), VLAN), ICMPV6),
    "tagged twice": (frame(IPV4, packet4(17), PROVIDER, VLAN), UDP),
    "tagged arp": (frame(ARP, bytes(28), VLAN), OTHER),
}


@pytest.fixture
def quiet_link(namespaces):
    """A link on which nobody says anything by himself: without IPv6, as packets need none to be
    counted."""
    near, far = namespaces(), namespaces()
    for namespace in (near, far):
        namespace.sysctl("ipv6/conf/default/disable_ipv6", 1)
    join(near, far)
    with pinned():
        path = Path4(near, "192.0.2.1", far, "192.0.2.2")
        path.settle()
        yield path
        path.close()


@pytest.fixture
def counting(running):
    """Starts counting in a namespace, on veth0 unless told otherwise."""
    def counting(namespace, *arguments, interface="veth0"):
        with namespace:
            program = running("filter", "count", interface, *arguments)
        ready = program.event()
        assert (ready["event"], ready["interface"]) == ("ready", interface)
        return program

    return counting


def stop(counter):
    """Ends a count; what it came to, {protocol: (packets, bytes)} without those that were none,
    received and sent."""
    counter.signal(signal.SIGINT)
    summary = counter.rest()[-1]
    assert summary["event"] == "summary"
    return tuple({name: (volume["packets"], volume["bytes"]) for name, volume in summary[way].items()
                  if volume["packets"] or volume["bytes"]} for way in ("received", "sent"))


@contextlib.contextmanager
def sysctl(file, value):
    """A setting of the kernel that is put back."""
    before = file.read_text(encoding="ascii")
    file.write_text(f"{value}\n", encoding="ascii")
    yield
    file.write_text(before, encoding="ascii")


def as_user(program, *capabilities):
    """A command of a user who may do that and no more."""
    listed = ",".join(("-all", *(f"+{name}" for name in capabilities)))
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", f"--inh-caps={listed}",
            f"--ambient-caps={listed}", program]


# count.


def test_count_by_protocol(quiet_link, counting):
    """Each frame is sent at one end and received at the other: of what kind it is, and how long."""
    near, far = counting(quiet_link.near), counting(quiet_link.far)
    # What settling sends.
    expected = {UDP: [1, 36]}
    with quiet_link.near.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("veth0", 0))
        for data, kind in FRAMES.values():
            raw.send(data)
            packets, size = expected.get(kind, (0, 0))
            tags = 4 * (data.count(struct.pack(">H", VLAN), 12, 14) + data.count(b"\x88\xa8\x81\0", 12, 16))
            expected[kind] = [packets + 1, size + len(data) - 14 - tags]
    quiet_link.settle()
    received, there = stop(near)
    here, sent = stop(far)
    print(expected, received, there, here, sent)
    assert received == sent == {UDP: (1, 36)}
    assert there == {kind: tuple(volume) for kind, volume in expected.items()}


@pytest.mark.parametrize("name", FRAMES)
def test_count_kinds(name, quiet_link, counting):
    """One"""
    near, far = counting(quiet_link.near), counting(quiet_link.far)
    with quiet_link.near.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("veth0", 0))
        raw.send(FRAMES[name][0])
    r = stop(near)[1], stop(far)[0]
    print(r)
    assert all(list(x) == [FRAMES[name][1]] for x in r)
