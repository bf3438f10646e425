# SPDX-License-Identifier: GPL-2.0

"""What the module costs compared to its twin in C and to nftables, where the clock counts
instructions (--icount). The works that matter most; `make bench` has all of them."""

import os
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "bench"))

from bench import Bench
from works import QUICK

REPETITIONS = 2


@pytest.fixture(scope="module")
def rows(ko):
    """What all of them cost, measured in turns."""
    programs = Path(os.environ.get("NLDEMO_BENCH", CHECKOUT / "build" / "bench"))
    return {row.work: row for row in Bench(programs, ko).measure(QUICK, REPETITIONS)}


@pytest.mark.parametrize("work", [work.name for work in QUICK])
def test_costs_are_within_bounds(rows, work):
    """The answers are right, or there were none; and they cost what they may."""
    for ratio in rows[work].ratios:
        print(f"{work}: {ratio}")
        assert ratio.bound.allows(ratio.value)
