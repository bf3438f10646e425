# SPDX-License-Identifier: GPL-2.0

"""The configuration, CPUs and memory change while packets and requests are on their way."""

import contextlib
import errno
import mmap
import os
import random
import re
from pathlib import Path

import pytest

from control import ALL_TYPES, Control, Monitor, total
from cpus import switch_of
from faults import Faults
from netlink import ECHO, NLMSG_ERROR, ack, pack, wait_until
from network import loopback_up
from traffic import counts, keep_accepting, keep_flooding, keep_pinging
from workers import TIME_LIMIT

NO_MEMORY = (errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN)


def _change(place, seed, count):
    """Makes `count` random changes of the configuration."""
    os.setns(place.fd, os.CLONE_NEWNET)
    source = random.Random(seed)
    with Control() as control:
        for _ in range(count):
            # Only one change in twenty also changes the hook points, the priority and `enabled`.
            places = {"hooks": source.randrange(1, 32), "priority": source.randrange(-300, 300),
                      "enabled": source.randrange(2)}
            control.set(
                queue=source.randrange(3), queues=source.randrange(1, 4),
                spread=source.randrange(2), bypass=1, skip_mark=source.randrange(3),
                ipv4=frozenset(kind for kind in ALL_TYPES if source.random() < 0.5),
                **places if source.random() < 0.05 else {})
    return count


def test_storm_of_changes(module, namespaces, start, stop, tally):
    """Several writers change the configuration while packets are queued and get verdicts. Each change causes
    an event."""
    count = tally.of(8000) // 4
    place = namespaces()
    loads = [start(keep_flooding, place, stop), start(keep_accepting, place, stop)]
    with place:
        monitor = Monitor(buffers=8 << 20)
    with monitor:
        writers = [start(_change, place, seed, count) for seed in range(4)]
        heard = 0

        def finished():
            nonlocal heard
            for name, values in monitor.events():
                heard += 1
                assert (name, values["event"]) == ("config", heard)
            for writer in writers:
                writer.check()
            tally.progress("changes", heard, 4 * count)
            # Each request causes an event, because its random set of types practically always differs from
            # the old set.
            return heard == 4 * count

        wait_until(finished, timeout=TIME_LIMIT, interval=0.01)
    stop.set()
    sent, _ = counts(loads[0])
    tally.survived(changes_of_the_configuration=heard, pings_sent_meanwhile=sent,
                   verdicts_meanwhile=counts(loads[1])[0])


def _echo_and_count(stop):
    """Sends echoes until `stop`, and reads the statistics after every 20 echoes: the counts must never
    fall."""
    echoes = 0
    with Control(buffers=1 << 20) as control:
        before = control.stats()
        while not stop.is_set():
            for _ in range(20):
                assert control.echo(b"payload").payload == b"payload"
                echoes += 1
            now, rows = control.stats(), control.per_cpu()
            assert now["messages"] - before["messages"] >= 20
            assert total(rows)["messages"] >= now["messages"]
            before = now
    return echoes


@pytest.fixture
def switches():
    """The files in /sys that switch CPUs off and on. After the test all CPUs are on."""
    switches = [path for cpu in range(1, os.sysconf("SC_NPROCESSORS_CONF"))
                if (path := switch_of(cpu)).exists()]
    assert switches, "a guest with CPUs that can be taken away (scripts/churn makes one)"
    yield switches
    for switch in switches:
        if switch.read_text(encoding="ascii").strip() == "0":
            switch.write_text("1", encoding="ascii")


def test_cpus_go_and_come(module, namespaces, start, stop, tally, switches):
    """CPUs go offline while they have counters and queued packets, and come back. The counts never fall."""
    count = tally.of(100)
    source = random.Random(8)
    place = namespaces()
    with place, Control() as control:
        control.set(hooks=31, spread=1, queues=len(switches) + 1)
    loads = [start(keep_flooding, place, stop), start(keep_accepting, place, stop),
             start(_echo_and_count, stop), start(keep_pinging, stop, namespaces())]
    for number in range(count):
        switch = source.choice(switches)
        online = switch.read_text(encoding="ascii").strip() == "1"
        switch.write_text("0" if online else "1", encoding="ascii")
        for load in loads:
            load.check()
        tally.progress("CPUs switched", number, count)
    stop.set()
    sent, _ = counts(loads[0])
    tally.survived(CPUs_switched_off_or_on=count, pings_sent_meanwhile=sent,
                   requests_echoed_meanwhile=counts(loads[2])[0])


def _want_memory(seed, count):
    """Does work that needs memory, `count` times. Returns how often it failed."""
    source = random.Random(seed)
    refused = 0
    with Control(buffers=8 << 20) as control:
        for _ in range(count):
            try:
                match source.randrange(4):
                    case 0:
                        _echo_if_there_is_room(control, bytes(source.randrange(400_000)))
                    case 1:
                        control.set(hooks=source.randrange(1, 32), queue=source.randrange(9),
                                    priority=source.randrange(-9, 9))
                    case 2:
                        control.per_cpu()
                    case 3:
                        os.unshare(os.CLONE_NEWNET)
                        loopback_up()
            except OSError as error:
                assert error.errno in NO_MEMORY, error
                refused += 1
                _forget_answers(control)
    return refused


def _echo_if_there_is_room(control, payload):
    control.send(pack(ECHO, payload))
    answer = control.receive()
    if answer.kind == NLMSG_ERROR:
        code = ack(answer).errno
        raise OSError(code, os.strerror(code))
    assert answer.payload == payload


def _forget_answers(control):
    while control.waiting():
        with contextlib.suppress(OSError):
            control.receive()


def _take_memory(stop, left=48 << 20):
    """Allocates nearly all memory, frees it, and repeats this. Returns the number of rounds."""
    times = 0
    while not stop.is_set():
        taken = []
        while not stop.is_set() and _available() > left:
            taken.append(mmap.mmap(-1, 4 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
                                   | mmap.MAP_POPULATE))
        times += 1
        stop.wait(0.2)
        for chunk in taken:
            chunk.close()
    return times


def _available():
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    return int(re.search(r"^MemAvailable: +(\d+) kB", text, re.MULTILINE)[1]) << 10


@pytest.mark.parametrize("percent", [0, 10], ids=["used up", "refused at random"])
def test_memory_is_short(module, namespaces, start, stop, tally, percent):
    """While memory is short, requests may fail with an error, but nothing worse happens. When there is memory
    again, requests succeed again."""
    count = tally.of(500)
    flood = start(keep_flooding, namespaces(), stop)
    if not percent:
        taker = start(_take_memory, stop)
    with Faults(percent) if percent else contextlib.nullcontext():
        workers = [start(_want_memory, seed, count) for seed in range(2)]
        refused = sum(int(worker.result()) for worker in workers)
    stop.set()
    assert counts(flood)[0] > 0
    with Control() as control:
        assert control.echo(bytes(100_000)).payload == bytes(100_000)
        control.set(hooks=31)
    if percent:
        assert refused > count // 20
        tally.survived(requests_while_memory_was_refused_at_random=2 * count,
                       refused_of_these=refused)
    else:
        assert int(taker.result()) > 0
        tally.survived(requests_while_memory_was_used_up=2 * count, refused_of_these=refused)
