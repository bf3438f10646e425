# SPDX-License-Identifier: GPL-2.0

"""The fuzzers of the module (docs/fuzz.md), for a short time and always with the same inputs."""

import sys

import pytest

from checkout import CHECKOUT

FUZZ = CHECKOUT / "fuzz"
sys.path.insert(0, str(FUZZ))

import corpus  # noqa: E402 # found by the line above
from kernel import KernelFuzzer, prepare  # noqa: E402
from places import TARGETS  # noqa: E402

# The number of generated inputs that a fuzzer runs after the inputs of its corpus.
RUNS = 200


@pytest.fixture
def fuzz(load, tmp_path):
    """Starts a fuzzer, and ends it before the module is unloaded."""
    running = []

    def fuzz(target):
        inputs = corpus.read(FUZZ / "corpus" / f"{target}.txt")
        program = CHECKOUT / "build" / "fuzz" / target
        running.append(KernelFuzzer(program, tmp_path, inputs, runs=len(inputs) + RUNS))
        return running[-1]

    load(hooks=31)
    prepare()
    yield fuzz
    for fuzzer in running:
        fuzzer.close()


def test_nothing_is_found_and_no_way_is_lost(fuzz):
    """Bug: a mistake that fuzzing found earlier is back, or a fuzzer reaches less code than it should."""
    for fuzzer in [fuzz(target) for target in TARGETS]:
        assert fuzzer.process.wait() == 0, fuzzer.log[-8000:]
        assert fuzzer.tally > 0 and fuzzer.executed > RUNS
        assert fuzzer.reached >= corpus.least(FUZZ / "corpus" / f"{fuzzer.target}.txt")
