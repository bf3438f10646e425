# SPDX-License-Identifier: GPL-2.0

"""The effects of configuration changes on packets."""

import ast
import collections
import contextlib
import errno
import itertools
import os
import select
import socket
import struct
import time

import pytest

import flood
import module as modules
from control import ALL_TYPES, Control, Refused, difference, encode_all, total
from netlink import SLOW, Client, pack, wait_until
from network import ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, Pinger, crowd, icmp
from nfqueue import (
    ACCEPT,
    DROP,
    LOCAL_IN,
    LOCAL_OUT,
    POST_ROUTING,
    PRE_ROUTING,
    REPEAT,
    Listener,
)
from uapi import NLDEMO_MSG_CONFIG_SET
from workers import Stop

SO_MARK = 36
ICMP6_FILTER = 1
ICMPV6_ECHO_REQUEST, ICMPV6_ECHO_REPLY = 128, 129
POINTS = ["prerouting", "input", "forward", "output", "postrouting"]


@pytest.fixture
def control(module, loopback):
    """A client of the control plane, in the namespace of the test's packets."""
    with loopback.near, Control() as control:
        yield control


@pytest.fixture
def listen(loopback):
    """Binds listeners to queues, in the namespace of the test's packets."""
    with contextlib.ExitStack() as stack:
        def listen(queue=0):
            with loopback.near:
                return stack.enter_context(Listener(queue))

        yield listen


@pytest.fixture
def pinger(loopback):
    with loopback.pinger() as pinger:
        yield pinger


