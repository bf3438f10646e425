# SPDX-License-Identifier: GPL-2.0

"""Of the tests themselves: that one which fails does not take others along."""

import os
import subprocess
import sys
from pathlib import Path

from netlink import DEADLINE

FAILING = """
import socket


def test_fails_with_a_socket_open(namespaces):
    left_open = namespaces().socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        left_open.connect(("127.0.0.1", 9))
    except OSError:
        assert not left_open


def test_passes(load):
    load()
"""


def test_failed_test_keeps_no_network_namespace(ko, tmp_path):
    """Bug: a report of a failure, by whose traceback all that was open then stays open."""
    tests = tmp_path / "test_failing.py"
    tests.write_text(FAILING, encoding="ascii")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "conftest", "--color=no", tests]
    environment = {**os.environ, "NLDEMO_KO": str(ko), "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path,
                          env=environment, timeout=3 * DEADLINE)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
