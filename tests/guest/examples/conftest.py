# SPDX-License-Identifier: GPL-2.0

"""Loads the modules of examples/."""

import os
from pathlib import Path

import pytest

import module as modules
from leftovers import Leftovers

EXAMPLES = os.environ.get("NLDEMO_EXAMPLES")


@pytest.fixture
def example(load, left_behind):
    """Loads an example by its name. After the test, the example must unload."""
    loaded = []

    def example(name):
        modules.insert(Path(EXAMPLES, name, "build", os.uname().release, f"{name}.ko"))
        loaded.append(name)

    leftovers = Leftovers()
    yield example
    # Clients that the test left may still use the module, so they are freed first.
    left_behind |= leftovers.free()
    for name in reversed(loaded):
        modules.remove_when_unused(name)
