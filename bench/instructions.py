# SPDX-License-Identifier: GPL-2.0

"""Measures costs as numbers of instructions, in a guest whose clock counts instructions.

Usage: instructions.py DIRECTORY-OF-PROGRAMS MODULE PEER|--quick [PART]. Prints each row as a line of JSON.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "guest" / "support"))

import growth
import listing
import memory
import size
from bench import Bench
from config import under_load
from consumers import consumers
from works import FAMILIES, FULL, QUICK

REPETITIONS = 3


def module_itself(bench, _peer):
    yield from memory.of_a_namespace(bench)
    yield from size.sections(bench)
    yield from size.parts(bench)


def growing(bench, _peer):
    yield growth.sockets(bench)
    yield from growth.namespaces(bench)


PARTS = {
    "works": lambda bench, _peer: bench.measure(FULL, REPETITIONS),
    "families": lambda bench, _peer: bench.measure(FAMILIES, REPETITIONS),
    "consumers": lambda bench, peer: consumers(bench, peer, REPETITIONS),
    "config": lambda bench, _peer: under_load(bench),
    "growth": growing,
    "listing": lambda bench, peer: [listing.sockets(bench, peer)],
    "module": module_itself,
}


def main(programs, ko, peer, *parts):
    bench = Bench(programs, ko)
    if peer == "--quick":
        rows = bench.measure(QUICK, 2)
    else:
        rows = (row for part in parts or PARTS for row in PARTS[part](bench, peer))
    for row in rows:
        print(row.json(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
