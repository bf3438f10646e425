# SPDX-License-Identifier: GPL-2.0

"""The example rate_limit: the rate at which ICMP passes, and its counters."""

import socket
import time

from netlink import attributes, pack
from network import icmp

# These numbers are those of rate_limit.h and rate_limit.rs.
PROTOCOL = 24
GET, COUNTS = 16, 17
PASSED, DROPPED = 1, 2
RATE, BURST = 10, 5

# An echo reply without a request. No host answers it.
ECHO_REPLY = icmp(0, rest=b"\xab\xcd\0\1")


def counts(client):
    """Returns the number of packets that passed, and the number of packets that were dropped."""
    client.send(pack(GET, seq=7))
    answer = client.receive()
    assert (answer.kind, answer.seq) == (COUNTS, 7)
    found = {kind: int.from_bytes(value, "little") for kind, value in attributes(answer.payload).items()}
    assert found.keys() == {PASSED, DROPPED}
    return found[PASSED], found[DROPPED]


def send(path, number):
    """Sends `number` ICMP packets over a path. Returns how many seconds this took."""
    start = time.monotonic()
    with path.near.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        for _ in range(number):
            raw.sendto(ECHO_REPLY, (path.far_address, 0))
        path.settle()
    return time.monotonic() - start


def test_icmp_beyond_the_rate_is_dropped_and_counted(example, loopback):
    example("rate_limit")
    with loopback.near.client(PROTOCOL) as client:
        # Until now only UDP packets have passed, which the module does not count.
        loopback.settle()
        assert counts(client) == (0, 0)
        took = send(loopback, 200)
        passed, dropped = counts(client)
        assert passed + dropped == 200
        assert BURST <= passed <= BURST + took * RATE + 1, f"in {took} s"
        # After a pause, a whole burst passes again.
        time.sleep(BURST / RATE + 0.05)
        send(loopback, BURST)
        assert counts(client) == (passed + BURST, dropped)


def test_limits_of_namespaces_are_their_own(example, loopback, namespaces):
    example("rate_limit")
    send(loopback, 50)
    with namespaces().client(PROTOCOL) as client:
        assert counts(client) == (0, 0)


def test_loads_beside_the_other_modules(example, load, loopback):
    """Each module contains net/. The modules share no code or data, so they can be loaded together."""
    load()
    example("rate_limit")
    example("gate")
    with loopback.near.client(PROTOCOL) as client, loopback.near.client() as other:
        assert other.echo(b"hello").payload == b"hello"
        send(loopback, 3)
        assert counts(client) == (3, 0)
