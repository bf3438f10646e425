# SPDX-License-Identifier: GPL-2.0

"""Has the measuring program do works, with the subjects taking turns."""

import contextlib
import statistics
import subprocess
from pathlib import Path

import module
from network import run
from places import Places
from rows import Bound, Ratio, Row
from subjects import Module, Nothing, Program, Rules
from works import CLOCK

ROUNDS = 31


class Bench:
    """Programs, subjects and places. Times are in instructions if the clock counts them."""

    def __init__(self, programs, ko):
        self.programs = Path(programs)
        # What a first packet or rule would load otherwise, at its subject's cost.
        run("modprobe", "-a", "veth", "nfnetlink_queue", "nf_tables", "nft_queue")
        self.places = Places()
        self.subjects = {
            "nothing": Nothing,
            "floor": Module(self.programs / "nldemo_floor.ko", "nldemo_floor"),
            "twin": Module(self.programs / "nldemo_twin.ko", "nldemo_twin"),
            "twin, bare": Module(self.programs / "nldemo_bare.ko", "nldemo_bare"),
            "module": Module(ko, module.NAME),
            "family in C": Module(self.programs / "counter_twin.ko", "counter_twin", hooks=False),
            "family": Module(self.programs / "counter.ko", "counter", hooks=False),
            "nft": Rules,
            "BPF, empty": Program(self.programs, "empty", "empty"),
            "BPF, looks": Program(self.programs, "look_ipv4", "look_ipv6"),
        }
        _median, least, _most = self.nanoseconds(CLOCK, rounds=100)
        # Of the shortest round: one that no interrupt has met.
        self.instruction = least / 100_000

    def _command(self, work, place, times, rounds):
        """The measuring program, and what it is called with."""
        kind, *arguments = work.command
        if work.far:
            arguments += place.address, place.far.path
        return [str(word) for word in (self.programs / "measure", kind, rounds, times, *arguments)]

    def nanoseconds(self, work, place=None, rounds=ROUNDS):
        """What the work takes once: in the middle of all rounds, at least and at most."""
        place = place or self.places.of(work.hook)
        with place.near:
            return list(map(float, run(*self._command(work, place, work.times, rounds)).split()))

    def instructions(self, work, place=None):
        """What the work takes once."""
        return self.nanoseconds(work, place)[0] / self.instruction

    @contextlib.contextmanager
    def beside(self, work):
        """Another process that does a work over and over."""
        place = self.places.of(work.hook)
        with place.near:
            process = subprocess.Popen(self._command(work, place, work.times, 1_000_000),
                                       stdout=subprocess.DEVNULL)
        yield
        assert process.poll() is None, "it has come to its end"
        process.kill()
        process.wait()

    def measure(self, works, repetitions):
        """Does all works with all their subjects, in turns; yields rows, in the works' order."""
        costs = {}
        for _ in range(repetitions):
            for hook in dict.fromkeys(work.hook for work in works):
                for name, subject in self.subjects.items():
                    those = [work for work in works if work.hook == hook and name in work.subjects]
                    if not those:
                        continue
                    with subject(hook, self.places.of(hook)):
                        for work in those:
                            costs.setdefault((work, name), []).append(self.instructions(work))
        for work in works:
            yield row(work, {name: costs[work, name] for name in work.subjects})


def row(work, costs):
    """What came of the repetitions of a work."""
    base = costs.get("nothing", [0])
    others = [name for name in work.subjects if name not in ("nothing", work.ours)]
    return Row(
        work.section, work.name, "instructions",
        {name: statistics.median(values) for name, values in costs.items()},
        [Ratio.of(f"{work.ours} / {name}", costs[work.ours], costs[name], base,
                  bound=work.bounds.get(name, Bound())) for name in others])
