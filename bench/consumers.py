# SPDX-License-Identifier: GPL-2.0

"""What an accepted packet costs by the consumer of its queue, in a guest whose clock counts
instructions on one CPU. All consumers have the same queue and the same packets, in turns.

Usage: consumers.py MODULE PROGRAM PLAIN-C-CONSUMER
"""

import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "guest"))

import module  # pylint: disable=wrong-import-position
from netlink import wait_until  # pylint: disable=wrong-import-position
from network import icmp, loopback_up  # pylint: disable=wrong-import-position

QUEUE = 0
PACKETS, BURST, ROUNDS, PINGS = 2000, 50, 5, 300
QUEUES = Path("/proc/net/netfilter/nfnetlink_queue")

# What must hold against the plain consumer, as (column, consumer): (least, most).
BOUNDS = {("cost", "nldemo, batches"): (1.3, None), ("latency", "nldemo, one by one"): (None, 1.1)}


def waiting():
    """How many packets wait in the queue; None if nobody has bound it."""
    try:
        lines = QUEUES.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:  # before the first consumer asks for it
        return None
    for line in lines:
        number, _portid, total, *_ = line.split()
        if int(number) == QUEUE:
            return int(total)
    return None


class Consumer:
    """A program that has bound the queue."""

    def __init__(self, command):
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(lambda: waiting() is not None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        wait_until(lambda: waiting() is None)

    def cpu_time(self):
        """How long it has run, in ns."""
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks)


def cost(consumer):
    """ns of the consumer's time for a packet, of bursts that wait for it together."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.connect(("127.0.0.1", 0))
        packet = icmp(0, data=bytes(56))  # a reply, which nobody answers
        before = consumer.cpu_time()
        for _ in range(PACKETS // BURST):
            for _ in range(BURST):
                raw.send(packet)
            assert waiting() == BURST, "the consumer ran before its turn"
            wait_until(lambda: waiting() == 0, interval=0.001)
        return (consumer.cpu_time() - before) / PACKETS


def latency():
    """ns from an echo request to its reply, both of which pass the queue alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.setsockopt(255, 1, struct.pack("=I", ~1 & 0xFFFFFFFF))  # only replies
        raw.connect(("127.0.0.1", 0))
        times = []
        for seq in range(PINGS):
            start = time.monotonic_ns()
            raw.send(icmp(8, rest=struct.pack(">HH", 1, seq), data=bytes(56)))
            assert select.select([raw], [], [], 5)[0], "no reply"
            raw.recv(200)
            times.append(time.monotonic_ns() - start)
        return statistics.median(times)


def main(ko, program, plain):
    consumers = {
        "plain C": [plain, str(QUEUE)],
        "nldemo, one by one": [program, "queue", "run", "--quiet"],
        "nldemo, batches": [program, "queue", "run", "--quiet", "--batch", "64"],
    }
    loopback_up()
    module.insert(ko, f"queue={QUEUE}")
    # A burst is sent before any of it is consumed.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    figures = {name: ([], []) for name in consumers}
    for _ in range(ROUNDS):
        for name, command in consumers.items():
            with Consumer(["chrt", "-o", "0", *command]) as consumer:
                cost(consumer)
                figures[name][0].append(cost(consumer))
                figures[name][1].append(latency())
    module.remove()

    base = [statistics.median(figures["plain C"][column]) for column in (0, 1)]
    print("| consumer | ns of CPU per packet | times as many packets | ns per echo | ratio |")
    print("|---|---:|---:|---:|---:|")
    wrong = []
    for name, columns in figures.items():
        costs, latencies = map(statistics.median, columns)
        ratios = {"cost": base[0] / costs, "latency": latencies / base[1]}
        print(f"| {name} | {costs:.0f} | {ratios['cost']:.2f} | {latencies:.0f} |"
              f" {ratios['latency']:.2f} |")
        for (column, consumer), (least, most) in BOUNDS.items():
            ratio = ratios[column]
            if consumer == name and not (least or 0) <= ratio <= (most or ratio):
                wrong.append(f"{name}: {column} ratio {ratio:.2f}, allowed are {least} to {most}")
    print("spread:", ", ".join(
        f"{name} {(max(costs) - min(costs)) / statistics.median(costs):.1%}"
        for name, (costs, _) in figures.items()))
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main(*sys.argv[1:])
