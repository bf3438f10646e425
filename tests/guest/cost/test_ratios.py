# SPDX-License-Identifier: GPL-2.0

"""The costs of the module, compared with the C module with the same duties, nftables and BPF. The clock
counts instructions (--icount). bench/works.py lists the works, such as an echo or a UDP packet. These tests
measure only the most important works, `make bench` measures all."""

import os
import sys

import pytest

from checkout import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "bench"))

from bench import Bench  # pylint: disable=wrong-import-position
from works import QUICK, udp  # pylint: disable=wrong-import-position

REPETITIONS = 2


@pytest.fixture(scope="module")
def bench(ko):
    """The benchmark, with the built programs of `make bench`."""
    return Bench(os.environ.get("NLDEMO_BENCH", CHECKOUT / "build" / "bench"), ko)


@pytest.fixture(scope="module")
def rows(bench):
    """The measured costs of the works that these tests measure, by the name of the work."""
    return {row.work: row for row in bench.measure(QUICK, REPETITIONS)}


@pytest.mark.parametrize("work", [work.name for work in QUICK])
def test_costs_are_within_bounds(rows, work):
    """The costs of a work are within the bounds that bench/works.py sets, and no answer was wrong."""
    for ratio in rows[work].ratios:
        print(f"{work}: {ratio}")
        assert ratio.bound.allows(ratio.value, ratio.spread)


def test_wrong_answers_are_noticed(bench):
    """If the first byte of a packet's data is changed on the way, the benchmark fails."""
    work = udp("prerouting")
    namespace = bench.places.of(work.hook).near
    namespace.nft("table ip wrong { chain output { type filter hook output priority filter;\n"
                  f" udp length {8 + 64} @th,64,8 set 0\n }}\n }}\n")
    with pytest.raises(AssertionError, match="a wrong answer"):
        bench.instructions(work)
    namespace.nft("delete table ip wrong")
