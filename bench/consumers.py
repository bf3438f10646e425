# SPDX-License-Identifier: GPL-2.0

"""Measures what it costs different consumers to accept a packet. The consumers take turns: each gets the same
queues and the same packets."""

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
from network import ICMP_FILTER, SOL_RAW, icmp, ipv4, loopback_up
from rows import Bound, Ratio, Row

PACKETS, BURST, PINGS = 2000, 50, 300
HOSTS = [f"127.0.0.{host}" for host in range(1, 33)]
TUNED = """\
The tuned consumer in C reads a packet's id where it expects it, and checks nothing else. `nldemo` takes some 120
instructions more for each packet. It needs some 55 of them because `recvmmsg()` of the crate nix writes each message
header anew for each call, and returns each length in a structure of its own. With the others it checks the length, the
type and the first attribute of each message, and counts the message."""
FEW_IN_64 = """\
With 64 queues, a burst has one or two packets for each queue. So most of the cost is waking the threads, and a batch
saves little. `nldemo` wakes a thread for each queue where C has a process."""
# Each key names two consumers. The value is the bound of a ratio: the packets per second of the first consumer, divided
# by the packets per second of the second consumer.
COMPARED = {
    ("one by one", "C"): Bound(least=1.10),
    ("one by one", "crate nfq"): Bound(least=1.00),
    ("batches", "C, batches"): Bound(least=1.00),
    ("batches", "C, tuned"): Bound(least=1.00, meanwhile=0.95, why=TUNED),
}
# The bounds for 64 queues. Each of these queues gets only one or two packets of a burst, and to wake the thread of a
# queue costs more than to decide these packets. So a faster decision saves less of the cost than with few queues.
COMPARED_OF_64 = {
    ("one by one", "C"): Bound(least=1.00),
    ("one by one", "crate nfq"): Bound(least=1.00),
    ("batches", "C, batches"): Bound(least=1.00, meanwhile=0.97, why=FEW_IN_64),
    ("batches", "C, tuned"): Bound(least=1.00, meanwhile=0.91, why=FEW_IN_64),
}
TOLD = Bound(least=1.00)
# The most tries of a measurement. A try fails if the consumer runs before a burst is complete. This happens although
# this program has real-time priority, because the kernel lets a process of normal priority run now and then.
TRIES = 3
QUEUES = Path("/proc/net/netfilter/nfnetlink_queue")


def waiting():
    """For each queue that has a consumer, the number of packets that wait in the queue."""
    try:
        lines = QUEUES.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:  # the file does not exist until the first consumer binds a queue
        return {}
    return {int(number): int(total) for number, _portid, total, *_ in map(str.split, lines)}


