# SPDX-License-Identifier: GPL-2.0

"""The example gate: a rule that changes while packets pass."""

import errno
import os
import socket
import struct

import pytest

from control import Refused
from netlink import (
    NETLINK_EXT_ACK,
    NLM_F_ACK,
    NLM_F_REQUEST,
    SO_RCVBUFFORCE,
    Client,
    ack,
    attribute,
    attributes,
    pack,
)
from users import NOBODY

pytestmark = pytest.mark.all_cpus

# These numbers are those of gate.rs.
PROTOCOL = 25
SET, GET, RULE = 16, 17, 18
DEVICE, SOURCE = 1, 2

LO = 1
ROUNDS, PACKETS = 10, 200


def change(client, payload):
    client.send(pack(SET, payload, flags=NLM_F_REQUEST | NLM_F_ACK))
    answer = ack(client.receive())
    if answer.errno:
        raise Refused(answer)


def rule(device, source):
    return attribute(DEVICE, struct.pack("=i", device)) + attribute(SOURCE, socket.inet_aton(source))


@pytest.fixture
def gate(example, loopback):
    """Loads the example. Returns a client in a namespace with the addresses of 127.0.0.0/8."""
    example("gate")
    with loopback.near.client(PROTOCOL) as client:
        client.option(NETLINK_EXT_ACK)
        yield client


@pytest.fixture
def udp(loopback):
    """Sends packets from one address to another over lo. Returns the number of packets that arrived."""
    with loopback.near.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)

        def udp(source, number=1):
            with loopback.near.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((source, 0))
                for _ in range(number):
                    sender.sendto(b"x", receiver.getsockname())
            loopback.settle()
            receiver.setblocking(False)
            arrived = 0
            while True:
                try:
                    receiver.recv(8)
                except BlockingIOError:
                    return arrived
                arrived += 1

        yield udp


def test_rule_says_what_is_dropped(gate, udp):
    assert udp("127.0.0.2") == 1
    change(gate, rule(LO, "127.0.0.2"))
    assert (udp("127.0.0.2"), udp("127.0.0.3")) == (0, 1)
    change(gate, rule(LO + 1, "127.0.0.2"))
    assert udp("127.0.0.2") == 1


def test_rule_is_told_as_it_was_set(gate):
    change(gate, rule(3, "192.0.2.7"))
    gate.send(pack(GET, seq=5))
    answer = gate.receive()
    assert (answer.kind, answer.seq) == (RULE, 5)
    assert attributes(answer.payload) == attributes(rule(3, "192.0.2.7"))


def test_packets_never_meet_half_of_a_rule(gate, udp, start, stop, loopback):
    """The gate's rule changes between two rules, and neither rule drops the packets. A mixture with the
    device of the first rule and the address of the second rule would drop them."""
    def keep_changing():
        os.sched_setaffinity(0, range(os.cpu_count()))
        changes = 0
        with loopback.near, Client(PROTOCOL) as client:
            while not stop.is_set():
                change(client, rule(LO, "127.0.0.2"))
                change(client, rule(LO + 1, "127.0.0.3"))
                changes += 2
        return changes

    worker = start(keep_changing)
    for _ in range(ROUNDS):
        assert udp("127.0.0.3", PACKETS) == PACKETS
    stop.set()
    assert int(worker.result()) > 2 * ROUNDS


@pytest.mark.parametrize("payload, code", [
    (b"", errno.EINVAL),
    (attribute(DEVICE, struct.pack("=i", 1)), errno.EINVAL),
    (rule(-1, "127.0.0.1"), errno.ERANGE),
])
def test_rules_that_are_none_are_refused(gate, payload, code):
    with pytest.raises(Refused) as refused:
        change(gate, payload)
    assert refused.value.errno == code and refused.value.text


def test_users_may_look_and_not_change(gate):
    os.seteuid(NOBODY)
    try:
        gate.send(pack(GET))
        assert gate.receive().kind == RULE
        with pytest.raises(Refused) as refused:
            change(gate, rule(LO, "127.0.0.1"))
    finally:
        os.seteuid(0)
    assert refused.value.errno == errno.EPERM
