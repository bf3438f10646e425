# SPDX-License-Identifier: GPL-2.0

"""Statistics: the counts are exact, and dumps are complete."""

import errno
import os
import signal
import socket
import struct
from pathlib import Path

import pytest

import module as modules
import netlink
from control import ALL_TYPES, Control, Monitor, Refused, decode_stats, difference, encode, total
from netlink import (
    ECHO,
    HELLO,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_MULTI,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    Client,
    pack,
)
from network import ICMP_ECHO_REQUEST, Namespace, icmp, ipv4, ipv6
from uapi import NLDEMO_MSG_CONFIG_SET, NLDEMO_MSG_STATS, NLDEMO_MSG_STATS_GET

SO_MARK = 36
UNKNOWN = 0xFFF0
NOBODY = 65534
NOTHING = {"seen": 0, "matched": 0, "skipped": 0, "queued": 0, "unparsable": 0}
# The amounts by which one request for the statistics raises the counters.
READING = {"messages": 1, "bytes": 16, "acks": 1, "errors": 0, "refused": 0}
MORE_FRAGMENTS = 0x2000


@pytest.fixture
def control(module, loopback):
    with loopback.near, Control() as control:
        yield control


@pytest.fixture
def counted(control):
    """Calls a function, and returns how much the counters have risen meanwhile. The request for the
    statistics itself is left out."""
    def counted(something, *arguments):
        before = control.stats()
        something(*arguments)
        counts = difference(before, control.stats())
        return {name: count - READING[name] if name in READING else count
                for name, count in counts.items()}

    return counted


def possible_cpus():
    """The CPUs that the machine can have."""
    cpus = []
    for part in Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii").split(","):
        first, _, last = part.strip().partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return cpus


# Counters of messages.


def test_starts_from_zero(module, namespaces):
    """The counters of each namespace start from zero."""
    with namespaces(), Control() as control:
        nothing = {"messages": 0, "bytes": 0, "acks": 0, "errors": 0, "refused": 0,
                   "ipv4": NOTHING, "ipv6": NOTHING, "hooked": 1}
        assert control.stats() == nothing
        assert control.stats() == {**nothing, **READING}
        with namespaces(), Control() as other:
            assert other.stats() == nothing


@pytest.mark.parametrize("messages, expected", [
    ([], {}),
    ([pack(ECHO, b"12345")], {"messages": 1, "bytes": 21}),
    ([pack(ECHO, b"12345", flags=NLM_F_REQUEST | NLM_F_ACK)],
     {"messages": 1, "bytes": 21, "acks": 1}),
    ([pack(ECHO, b"x" * 1000) * 50], {"messages": 50, "bytes": 50 * 1016}),
    ([pack(HELLO, b"hello", flags=0)], {"messages": 1, "bytes": 21}),
    ([pack(NLMSG_NOOP, flags=NLM_F_ACK)], {"messages": 1, "bytes": 16, "acks": 1}),
    ([pack(UNKNOWN, b"1234")], {"messages": 1, "bytes": 20, "errors": 1}),
    ([pack(NLDEMO_MSG_CONFIG_SET, encode("queues", 0), flags=NLM_F_REQUEST | NLM_F_ACK)],
     {"messages": 1, "bytes": 24, "errors": 1}),
    ([pack(NLDEMO_MSG_CONFIG_SET, encode("queue", 1))], {"messages": 1, "bytes": 24}),
    ([pack(NLDEMO_MSG_STATS_GET, flags=NLM_F_REQUEST | NLM_F_DUMP)], {"messages": 1, "bytes": 16}),
    # Messages that are neither served nor answered are not counted.
    ([pack(NLMSG_NOOP), pack(ECHO, b"no request", flags=0), pack(NLMSG_ERROR, bytes(20)),
      pack(ECHO, b"short", length=8), b"\xff" * 15], {}),
])
def test_messages_are_counted(counted, messages, expected):
    """Messages that were served or answered are counted, with their length."""
    def send():
        with Client() as client:
            for message in messages:
                client.send(message)

    nothing = dict.fromkeys(READING, 0)
    assert counted(send) == {**nothing, "ipv4": NOTHING, "ipv6": NOTHING, **expected}


def test_refusals_for_lack_of_rights_are_counted_apart(counted, control, start):
    """Requests that are refused for lack of a capability are not counted as errors."""
    def ask():
        os.setresuid(NOBODY, NOBODY, NOBODY)
        with Control() as client:
            for payload in (encode("queue", 1), encode("queues", 0)):
                with pytest.raises(Refused):
                    client.set_raw(payload)

    counts = counted(lambda: start(ask).result())
    assert (counts["messages"], counts["refused"], counts["errors"], counts["acks"]) == (2, 2, 0, 0)


# Counters of packets.


def ping(path, count=3):
    with path.pinger() as pinger:
        for seq in range(count):
            pinger.ping(seq)


