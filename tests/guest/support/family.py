# SPDX-License-Identifier: GPL-2.0

"""Pings of IPv4 and IPv6, for tests that do the same with both families."""

import select
import socket
import struct
from typing import NamedTuple

from netlink import DEADLINE
from network import ICMP_FILTER, SOL_RAW, icmp

ICMPV6_FILTER = 1


class Family(NamedTuple):
    """The values that differ between IPv4 and IPv6."""

    name: str
    number: int
    protocol: int
    request: int
    reply: int

    def __str__(self):
        return self.name

    def ends(self, path):
        """Returns the addresses of the near end and of the far end of a path through a router."""
        if self.name == "ipv4":
            return path.near_address, path.far_address
        return path.near_address6, path.far_address6


FAMILIES = IPV4, IPV6 = (Family("ipv4", socket.AF_INET, socket.IPPROTO_ICMP, 8, 0),
                         Family("ipv6", socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129))


class Echo:
    """Sends echo requests from the near end of a path to its far end, and receives the replies."""

    def __init__(self, family, path):
        self._family, (_, self._destination) = family, family.ends(path)
        self.socket = path.near.socket(family.number, socket.SOCK_RAW, family.protocol)
        # The filter lets only echo replies reach the socket.
        if family.name == "ipv4":
            self.socket.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", ~1 & 0xFFFFFFFF))
        else:
            self.socket.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, struct.pack(
                "=8I", *(0xFFFFFFFF & ~((word == 4) << family.reply % 32) for word in range(8))))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data=b""):
        """Sends a request. For ICMPv6, the kernel writes the checksum."""
        self.socket.sendto(icmp(self._family.request, data=data), (self._destination, 0))

    def waiting(self, timeout=0):
        """Whether a reply has arrived."""
        return bool(select.select([self.socket], [], [], timeout)[0])

    def reply(self):
        """Waits for the next reply, and returns its data."""
        assert self.waiting(DEADLINE), "no echo reply"
        packet = self.socket.recv(1 << 17)
        # A raw socket of IPv4 also receives the IP header.
        return packet[28:] if self._family.name == "ipv4" else packet[8:]
