# SPDX-License-Identifier: GPL-2.0

"""Measures the times of the works that need several CPUs.

Usage: timed.py DIRECTORY-OF-PROGRAMS MODULE. Prints each row as a line of JSON. Exits with status 1
without KVM.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "guest" / "support"))

from bench import Bench
from rows import Ratio, Row
from works import MODULES, echo

REPETITIONS, TIMES = 7, 100
CLOCKS = Path("/sys/devices/system/clocksource/clocksource0/available_clocksource")


def threads(bench, count):
    """The time of a round trip while `count` threads send at the same time: the shortest round, because it
    was disturbed least."""
    work = echo(64, threads=count, section="threads", times=TIMES)
    times = {name: [] for name in MODULES}
    for _ in range(REPETITIONS):
        for name, values in times.items():
            with bench.subjects[name]("prerouting"):
                values.append(bench.nanoseconds(work)[1] / 1000)
    return Row("threads", work.name, "µs",
               {name: statistics.median(values) for name, values in times.items()},
               [Ratio.of("module / twin", times["module"], times["twin"])])


def main(programs, ko):
    if "kvm-clock" not in CLOCKS.read_text(encoding="ascii").split():
        sys.exit("this guest runs without KVM: times would be those of the emulator, so there is nothing"
                 " to measure; scripts/bench without --time counts instructions")
    bench = Bench(programs, ko)
    for count in (1, 2, 4):
        print(threads(bench, count).json(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
