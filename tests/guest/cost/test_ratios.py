# SPDX-License-Identifier: GPL-2.0

"""The costs of the module, compared with C, nftables and BPF. The clock counts instructions (--icount). The
tests measure only the most important works. `make bench` measures all."""

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
    """The programs of `make bench`."""
    return Bench(os.environ.get("NLDEMO_BENCH", CHECKOUT / "build" / "bench"), ko)


@pytest.fixture(scope="module")
def rows(bench):
    """The costs of all works, measured in turns."""
    return {row.work: row for row in bench.measure(QUICK, REPETITIONS)}


@pytest.mark.parametrize("work", [work.name for work in QUICK])
def test_costs_are_within_bounds(rows, work):
    """The costs are within their bounds, and no answer is wrong."""
    for ratio in rows[work].ratios:
        print(f"{work}: {ratio}")
        assert ratio.bound.allows(ratio.value, ratio.spread)


def test_wrong_answers_are_noticed(bench):
    """A packet that loses its first byte of data on the way is not measured."""
    work = udp("prerouting")
    namespace = bench.places.of(work.hook).near
    namespace.nft("table ip wrong { chain output { type filter hook output priority filter;\n"
                  f" udp length {8 + 64} @th,64,8 set 0\n }}\n }}\n")
    with pytest.raises(AssertionError, match="a wrong answer"):
        bench.instructions(work)
    namespace.nft("delete table ip wrong")
