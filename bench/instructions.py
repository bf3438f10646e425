# SPDX-License-Identifier: GPL-2.0

"""Measures all that can be counted in instructions, in a guest whose clock counts them.

Usage: instructions.py DIRECTORY-OF-PROGRAMS MODULE PEER|--quick. Prints a row a line, in JSON.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "guest" / "support"))

import growth
import memory
import size
from bench import Bench
from config import under_load
from consumers import consumers
from works import FULL, QUICK

REPETITIONS = 3


def everything(bench, peer):
    yield from bench.measure(FULL, REPETITIONS)
    yield from consumers(bench, peer, REPETITIONS)
    yield from under_load(bench)
    yield growth.sockets(bench)
    yield from growth.namespaces(bench)
    yield memory.of_a_namespace(bench)
    yield from size.sections(bench)
    yield from size.parts(bench)


def main(programs, ko, peer):
    bench = Bench(programs, ko)
    for row in bench.measure(QUICK, 2) if peer == "--quick" else everything(bench, peer):
        print(row.json(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