class Consumer:
    """The running programs of one consumer. Together these programs have bound `queues` queues."""

    def __init__(self, commands, queues, output=os.devnull):
        with open(output, "wb") as output:
            self._processes = [subprocess.Popen(["chrt", "-o", "0", *command], stdout=output)
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
        """The CPU time of all threads of the programs, in ns."""
        tasks = (task for process in self._processes
                 for task in Path(f"/proc/{process.pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks)


def cost(consumer):
    """The consumer's CPU time for a packet, in ns. All packets of a burst wait in the queues before the consumer
    runs."""
    for _ in range(TRIES):
        ns = _of_bursts(consumer)
        if ns is not None:
            return ns
    raise AssertionError("in each try, the consumer ran before its turn")


def _of_bursts(consumer):
    """The same time as `cost()` returns, from one try. `None` if the consumer ran before a burst was complete."""
    # The packets are echo replies, because nobody answers echo replies. No socket for ICMP may be open. Otherwise the
    # kernel would copy each packet for that socket, and the consumer's time would include the copying.
    packets = [ipv4("127.0.0.1", host, icmp(0, data=bytes(56))) for host in HOSTS]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        before = consumer.cpu_time()
        for _ in range(PACKETS // BURST):
            for n in range(BURST):
                raw.sendto(packets[n % len(packets)], (HOSTS[n % len(HOSTS)], 0))
            complete = sum(waiting().values()) == BURST
            wait_until(lambda: not any(waiting().values()), interval=0.001)
            if not complete:
                return None
        return (consumer.cpu_time() - before) / PACKETS


def latency():
    """The time from an echo request to its reply, in ns. Each request is alone in the queue."""
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
    """For each consumer, the commands that start it on the queues."""
    def each(name):
        return [[bench.programs / f"consume-{name}", str(queue)] for queue in range(queues)]

    one = [program, "queue", "run", "--quiet", "--queue", f"0-{queues - 1}" if queues > 1 else "0"]
    return {
        "C": each("plain"),
        "C, batches": each("batches"),
        "C, tuned": each("tuned"),
        "crate nfq": each("nfq"),
        "one by one": [one],
        "batches": [[*one, "--batch", "64"]],
    }


def _measured(bench, program, queues, repetitions):
    """For each consumer, the instructions for a packet of a burst, and the instructions from an echo request to its
    reply."""
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


def _rate(costs, one, other, bound):
    """The packets per second of the consumer `one`, divided by the packets per second of the consumer `other`."""
    return Ratio.of(f"packets a second, {one} / {other}", costs[other], costs[one], bound=bound,
                    more_is_better=True)


def _accepting(bench, program, repetitions):
    """Rows for one queue and for several, while the consumers print nothing."""
    for queues in (1, 2, 4, 64):
        compared = COMPARED_OF_64 if queues == 64 else COMPARED
        with bench.subjects["module"]("prerouting", parameters=f"queues={queues}"):
            packets, echoes = _measured(bench, program, queues, repetitions)
        yield _row(f"a packet, {queues} {'queues' if queues > 1 else 'queue'}", packets,
                   [_rate(packets, *pair, bound) for pair, bound in compared.items()])
        if queues == 1:
            yield _row("an echo, from request to reply", echoes, [
                Ratio.of("one by one / C", echoes["one by one"], echoes["C"], bound=Bound(most=1))])


def _telling(bench, program, repetitions):
    """Rows for a consumer that writes a record for each packet, and leaves out no record."""
    one, output = [program, "queue", "run", "--queue", "0"], Path("/tmp/told")
    capture = Path("/tmp/told.pcapng")
    ways = {
        "text": (one, output, b"\n"),
        "JSON": ([*one, "-j"], output, b'"event":"packet"'),
        # A record in a capture is an Enhanced Packet Block. Before each record, a block ends with two zeros, and the
        # record begins with its type, 6, in four bytes. So these six bytes are counted.
        "capture": ([*one, "--quiet", "--pcap", str(capture)], capture, b"\0\0\6\0\0\0"),
    }
    costs = {"C, tells nothing": []}
    with bench.subjects["module"]("prerouting"):
        for _ in range(repetitions):
            with Consumer([[bench.programs / "consume-plain", "0"]], 1) as consumer:
                cost(consumer)
                costs["C, tells nothing"].append(cost(consumer) / bench.instruction)
            for way, (command, file, sign) in ways.items():
                with Consumer([command], 1, output) as consumer:
                    cost(consumer)
                    costs.setdefault(way, []).append(cost(consumer) / bench.instruction)
                assert file.read_bytes().count(sign) >= 2 * PACKETS, f"{way}: packets were left out"
                file.unlink()
    yield _row("a packet that is told of, 1 queue", costs,
               [_rate(costs, way, "C, tells nothing", TOLD) for way in ways])


def consumers(bench, program, repetitions):
    """All rows of consumers."""
    loopback_up()
    # This process gets a real-time priority, so that no consumer runs before the whole burst is sent.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    yield from _accepting(bench, program, repetitions)
    yield from _telling(bench, program, repetitions)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
