# SPDX-License-Identifier: GPL-2.0

"""Measures the module against its twin in C and against nftables, in instructions, in a guest whose
clock counts them (scripts/vm --icount).

Usage: ratios.py [--quick] DIRECTORY-OF-PROGRAMS MODULE
"""

import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from subjects import Module, Nothing, Rules, Twin
from network import loopback_up, run

EVERY = ("nothing", "twin", "module", "nft")
SOCKETS = ("twin", "module")


class Work(NamedTuple):
    """A thing to measure: what the measuring program is called with."""

    name: str
    program: str
    rounds: int
    times: int
    arguments: tuple = ()
    hook: str = "prerouting"
    subjects: tuple = EVERY


class Row(NamedTuple):
    """A ratio to tell: of what a work costs with `one` to what it costs with `other`, or of what they
    add to its costs if there is a `base`."""

    work: str
    one: str
    other: str
    base: str | None = None
    bound: float | None = None


def _echo(size, times=10, batch=1, sockets=1):
    what = f"echo of {size} bytes"
    what += f", {batch} messages at once" if batch > 1 else ""
    what += f", {sockets} sockets" if sockets > 1 else ""
    return Work(what, "echo", 20, times, (size, batch, sockets), subjects=SOCKETS)


QUICK = [
    Work("acknowledgement of nothing", "floor", 20, 20, subjects=SOCKETS),
    _echo(0), _echo(64), _echo(16384, 4), _echo(65536, 2), _echo(64, 1, 100),
    Work("UDP, prerouting", "udp", 20, 20, (64, "127.0.0.1", "-")),
]
FULL = QUICK + [
    _echo(1024),
    _echo(64, 50, 1, 1000),
    Work("TCP, prerouting", "tcp", 20, 10, (64,)),
    Work("TCP of 64 KiB, prerouting", "tcp", 20, 4, (65536,)),
    Work("ICMP without a listener", "icmp", 20, 20, (56,)),
    Work("ICMP to a listener", "queued", 20, 20, (56,), subjects=("twin", "module", "nft")),
    *(Work(f"ICMPv6 behind {count} extension headers", "icmpv6", 20, 20, (56, count))
      for count in (0, 1, 8)),
    *(Work(f"UDP, {hook}", "udp", 20, 20, (64, "127.0.0.1", "-"), hook=hook)
      for hook in ("input", "output", "postrouting")),
]
BOUNDS = [
    *(Row(work.name, "module", "twin", bound=bound) for work, bound in
      ((_echo(0), 0.93), (_echo(64), 0.93), (_echo(1024), None), (_echo(16384), 0.66),
       (_echo(65536), 0.66), (_echo(64, 1, 100), 1.00))),
    Row("UDP, prerouting", "module", "twin", "nothing", 1.00),
    Row("UDP, prerouting", "module", "nft", "nothing", 0.35),
]


class Bench:
    """The programs and what they measured, in instructions."""

    def __init__(self, programs, file):
        self._measure = Path(programs, "measure")
        self._subjects = {
            "nothing": Nothing,
            "twin": lambda hook: Twin(Path(programs, "nldemo_twin.ko"), hook),
            "module": lambda hook: Module(file, hook),
            "nft": Rules,
        }
        self.figures = {}
        loopback_up()
        # What the first packet or rule would load otherwise, at the cost of its subject.
        run("modprobe", "-a", "nfnetlink_queue", "nf_tables", "nft_queue")
        self.ns = self._run(Work("clock", "clock", 100, 10), least=True) / 100_000

    def _run(self, work, least=False):
        """What the work takes once, in ns."""
        command = [self._measure, work.program, work.rounds, work.times, *work.arguments]
        output = run(*map(str, command))
        return float(output.split()[1 if least else 0])

    def measure(self, works, repetitions):
        """Does all works with all that is to be measured, in turns."""
        for _ in range(repetitions):
            for hook in dict.fromkeys(work.hook for work in works):
                for name, subject in self._subjects.items():
                    with subject(hook):
                        for work in works:
                            if work.hook == hook and name in work.subjects:
                                cost = self._run(work) / self.ns
                                self.figures.setdefault((work.name, name), []).append(cost)

    def cost(self, work, subject):
        return statistics.median(self.figures[work, subject])

    def ratio(self, row):
        base = self.cost(row.work, row.base) if row.base else 0
        return (self.cost(row.work, row.one) - base) / (self.cost(row.work, row.other) - base)


def main(programs, file, quick=False):
    bench = Bench(programs, file)
    works = QUICK if quick else FULL
    bench.measure(works, 2 if quick else 3)
    print(f"ns an instruction: {bench.ns:.4f}")
    print("| work | " + " | ".join(EVERY) + " | module / twin |\n|---|" + "---:|" * 5)
    for work in works:
        costs = [f"{bench.cost(work.name, name):.1f}" if name in work.subjects else "" for name in EVERY]
        base = "nothing" if "nothing" in work.subjects else None
        ratio = bench.ratio(Row(work.name, "module", "twin", base))
        print(f"| {work.name} | " + " | ".join(costs) + f" | {ratio:.3f} |")
    spread = max((max(costs) - min(costs)) / min(costs) for costs in bench.figures.values())
    print(f"largest spread between repetitions: {spread:.2%}")
    wrong = 0
    for row in BOUNDS:
        if (row.work, row.one) in bench.figures:
            ratio = bench.ratio(row)
            said = "" if row.bound is None else "ok" if ratio <= row.bound else "ABOVE"
            wrong += said == "ABOVE"
            print(f"{row.work}: {row.one} / {row.other} {ratio:.3f}, at most {row.bound} {said}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--quick"]
    main(*arguments, quick="--quick" in sys.argv)
