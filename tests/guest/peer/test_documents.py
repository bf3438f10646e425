# SPDX-License-Identifier: GPL-2.0

"""Runs the commands that the documents mark for the guest, exactly as written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netlink import DEADLINE

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import doc_commands  # noqa: E402 # found by the line above

BLOCKS = [block for block in doc_commands.blocks() if block.where == "guest"]
TRACING = Path("/sys/kernel/tracing")


@pytest.fixture
def tracing_as_it_was():
    """After the test, stops the tracing that the block has started."""
    yield
    for setting, value in (("current_tracer", "nop"), ("set_ftrace_filter", ""), ("trace", "")):
        (TRACING / setting).write_text(f"{value}\n", encoding="ascii")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_commands_work_as_written(block, module, peer_program, tmp_path, tracing_as_it_was):
    path = f"{os.path.dirname(peer_program)}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-x"], input=block.script(), capture_output=True, text=True, check=False,
                          cwd=tmp_path, timeout=DEADLINE, env=os.environ | {"PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