def test_packets_are_counted(counted, control, loopback):
    """ICMP requests and replies are counted as seen, whether the module queues their types or not. Packets of
    other protocols are not counted."""
    counts = counted(ping, loopback)
    assert counts["ipv4"] == {**NOTHING, "seen": 6, "matched": 6, "queued": 6}
    assert counts["ipv6"] == NOTHING
    control.set(ipv4={ICMP_ECHO_REQUEST})
    assert counted(ping, loopback)["ipv4"] == {**NOTHING, "seen": 6, "matched": 3, "queued": 3}
    control.set(ipv4={13})
    assert counted(ping, loopback)["ipv4"] == {**NOTHING, "seen": 6}
    # If no type is queued, there is no hook, so no packet is counted.
    control.set(ipv4=set())
    assert counted(ping, loopback)["ipv4"] == NOTHING
    # UDP is not counted.
    control.set(ipv4=ALL_TYPES)
    assert counted(loopback.settle)["ipv4"] == NOTHING
    # Each hook point that a packet passes counts the packet.
    control.set(hooks=31)
    assert counted(ping, loopback)["ipv4"]["seen"] == 3 * 8


def test_skipped_packets_are_counted(counted, control, loopback):
    """Packets with the skip mark are counted as matched and skipped, but not as queued."""
    def ping_marked():
        with loopback.pinger() as pinger:
            for seq, mark in enumerate((5, 6, 0, 5)):
                pinger.socket.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
                pinger.ping(seq)

    control.set(skip_mark=5, hooks=1 << 3, ipv4={ICMP_ECHO_REQUEST})
    assert counted(ping_marked)["ipv4"] == {
        **NOTHING, "seen": 8, "matched": 4, "skipped": 2, "queued": 2}


def test_unparsable_packets_are_counted(counted, control, inject):
    """An unparsable packet is not counted as matched or queued, whatever types are queued. IPv6 has its own
    counters."""
    whole4, whole6 = icmp(ICMP_ECHO_REQUEST), struct.pack(">BBHHH", 128, 0, 0, 1, 1)

    def counted4(message, **header):
        counts = counted(inject, "ipv4", [ipv4("127.0.0.1", "127.0.0.1", message, **header)])
        assert counts["ipv6"] == NOTHING
        return counts["ipv4"]

    # All types except echo reply (0) are queued. The test sends an echo reply as a packet that is not queued,
    # because hosts do not answer it.
    control.set(ipv4=ALL_TYPES - {0}, ipv6={128})
    for size in range(8):
        assert counted4(whole4[:size]) == {**NOTHING, "seen": 1, "unparsable": 1}, size
    # A later fragment has no ICMP header, so it is not counted. A first fragment has an ICMP header.
    assert counted4(whole4, fragment=1) == NOTHING
    assert counted4(icmp(0), fragment=MORE_FRAGMENTS) == {**NOTHING, "seen": 1}
    assert counted4(icmp(3)) == {**NOTHING, "seen": 1, "matched": 1, "queued": 1}
    for size in range(8):
        counts = counted(inject, "ipv6", [ipv6("::1", "::1", whole6[:size])])
        assert counts["ipv6"] == {**NOTHING, "seen": 1, "unparsable": 1}, size
        assert counts["ipv4"] == NOTHING
    counts = counted(inject, "ipv6", [ipv6("::1", "::1", struct.pack(">BBHHH", 200, 0, 0, 1, 1))])
    assert (counts["ipv4"], counts["ipv6"]) == (NOTHING, {**NOTHING, "seen": 1})


# Counters of each CPU.


def test_dump_has_every_cpu_once(control):
    """The dump has one message for each CPU that the machine can have, in order. No message has the flag
    NLM_F_DUMP_INTR."""
    control.start_dump()
    answers = control.answers()
    assert {(answer.kind, answer.flags) for answer in answers} == {(NLDEMO_MSG_STATS, NLM_F_MULTI)}
    assert control.done.flags == NLM_F_MULTI
    assert [decode_stats(answer.payload)["cpu"] for answer in answers] == possible_cpus()
    assert not control.waiting()


def test_rows_add_up_to_the_totals(counted, control, loopback):
    """While there is no traffic, the counts of all CPUs add up to the totals."""
    ping(loopback, 20)
    rows = control.per_cpu()
    totals = control.stats()
    summed = total(rows)
    assert (summed["ipv4"], summed["ipv6"]) == (totals["ipv4"], totals["ipv6"])
    # The request for a dump is counted only after the dump has ended.
    assert (summed["messages"] + 1, summed["bytes"] + 16) == (totals["messages"], totals["bytes"])
    assert summed["acks"] == totals["acks"]


