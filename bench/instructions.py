# SPDX-License-Identifier: GPL-2.0

"""Measures all that can be counted in instructions, in a guest whose clock counts them.

Usage: instructions.py DIRECTORY-OF-PROGRAMS MODULE PEER. Prints a row a line, in JSON.
"""

import itertools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "guest"))

import growth
import memory
from bench import Bench
from config import under_load
from consumers import consumers
from works import FULL

REPETITIONS = 3


def main(programs, ko, peer):
    bench = Bench(programs, ko)
    for row in itertools.chain(
            bench.measure(FULL, REPETITIONS),
            consumers(bench, peer, REPETITIONS),
            under_load(bench),
            [growth.sockets(bench)],
            growth.namespaces(bench),
            growth.size(bench),
            [memory.of_a_namespace(bench)]):
        print(json.dumps(row.json()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
