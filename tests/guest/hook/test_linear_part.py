# SPDX-License-Identifier: GPL-2.0

"""Packets whose IP header is not in the linear part of their buffer."""

import contextlib
import mmap
import socket
import struct
from pathlib import Path

import pytest

from control import Control
from netlink import wait_until
from network import await_carrier, icmp, ipv4, run
from users import NOBODY, become, enter_new_namespaces
from workers import Worker

PACKET_VERSION, PACKET_TX_RING, TPACKET_V2 = 10, 13, 1
SOL_PACKET = 263
TP_STATUS_SEND_REQUEST = 1
# PACKET_AT is the offset of the packet in the ring, behind struct tpacket2_hdr (TPACKET2_HDRLEN less a
# struct sockaddr_ll).
RING_SIZE, PACKET_AT = 16384, 32

SOURCE, DESTINATION = "10.9.9.1", "10.9.9.2"
XFRM = (
    "link add v0 type veth peer name v1",
    "link set v0 up",
    "link set v1 up",
    "address add 192.0.2.1/24 dev v0",
    "neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev v0",
    "link add x0 type xfrm dev v0 if_id 42",
    "link set x0 up",
    f"address add {SOURCE}/24 dev x0",
    "xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 256 reqid 1 mode tunnel if_id 42"
    " aead rfc4106(gcm(aes)) 0x" + "00" * 20 + " 128",
    "xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir out if_id 42"
    " tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 1 mode tunnel",
)


@pytest.fixture(scope="module", autouse=True)
def _ipsec():
    run("modprobe", "-a", "xfrm_interface", "xfrm_user", "esp4", "gcm", "ctr", "seqiv")


def sent_by(device):
    """Returns the number of packets that the device has sent."""
    lines = Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines()
    counters = next(line for line in lines if line.split()[0] == f"{device}:").split()
    return int(counters[10])


def send_linear(packet):
    """Sends a packet that is wholly in the linear part."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(packet, (DESTINATION, 0))


def send_by_ring(packet):
    """Sends a packet whose linear part is empty. Its bytes stay in the pages of the socket's ring."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sender:
        sender.bind(("x0", 0x0800))
        sender.setsockopt(SOL_PACKET, PACKET_VERSION, struct.pack("=i", TPACKET_V2))
        sender.setsockopt(SOL_PACKET, PACKET_TX_RING,
                          struct.pack("=IIII", RING_SIZE, 1, RING_SIZE, 1))
        with mmap.mmap(sender.fileno(), RING_SIZE) as ring:
            ring[PACKET_AT:PACKET_AT + len(packet)] = packet
            struct.pack_into("=II", ring, 4, len(packet), len(packet))
            struct.pack_into("=I", ring, 0, TP_STATUS_SEND_REQUEST)
            sender.send(b"")


def _as_a_user(send):
    """Sends an ICMP packet and a UDP packet through an xfrm interface over the device v0. Returns for each
    packet how many packets the hook saw, and how many packets v0 sent."""
    become(NOBODY)
    enter_new_namespaces()
    # Without IPv6, v0 sends only the test's own packets.
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", encoding="ascii")
    run("ip", "-batch", "-", input="\n".join(XFRM) + "\n")
    await_carrier("v0")
    udp = struct.pack(">HHHH", 9, 9, 8, 0)
    found = {}
    with Control() as control:
        for name, payload, protocol in (("icmp", icmp(8, data=bytes(56)), socket.IPPROTO_ICMP),
                                        ("udp", udp, socket.IPPROTO_UDP)):
            seen, sent = control.stats()["ipv4"]["seen"], sent_by("v0")
            # If the packet is dropped, some senders get an error.
            with contextlib.suppress(PermissionError):
                send(ipv4(SOURCE, DESTINATION, payload, protocol=protocol))
            if name == "udp":
                wait_until(lambda: sent_by("v0") > sent)
            found[name] = control.stats()["ipv4"]["seen"] - seen, sent_by("v0") - sent
    return found


@pytest.mark.parametrize("send", [send_linear, send_by_ring])
def test_packet_is_seen_wherever_its_header_is(load, send):
    """Bug: the hook expects the IP header in the linear part. Then the hook does not queue an ICMP packet,
    or it reads bytes outside of the packet.

    The hook queues all ICMP packets, and the kernel drops them because the queue has no listener. Device v0
    sends the other packets.
    """
    load(hooks=1 << 4, bypass=0)
    worker = Worker(_as_a_user, send)
    assert worker.result() == repr({"icmp": (1, 0), "udp": (0, 1)})