@pytest.mark.all_cpus
def test_each_cpu_counts_for_itself(control, loopback):
    """A packet is counted on the CPU that handles it, a message on the CPU on which its sender runs."""
    for cpu in range(os.cpu_count()):
        # The fixture `loopback` has pinned the test to one CPU. Here the test moves to each CPU.
        os.sched_setaffinity(0, {cpu})
        before = control.per_cpu()
        ping(loopback)
        with Client() as client:
            client.echo(b"")
        after = control.per_cpu()
        moved = {row["cpu"]: difference(old, row) for old, row in zip(before, after)}
        assert moved[cpu]["ipv4"]["queued"] == 6
        # One message is the echo, the other one is the request for the dump `before`.
        assert moved[cpu]["messages"] == 2
        for other in set(moved) - {cpu}:
            assert moved[other]["ipv4"] == NOTHING and moved[other]["messages"] == 0


def test_counts_of_many_at_once(counted, control, loopback, start):
    """Bug: a counter loses an addition, if two CPUs add at the same time, or if an interrupt comes during an
    addition."""
    def work(pinger):
        os.sched_setaffinity(0, range(os.cpu_count()))
        with loopback.near, Client() as client:
            for seq in range(100):
                pinger.ping(seq)
                client.echo(b"")

    def all_work():
        pingers = [loopback.pinger() for _ in range(4)]
        for worker in [start(work, pinger) for pinger in pingers]:
            worker.result()
        for pinger in pingers:
            pinger.close()

    counts = counted(all_work)
    assert counts["ipv4"] == {**NOTHING, "seen": 800, "matched": 800, "queued": 800}
    assert (counts["messages"], counts["bytes"]) == (400, 6400)


# Dumps that stop in the middle.


@pytest.fixture
def waiting_dump(module):
    """Starts a dump that must wait: unread replies fill the receive buffer, except for some short
    messages."""
    opened = []

    def waiting_dump():
        control = Control(buffers=16 << 10)
        opened.append(control)
        while control.room() > 4000:
            control.send(pack(ECHO, b"", seq=77))
        control.start_dump()
        return control

    yield waiting_dump
    for control in opened:
        control.close()


def test_dump_goes_on_when_there_is_room(waiting_dump):
    """When the client reads, the dump continues to its end. But first the client gets the error ENOBUFS, as
    from every netlink dump whose first part has no room in the receive buffer."""
    control = waiting_dump()
    messages = []
    while not messages or messages[-1].kind != NLMSG_DONE:
        messages.append(control.receive())
    kinds = [message.kind for message in messages if message.kind != ECHO]
    assert kinds == [NLMSG_ERROR] + [NLDEMO_MSG_STATS] * len(possible_cpus()) + [NLMSG_DONE]
    (refused,) = (netlink.ack(message) for message in messages if message.kind == NLMSG_ERROR)
    assert refused.errno == errno.ENOBUFS
    assert not any(message.flags & NLM_F_DUMP_INTR for message in messages)
    assert [row["cpu"] for row in control.per_cpu()] == possible_cpus()


def test_second_dump_on_a_socket_is_refused_while_one_runs(waiting_dump):
    """A second dump on the same socket gets the error EBUSY, and the first dump continues. Each socket can
    have a dump of its own."""
    control = waiting_dump()
    control.send(pack(NLDEMO_MSG_STATS_GET, flags=NLM_F_REQUEST | NLM_F_DUMP, seq=99))
    with Control() as other:
        assert len(other.per_cpu()) == len(possible_cpus())
    messages = []
    while not messages or messages[-1].kind != NLMSG_DONE:
        messages.append(control.receive())
    acks = [netlink.ack(message) for message in messages if message.kind == NLMSG_ERROR]
    assert [ack.errno for ack in acks] == [errno.ENOBUFS, errno.EBUSY] and acks[1].seq == 99
    assert sum(message.kind == NLDEMO_MSG_STATS for message in messages) == len(possible_cpus())


def test_reader_that_closes_in_the_middle(waiting_dump):
    """Bug: when the reader closes its socket, the references that its dump holds are not released. Or the
    module is unloaded while a dump needs it."""
    for _ in range(10):
        waiting_dump().close()
    control = waiting_dump()
    with pytest.raises(BlockingIOError):
        modules.remove()
    control.close()
    modules.remove_when_unused()


def test_reader_that_is_killed_in_the_middle(waiting_dump, start, stop):
    """Bug: when the reader is killed, the kernel closes its socket, but the references that its dump holds
    are not released."""
    def work():
        waiting_dump()
        stop.set()
        signal.pause()

    worker = start(work)
    netlink.wait_until(stop.is_set)
    worker.kill()
    modules.remove_when_unused()


def test_dump_in_a_namespace_that_nobody_else_has(waiting_dump):
    """The socket keeps its namespace alive, whether the dump is read to its end or not."""
    for reads in (True, False):
        with Monitor() as monitor:
            mortal = Namespace()
            with mortal:
                control = waiting_dump()
            mortal.close()
            if reads:
                while control.receive().kind != NLMSG_DONE:
                    pass
                assert len(control.per_cpu()) == len(possible_cpus())
            assert not monitor.waiting()
            control.close()
            assert monitor.event()[0] == "netns"
