# SPDX-License-Identifier: GPL-2.0

"""Tests of the test harness: it reports a failure at once, and one failure causes no other."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.fixture
def outcome(ko, tmp_path):
    """Runs tests: what is printed, and what pytest says at the end, if it comes to that."""
    def outcome(tests, status=1):
        file = tmp_path / "test_inner.py"
        file.write_text(tests, encoding="ascii")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "conftest", "--color=no", file]
        environment = {**os.environ, "NLDEMO_KO": str(ko), "PYTHONPATH": str(Path(__file__).parent)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path,
                              env=environment, timeout=4 * DEADLINE)
        assert (done.returncode, done.stderr) == (status, ""), done.stdout + done.stderr
        end = re.search(r"^=+ (.*) in [0-9.]+s.* =+$", done.stdout, re.MULTILINE)
        return done.stdout, end and end[1]

    return outcome


def test_failed_test_keeps_no_network_namespace(outcome):
    """Bug: a report of a failure, by whose traceback all that was open then stays open."""
    printed, end = outcome(FAILING)
    assert end == "1 failed, 1 passed", printed


def test_failure_is_printed_at_once(outcome):
    """Bug: nobody learns what failed before the guest, or pytest, was stopped."""
    printed, _ = outcome("""
import os
import signal


def test_fails():
    assert not "said at once"


def test_dies():
    os.kill(os.getpid(), signal.SIGKILL)
""", status=-signal.SIGKILL)
    assert "AssertionError: assert not 'said at once'" in printed, printed
