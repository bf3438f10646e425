# SPDX-License-Identifier: GPL-2.0

"""Runs the measuring program for each work, with each subject. A work is something to do, such as sending a UDP
packet. A subject is the code that handles the packets or messages of a work, such as the module or an nftables rule.
The subjects take turns."""

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
    """The measuring programs, the subjects, and the network namespaces (places) in which the works are done."""

    def __init__(self, programs, ko):
        self.programs = Path(programs)
        # The modules are loaded before the measurement. Otherwise the first packet or rule would load them, and the
        # measured time would include the load.
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
        # The shortest of the 100 rounds is used, because no interrupt came during it.
        self.instruction = least / 100_000

    def _command(self, work, place, times, rounds):
        """The command line of the measuring program."""
        kind, *arguments = work.command
        if work.far:
            arguments += place.address, place.far.path
        return [str(word) for word in (self.programs / "measure", kind, rounds, times, *arguments)]

    def nanoseconds(self, work, place=None, rounds=ROUNDS):
        """Three times in ns, each for doing the work once: the median, the least and the most of all rounds."""
        place = place or self.places.of(work.hook)
        with place.near:
            return list(map(float, run(*self._command(work, place, work.times, rounds)).split()))

    def instructions(self, work, place=None):
        """The number of instructions that it takes to do the work once: the median of all rounds."""
        return self.nanoseconds(work, place)[0] / self.instruction

    @contextlib.contextmanager
    def beside(self, work):
        """Starts another process, which repeats the work until the `with` ends."""
        place = self.places.of(work.hook)
        with place.near:
            process = subprocess.Popen(self._command(work, place, work.times, 1_000_000),
                                       stdout=subprocess.DEVNULL)
        yield
        assert process.poll() is None, "the process beside the measurement ended too early"
        process.kill()
        process.wait()

    def measure(self, works, repetitions):
        """Does each work with each of its subjects. The subjects take turns. Yields rows in the order of the works."""
        costs = {}
        for _ in range(repetitions):
            for hook in dict.fromkeys(work.hook for work in works):
                for name, subject in self.subjects.items():
                    here = [work for work in works if work.hook == hook and name in work.subjects]
                    if not here:
                        continue
                    with subject(hook, self.places.of(hook)):
                        for work in here:
                            costs.setdefault((work, name), []).append(self.instructions(work))
        for work in works:
            yield row(work, {name: costs[work, name] for name in work.subjects})


def row(work, costs):
    """The row of a work, made from the costs of its repetitions."""
    base = costs.get("nothing", [0])
    others = [name for name in work.subjects if name not in ("nothing", work.ours)]
    return Row(
        work.section, work.name, "instructions",
        {name: statistics.median(values) for name, values in costs.items()},
        [Ratio.of(f"{work.ours} / {name}", costs[work.ours], costs[name], base,
                  bound=work.bounds.get(name, Bound())) for name in others])
