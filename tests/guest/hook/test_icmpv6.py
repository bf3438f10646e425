# SPDX-License-Identifier: GPL-2.0

"""An IPv6 network needs neighbour discovery, multicast listener discovery and path MTU discovery. These three
must work while the module queues ICMPv6.

By default the module queues only echo messages, so all other ICMPv6 messages pass. These tests have hooks at
every point and no bypass: a packet that is queued and gets no verdict is lost.
"""

import contextlib
import select
import socket
import struct

import pytest

from control import ALL_TYPES, Control
from netlink import DEADLINE, wait_until
from network import run
from nfqueue import Listener

HOP_BY_HOP, ICMPV6 = 0, 58
ECHO_REQUEST, LISTENER_REPORT = 128, 143
IPV6_MTU, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO = 24, 23, 2
NEAR, ROUTER_NEAR, ROUTER_FAR, FAR = "fd00:1::1", "fd00:1::fe", "fd00:2::fe", "fd00:2::1"
GROUP = "ff15::1234"
NARROW = 1280


class Network:
    """Two hosts and a router. The link after the router takes only small packets."""

    def __init__(self, namespaces):
        self.near, self.router, self.far = self.all = [namespaces() for _ in range(3)]
        for end, name, host, via in ((self.near, "near0", NEAR, ROUTER_NEAR),
                                     (self.far, "far0", FAR, ROUTER_FAR)):
            self.router.ip(
                f"link add {name} type veth peer name veth0 netns {end.path}",
                f"address add {via}/64 dev {name} nodad",
                f"link set {name} up",
            )
            end.ip(
                f"address add {host}/64 dev veth0 nodad",
                "link set veth0 up",
                f"route add default via {via}",
            )
            self.router.await_carrier(name)
            end.await_carrier("veth0")
        self.router.sysctl("ipv6/conf/all/forwarding", 1)
        self.router.ip(f"link set far0 mtu {NARROW}")

    def forget_neighbours(self):
        for namespace in self.all:
            with namespace:
                run("ip", "-6", "neighbour", "flush", "all")

    def neighbours(self):
        """Returns the neighbours that the near host knows, as text."""
        with self.near:
            return run("ip", "-6", "neighbour", "show")

    def datagram_arrives(self):
        """Whether a datagram gets from the near host to the far host. For this, every host must discover its
        neighbour."""
        with self.near.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender, \
                self.far.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
            receiver.bind((FAR, 0))

            def arrives():
                sender.sendto(b"hello", receiver.getsockname()[:2])
                return select.select([receiver], [], [], 0.2)[0]

            # If a neighbour has not answered for three seconds, the host drops the datagram, so the test
            # sends another one.
            wait_until(arrives)
            return receiver.recv(64) == b"hello"

    def group_is_reported(self):
        """Whether the router receives the report that a host has joined a group."""
        with self.router.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD)) as heard, \
                self.near.socket(socket.AF_INET6, socket.SOCK_DGRAM) as member:
            heard.bind(("near0", 0x86DD))
            heard.settimeout(DEADLINE)
            with self.near:
                index = socket.if_nametoindex("veth0")
            group = socket.inet_pton(socket.AF_INET6, GROUP)
            member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                              group + struct.pack("=I", index))
            while True:
                packet = heard.recv(2000)
                # In the packet, the report comes after a hop-by-hop header with a router alert.
                if (packet[6], packet[40], packet[48]) == (HOP_BY_HOP, ICMPV6, LISTENER_REPORT) \
                        and group in packet:
                    return True

    def path_mtu_is_found(self):
        """Whether the sender learns the path MTU from the router's message."""
        with self.near.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO)
            sender.connect((FAR, 9))
            assert sender.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU) > NARROW
            sender.send(bytes(1400))
            wait_until(lambda: sender.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU) == NARROW)
            return True

    def ping(self):
        """Sends an echo request."""
        with self.near.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
            raw.sendto(struct.pack(">BBHHH", ECHO_REQUEST, 0, 0, 1, 1), (FAR, 0))


@pytest.fixture
def network(load, namespaces):
    load(hooks=31, bypass=0)
    return Network(namespaces)


@contextlib.contextmanager
def nobody(_network):
    yield


@contextlib.contextmanager
def silent(network):
    """Binds a listener in every namespace. The listeners never send a verdict."""
    with contextlib.ExitStack() as stack:
        for namespace in network.all:
            with namespace:
                stack.enter_context(Listener())
        network.ping()
        yield


@contextlib.contextmanager
def dead(network):
    """Binds listeners that end without a verdict. Then the kernel drops the packets in their queues."""
    with silent(network):
        pass
    yield


@pytest.mark.parametrize("listening", [nobody, silent, dead])
def test_network_works(network, listening):
    """Bug: a queue for ICMPv6 breaks neighbour discovery, multicast reports or path MTU discovery."""
    with listening(network):
        network.forget_neighbours()
        assert network.datagram_arrives()
        assert network.group_is_reported()
        assert network.path_mtu_is_found()


def test_queueing_all_types_takes_the_network_down(network):
    """If all types are queued, the network fails. By default the module queues only echo messages, which
    prevents this failure. This test also shows that the tests above would notice such a failure."""
    network.forget_neighbours()
    with network.near, Control() as control:
        control.set(ipv6=ALL_TYPES)
    with network.near.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", (FAR, 9))
        wait_until(lambda: "FAILED" in network.neighbours())
    with network.near, Control() as control:
        control.set(ipv6={ECHO_REQUEST})
    assert network.datagram_arrives()