class Pinger6:
    """Sends IPv6 echo requests from a namespace to itself, over ::1."""

    def __init__(self, namespace):
        self.socket = namespace.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        only_replies = [0xFFFFFFFF] * 8
        only_replies[ICMPV6_ECHO_REPLY // 32] &= ~(1 << ICMPV6_ECHO_REPLY % 32)
        self.socket.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER,
                               struct.pack("=8I", *only_replies))
        self.socket.connect(("::1", 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, seq=1):
        # The kernel fills in the checksum.
        self.socket.send(struct.pack(">BBHHH", ICMPV6_ECHO_REQUEST, 0, 0, 1, seq))

    def replies(self):
        found = []
        while select.select([self.socket], [], [], 0)[0]:
            found.append(struct.unpack_from(">H", self.socket.recv(100), 6)[0])
        return found


@pytest.fixture
def pinger6(loopback):
    with Pinger6(loopback.near) as pinger:
        yield pinger


def kinds(packets):
    """Returns the IP version and the ICMP type of each packet."""
    return [(4, packet.payload[(packet.payload[0] & 0xF) * 4]) if packet.payload[0] >> 4 == 4
            else (6, packet.payload[40]) for packet in packets]


REQUEST, REPLY = (4, ICMP_ECHO_REQUEST), (4, ICMP_ECHO_REPLY)
REQUEST6, REPLY6 = (6, ICMPV6_ECHO_REQUEST), (6, ICMPV6_ECHO_REPLY)


def passes(listener, count=2):
    """Accepts `count` packets, and returns them."""
    packets = []
    for _ in range(count):
        packets.append(listener.receive())
        listener.verdict(packets[-1], ACCEPT)
    return packets


# These tests change one setting each.


def test_enabled(control, listen, pinger, loopback):
    """While `enabled` is off, no packet is queued or counted. When `enabled` is on again, packets are queued
    again."""
    listener = listen()
    for seq in range(1, 4):
        control.set(enabled=0)
        before = control.stats()
        pinger.ping(seq)
        assert not listener.waiting()
        assert loopback.near.hooks(modules.NAME) == set()
        assert not any(difference(before, control.stats())["ipv4"].values())
        control.set(enabled=1)
        pinger.send(seq)
        assert kinds(passes(listener)) == [REQUEST, REPLY]
        assert pinger.reply() == seq


def test_queue(control, listen, pinger):
    """After a change of the queue's number, the next packet goes to the new queue."""
    listeners = {queue: listen(queue) for queue in (0, 1, 256, 65535)}
    for queue, listener in reversed(listeners.items()):
        control.set(queue=queue)
        pinger.send(queue & 0x7FFF)
        passes(listener)
        assert pinger.reply() == queue & 0x7FFF
        assert not any(other.waiting() for other in listeners.values())


def test_bypass(control, pinger, loopback):
    """Without a listener, packets pass if bypass is on, and are dropped if it is off."""
    for seq, bypass in enumerate((0, 1, 0, 1)):
        control.set(bypass=bypass)
        pinger.send(seq)
        loopback.settle()
        assert pinger.replies() == ([seq] if bypass else [])


def test_hook_points(control, listen, pinger, loopback):
    """The configuration names each of four hook points alone, and then all five points. At these points, and
    only there, the kernel lists registered hooks of both families."""
    listener = listen()
    met = {PRE_ROUTING: 2, LOCAL_IN: 2, LOCAL_OUT: 2, POST_ROUTING: 2}
    for point in (LOCAL_OUT, PRE_ROUTING, POST_ROUTING, LOCAL_IN):
        control.set(hooks=1 << point)
        assert loopback.near.hooks(modules.NAME) == {
            (family, POINTS[point], 0) for family in ("ip", "ip6")}
        pinger.send(point)
        assert [packet.hook for packet in passes(listener)] == [point] * 2
        assert pinger.reply() == point
        assert not listener.waiting()
    control.set(hooks=31)
    assert loopback.near.hooks(modules.NAME) == set(
        itertools.product(("ip", "ip6"), POINTS, (0,)))
    pinger.send(9)
    assert collections.Counter(packet.hook for packet in passes(listener, 8)) == met
    assert pinger.reply() == 9


def test_change_that_cannot_be_hooked_in_changes_nothing(control, pinger, loopback):
    """Bug: a configuration is in force although its hooks could not be registered."""
    loopback.near.nft(crowd("forward"))
    before, hooks = control.config(), loopback.near.hooks(modules.NAME)
    with pytest.raises(Refused) as failure:
        control.set(hooks=31, bypass=0)
    assert failure.value.errno == errno.E2BIG and "too many hooks" in failure.value.text
    assert control.config() == before and loopback.near.hooks(modules.NAME) == hooks
    pinger.ping()


def test_priority(control, listen, pinger, loopback):
    """The priority decides whether the hook runs before or after a rule that drops packets."""
    listener = listen()
    loopback.near.nft("table ip t { chain c { type filter hook prerouting priority 0; "
                      "ip protocol icmp drop; }; }")
    for seq, priority in enumerate((-1, 1, -(2**31), 2**31 - 1, -400)):
        control.set(priority=priority)
        assert loopback.near.hooks(modules.NAME) == {
            (family, "prerouting", priority) for family in ("ip", "ip6")}
        pinger.send(seq)
        loopback.settle()
        assert bool(listener.waiting()) == (priority < 0)
        for packet in listener.drain():
            listener.verdict(packet, DROP)


def test_types(control, listen, pinger, pinger6, loopback):
    """Types that are not in the set pass. If no type of a family is queued, the family has no hook."""
    listener = listen()
    for seq, (types4, types6, expected) in enumerate((
            ({8}, {128}, [REQUEST, REQUEST6]),
            ({0}, {129}, [REPLY, REPLY6]),
            (set(), {128, 129}, [REQUEST6, REPLY6]),
            ({0, 8}, set(), [REQUEST, REPLY]),
            (set(), set(), []),
            (ALL_TYPES, ALL_TYPES, [REQUEST, REPLY, REQUEST6, REPLY6]),
            (ALL_TYPES - {8}, ALL_TYPES - {129}, [REPLY, REQUEST6]),
    )):
        control.set(ipv4=types4, ipv6=types6)
        assert loopback.near.hooks(modules.NAME) == {
            (family, "prerouting", 0)
            for family, types in (("ip", types4), ("ip6", types6)) if types}
        pinger.send(seq)
        pinger6.send(seq)
        packets = []
        while len(packets) < len(expected):
            packets += passes(listener, 1)
        assert sorted(kinds(packets)) == sorted(expected)
        loopback.settle()
        assert not listener.waiting()
        assert (pinger.replies(), pinger6.replies()) == ([seq], [seq])


def test_every_type_by_itself(control, loopback):
    """Bug: in a set of types, the bits of a byte are counted in the opposite order, or a shift loses bits."""
    wanted = sorted({0, 1, 3, 7, 8, 9, 15, 16, 31, 32, 63, 64, 127, 128, 200, 254, 255})
    with loopback.near.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.connect(("127.0.0.1", 0))
        for queued in wanted:
            control.set(ipv4={queued})
            before = control.stats()
            # The packets have only types that hosts do not answer. The tests above send types that hosts
            # answer.
            sent = [kind for kind in wanted if kind not in (8, 13, 15, 17)]
            for kind in sent:
                raw.send(icmp(kind))
            loopback.settle()
            counted = difference(before, control.stats())["ipv4"]
            assert (counted["seen"], counted["matched"]) == (len(sent), int(queued in sent))


def test_skip_mark_of_the_sender(control, listen, pinger, loopback):
    """Packets with the configured mark pass, others are queued. If the configured mark is 0, all packets are
    queued."""
    listener = listen()
    control.set(hooks=1 << LOCAL_OUT, ipv4={8})
    for seq, (skip, mark) in enumerate(((7, 7), (2**32 - 1, 2**32 - 1), (7, 8), (7, 0), (0, 0),
                                        (0, 7), (2**31, 1))):
        control.set(skip_mark=skip)
        pinger.socket.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", mark))
        pinger.send(seq)
        if skip == 0 or mark != skip:
            passes(listener, 1)
        assert pinger.reply() == seq
        assert not listener.waiting()


def test_skip_mark_ends_repetition(control, listen, pinger):
    """Bug: a packet with the verdict NF_REPEAT is queued for ever, even if the listener sets the skip mark on
    it."""
    listener = listen()
    control.set(ipv4={8}, skip_mark=0x55)
    pinger.send(1)
    for _ in range(5):
        listener.decide(listener.receive(), REPEAT)
    before = control.stats()
    listener.decide(listener.receive(), REPEAT, mark=0x55)
    assert pinger.reply() == 1
    assert not listener.waiting()
    counted = difference(before, control.stats())["ipv4"]
    assert (counted["skipped"], counted["queued"]) == (1, 0)


# These tests use more than one queue.


def test_flows_stay_in_one_queue(control, listen, loopback):
    """All queues are used, and both directions of a flow go to the same queue."""
    control.set(queue=100, queues=4)
    listeners = [listen(queue) for queue in range(99, 105)]
    queues = {}
    for host in range(1, 65):
        address = f"127.0.1.{host}"
        with Pinger(loopback.near, address) as pinger:
            for seq in (1, 2):
                pinger.send(seq)
                for _ in range(2):
                    listener = wait_until(
                        lambda: next((one for one in listeners if one.waiting()), None))
                    queues.setdefault(address, []).append(listener.queue)
                    passes(listener, 1)
                assert pinger.reply() == seq
    assert all(len(used) == 4 and len(set(used)) == 1 for used in queues.values())
    counts = collections.Counter(used[0] for used in queues.values())
    assert set(counts) == {100, 101, 102, 103}, counts


@pytest.mark.all_cpus
def test_queues_by_cpu(control, listen, loopback, pinger):
    """Each CPU has a queue for its packets. If there are more CPUs than queues, the assignment begins again
    at the first queue."""
    # The fixture `loopback` has pinned the test to one CPU, so sched_getaffinity() would return only this CPU.
    cpus = range(os.cpu_count())
    listeners = {queue: listen(queue) for queue in range(6, 6 + len(cpus) + 1)}
    for queues in range(1, len(listeners)):
        control.set(queue=6, queues=queues, spread=1)
        for cpu in cpus:
            os.sched_setaffinity(0, {cpu})
            pinger.send(cpu)
            assert kinds(passes(listeners[6 + cpu % queues])) == [REQUEST, REPLY]
            assert pinger.reply() == cpu


# In these tests, the configuration changes while packets pass.

STORM = int(10_000 / SLOW)
# The number of pings that are sent together.
BURST = 100
# No packet fits both configurations, so the queue of a packet shows which configuration the hook used. Both
# configurations have the same hooks, because each configuration queues one type of each family.
ONE = {"queue": 10, "queues": 3, "ipv4": {8}, "ipv6": {128}}
OTHER = {"queue": 20, "queues": 1, "ipv4": {0}, "ipv6": {129}}
# These configurations have the queues and types of ONE and OTHER, but different hook points.
ONE_THERE = {**ONE, "hooks": 1 << PRE_ROUTING, "priority": -7}
OTHER_THERE = {**OTHER, "hooks": 1 << LOCAL_IN | 1 << LOCAL_OUT, "priority": 7}


def anywhere():
    """Lets the calling process run on any CPU. The fixture `loopback` has pinned it to one CPU."""
    os.sched_setaffinity(0, range(os.cpu_count()))


def _ping(path, stop):
    """Sends pings without a pause until `stop`. Returns their number. Each ping must get its reply."""
    anywhere()
    return flood.ping_in_bursts(path, stop, BURST)


def _ping_in_vain(path, stop):
    """Sends pings without a pause until `stop`. Returns their number. Pings may be lost."""
    anywhere()
    with contextlib.closing(flood.Flood(path.near, path.far_address, BURST)) as pings:
        for first in itertools.count(0, BURST):
            if stop.is_set():
                return first
            sent = flood.pack_numbers(first, BURST)
            pings.send(sent)
            missing, until = len(sent), time.monotonic() + 0.01
            while missing and time.monotonic() < until:
                if select.select([pings.socket], [], [], 0.01)[0]:
                    missing -= len(pings.receive(missing))


def _echo(path, stop):
    """Sends echoes without a pause until `stop`. Returns their number."""
    anywhere()
    with path.near, Client() as client:
        for seq in itertools.count(1):
            assert client.echo(b"x" * (seq % 5000), seq=seq).payload == b"x" * (seq % 5000)
            if stop.is_set():
                return seq


def _judge(path, ready, stop, points):
    """Accepts all packets. Each packet must fit the configuration that its queue belongs to."""
    anywhere()
    queues = {10: (REQUEST, {PRE_ROUTING}), 11: (REQUEST, {PRE_ROUTING}),
              12: (REQUEST, {PRE_ROUTING}),
              20: (REPLY, {LOCAL_IN, LOCAL_OUT} if points else {PRE_ROUTING})}
    counts = collections.Counter()
    with contextlib.ExitStack() as stack:
        with path.near:
            listeners = {(one := stack.enter_context(Listener(queue))).socket: one
                         for queue in queues}
        ready.set()
        while not stop.is_set():
            for sock in select.select(list(listeners), [], [], 0.05)[0]:
                listener = listeners[sock]
                packets = []
                try:
                    while listener.waiting():
                        packets.append(listener.receive())
                except FileNotFoundError:
                    # An earlier verdict failed, because the kernel had already dropped the packets
                    # when the hook that queued them was unregistered.
                    assert points
                if packets:
                    kind, hooks = queues[listener.queue]
                    assert set(kinds(packets)) == {kind}, (listener.queue, packets)
                    assert {packet.hook for packet in packets} <= hooks, (listener.queue, packets)
                    counts[listener.queue] += len(packets)
                    listener.decide_up_to(packets[-1], ACCEPT)
    return dict(counts)


def storm(control, configs, count, workers):
    """Changes the configuration from the first of two configurations to the second and back. Ends after at
    least `count` changes, and when at least `count` packets have met the hooks. Returns the number of
    changes."""
    anywhere()
    there_and_back = b"".join(
        pack(NLDEMO_MSG_CONFIG_SET, encode_all(config)) for config in configs)
    control.set_raw(encode_all(configs[1]))
    first = control.config()["event"]
    changes = 0
    while changes < count or control.stats()["ipv4"]["seen"] < count:
        for worker in workers:
            worker.check()
        for _ in range(100):
            control.send(there_and_back)
            changes += 2
        # The requests ask for no acknowledgement, so the kernel answers only changes that fail.
        assert not control.waiting()
    assert control.config()["event"] - first == changes
    return changes


def assert_adds_up(control):
    """The counts of packets add up, on each CPU and in total."""
    rows = control.per_cpu()
    totals = control.stats()
    for stats in (*rows, totals):
        for family in ("ipv4", "ipv6"):
            counts = stats[family]
            assert counts["seen"] >= counts["matched"] + counts["unparsable"]
            assert counts["matched"] == counts["skipped"] + counts["queued"]
    for family in ("ipv4", "ipv6"):
        assert total(rows)[family] == totals[family]
    return totals


@pytest.mark.usefixtures("hooks_elsewhere")
@pytest.mark.parametrize("configs, count", [
    ((ONE, OTHER), STORM), ((ONE_THERE, OTHER_THERE), STORM // 4),
], ids=["in-place", "other-points"])
def test_storm_of_changes_loses_nothing(control, loopback, start, stop, configs, count):
    """Bypass is on, and there is no listener. So every packet must pass, also during a change."""
    loads = [start(_ping, loopback, stop), start(_echo, loopback, stop)]
    storm(control, configs, count, loads)
    stop.set()
    sent, echoed = (int(load.result()) for load in loads)
    assert sent > 0 and echoed > 0
    stats = assert_adds_up(control)["ipv4"]
    assert 0 < stats["queued"] < stats["seen"]
    control.set(enabled=0)
    assert loopback.near.hooks(modules.NAME) == set()


@pytest.mark.usefixtures("hooks_elsewhere")
@pytest.mark.parametrize("configs, count", [
    ((ONE, OTHER), STORM), ((ONE_THERE, OTHER_THERE), STORM // 4),
], ids=["in-place", "other-points"])
def test_storm_of_changes_mixes_nothing(control, loopback, start, stop, configs, count):
    """Bug: a packet meets the type set of one configuration and the queue of another."""
    points = "hooks" in configs[0]
    with Stop() as ready, Stop() as enough:
        judge = start(_judge, loopback, ready, stop, points)
        wait_until(ready.is_set)
        # If a hook is unregistered, the kernel drops the packets that wait in its queue, so pings may be
        # lost. If the hooks stay, every ping must be answered.
        load = start(_ping_in_vain if points else _ping, loopback, enough)
        storm(control, configs, count, [judge, load])
        enough.set()
        assert int(load.result()) > 0
    stop.set()
    counts = ast.literal_eval(judge.result())
    # Each of the two configurations queued some of the packets.
    assert min(counts[20], sum(counts.values()) - counts[20]) > 10, counts
    assert_adds_up(control)


def test_storm_of_priorities_treats_packets_once(control, loopback, start, stop):
    """Bug: a packet meets both the new and the old hook, and is queued twice."""
    load = start(_ping, loopback, stop)
    changes = storm(control, ({"priority": -7}, {"priority": 7}), STORM // 10, [load])
    stop.set()
    # Each ping is two packets, the request and the reply.
    packets = 2 * int(load.result())
    # If a packet is between the places of the old and of the new hook during the change, it can meet both
    # hooks, or none. So a few packets may be counted twice, or not at all. With the bug, several packets
    # would be counted twice at each change.
    assert abs(control.stats()["ipv4"]["seen"] - packets) < changes / 4


def test_batch_ends_with_its_sender(control, loopback, start):
    """Bug: one send() of many messages continues for minutes after its sender was killed."""
    pair = b"".join(pack(NLDEMO_MSG_CONFIG_SET, encode_all({"enabled": on})) for on in (0, 1))
    count = int(20_000 / SLOW)

    def change():
        with loopback.near, Client(buffers=8 << 20) as client:
            client.send(pair * (count // 2))

    def changes():
        return control.config()["event"] - first

    first = control.config()["event"]
    worker = start(change)
    wait_until(lambda: changes() > 10)
    worker.kill()
    assert changes() < count
