# SPDX-License-Identifier: GPL-2.0

"""What an accepted packet costs by the consumer of its queue. All consumers have the same queues and
the same packets, in turns."""

import contextlib
import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import time
from pathlib import Path

from netlink import wait_until
from network import ICMP_FILTER, SOL_RAW, icmp, loopback_up
from rows import Bound, Ratio, Row

PACKETS, BURST, PINGS = 2000, 50, 300
# How many packets a second, where the plain consumer has 1.
BOUNDS = {"one by one": Bound(least=1), "batches": Bound(least=1.6)}
QUEUES = Path("/proc/net/netfilter/nfnetlink_queue")


def waiting():
    """How many packets wait in each queue that somebody has bound."""
    try:
        lines = QUEUES.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:  # before the first consumer asks for it
        return {}
    return {int(number): int(total) for number, _portid, total, *_ in map(str.split, lines)}


class Consumer:
    """Programs that have bound so many queues, from the first on."""

    def __init__(self, commands, queues):
        self._processes = [subprocess.Popen(["chrt", "-o", "0", *command], stdout=subprocess.DEVNULL)
                           for command in commands]
        wait_until(lambda: len(waiting()) == queues)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
            process.wait()
        wait_until(lambda: not waiting())

    def cpu_time(self):
        """How long they have run, in ns."""
        tasks = (task for process in self._processes
                 for task in Path(f"/proc/{process.pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks)


def cost(consumer):
    """ns of the consumer's time for a packet, of bursts that wait for it together."""
    with contextlib.ExitStack() as stack:
        flows = []
        for host in range(1, 33):
            raw = stack.enter_context(
                socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
            raw.connect((f"127.0.0.{host}", 0))
            flows.append(raw)
        packet = icmp(0, data=bytes(56))  # a reply, which nobody answers
        before = consumer.cpu_time()
        for _ in range(PACKETS // BURST):
            for n in range(BURST):
                flows[n % len(flows)].send(packet)
            assert sum(waiting().values()) == BURST, "the consumer ran before its turn"
            wait_until(lambda: not any(waiting().values()), interval=0.001)
        return (consumer.cpu_time() - before) / PACKETS


def latency():
    """ns from an echo request to its reply, both of which pass the queue alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", ~1 & 0xFFFFFFFF))  # only replies
        raw.connect(("127.0.0.1", 0))
        times = []
        for seq in range(PINGS):
            start = time.monotonic_ns()
            raw.send(icmp(8, rest=struct.pack(">HH", 1, seq), data=bytes(56)))
            assert select.select([raw], [], [], 5)[0], "no reply"
            raw.recv(200)
            times.append(time.monotonic_ns() - start)
        return statistics.median(times)


def _commands(bench, program, queues):
    """The consumers by name, each as the commands that serve the queues."""
    numbers = f"0-{queues - 1}" if queues > 1 else "0"
    one = [program, "queue", "run", "--quiet", "--queue", numbers]
    return {
        "plain C": [[bench.programs / "consumer", str(queue)] for queue in range(queues)],
        "one by one": [one],
        "batches": [[*one, "--batch", "64"]],
    }


def _measured(bench, program, queues, repetitions):
    """What each consumer costs, in instructions: of packets, and of echoes."""
    figures = {}
    for _ in range(repetitions):
        for name, commands in _commands(bench, program, queues).items():
            packets, echoes = figures.setdefault(name, ([], []))
            with Consumer(commands, queues) as consumer:
                cost(consumer)
                packets.append(cost(consumer) / bench.instruction)
                echoes.append(latency() / bench.instruction)
    return [{name: figures[name][of] for name in figures} for of in (0, 1)]


def _row(what, costs, ratios):
    medians = {name: statistics.median(values) for name, values in costs.items()}
    return Row("consumers", what, "instructions", medians, ratios)


def consumers(bench, program, repetitions):
    """All consumers, with one queue and with more."""
    loopback_up()
    # A burst is sent before any of it is consumed.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    for queues in (1, 2, 4):
        with bench.subjects["module"]("prerouting", parameters=f"queues={queues}"):
            packets, echoes = _measured(bench, program, queues, repetitions)
        what = f"a packet, {queues} {'queues' if queues > 1 else 'queue'}"
        bounds = BOUNDS if queues == 1 else {}
        yield _row(what, packets, [
            Ratio.of(f"packets a second, {name} / plain C", packets["plain C"], packets[name],
                     bound=bounds.get(name, Bound()), more_is_better=True)
            for name in ("one by one", "batches")])
        if queues == 1:
            yield _row("an echo, from request to reply", echoes, [
                Ratio.of("one by one / plain C", echoes["one by one"], echoes["plain C"],
                         bound=Bound(most=1))])
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
