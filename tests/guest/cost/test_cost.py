# SPDX-License-Identifier: GPL-2.0

"""Requests of the control plane must not slow packets. The clock counts instructions (--icount)."""

import contextlib
import gc
import os
import socket
import statistics
import struct
import time

import pytest

from control import Control
from network import ICMP_FILTER, SOL_RAW, icmp
from workers import Worker

PACKETS = 2000
ROUNDS = 5


def _udp():
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(receiver.getsockname())
    return sender, receiver, b"x" * 64


def _ping():
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    raw.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", ~1 & 0xFFFFFFFF))
    raw.connect(("127.0.0.1", 0))
    return raw, raw, icmp(8, data=b"x" * 56)


def cost(sender, receiver, packet):
    """Returns the cost of a packet from send to receive, through all hooks. It is the median of many packets,
    so the few packets that an interrupt delays have no effect."""
    send, receive, now = sender.send, receiver.recv, time.monotonic_ns
    times = []
    for _ in range(PACKETS):
        start = now()
        send(packet)
        receive(200)
        times.append(now() - start)
    return statistics.median(times)


def _keep_doing(something):
    with Control() as control:
        while True:
            something(control)


@contextlib.contextmanager
def beside(something):
    """Repeats a function in another process, which shares the CPU with the test."""
    worker = Worker(_keep_doing, something)
    try:
        yield
    finally:
        worker.kill()


@pytest.fixture
def uncollected():
    """Switches Python's garbage collector off, because it would run during some packets."""
    gc.disable()
    yield
    gc.enable()


BESIDE = {"work": lambda _: os.getppid(), "totals": Control.stats, "dumps": Control.per_cpu}


@pytest.mark.parametrize("path", [_udp, _ping], ids=["udp", "ping"])
def test_reading_statistics_costs_packets_nothing(load, uncollected, path):
    """A packet costs the same whether another process reads statistics without a pause or does other work."""
    load(hooks=31)
    sender, receiver, packet = path()
    cost(sender, receiver, packet)
    costs, reads = {name: [] for name in BESIDE}, dict.fromkeys(BESIDE, 0)
    with Control() as control:
        for _ in range(ROUNDS):
            for name, something in BESIDE.items():
                with beside(something):
                    before = control.stats()["messages"]
                    costs[name].append(cost(sender, receiver, packet))
                    reads[name] += control.stats()["messages"] - before - 1
    sender.close()
    receiver.close()
    median = {name: statistics.median(values) for name, values in costs.items()}
    print(f"ns a packet, instructions counted: {median}; readings: {reads}")
    assert reads["work"] == 0 and min(reads["totals"], reads["dumps"]) > 10 * ROUNDS
    for name in ("totals", "dumps"):
        assert median[name] < 1.005 * median["work"], (median, reads)
