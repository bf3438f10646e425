# SPDX-License-Identifier: GPL-2.0

"""Tests of the tests' own machinery: the tests are compiled before the guest boots, a failure is printed immediately, a
failure causes no failure of another test, and no packet is lost on a new link."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from netlink import DEADLINE, SLOW
from network import join, pinned
from workers import Stop, Worker

HEAD = """
import os
import signal
import socket
import subprocess
import threading

from netlink import Client
from network import run

KEPT = []


def wait_for_ever(namespace, ready):
    with namespace:
        ready.set()
        threading.Event().wait()


def test_first(load, namespaces):
"""
BEHIND = """

def test_behind(load, namespaces):
    assert os.path.samefile("/proc/thread-self/ns/net", "/proc/1/ns/net")
    load()
    namespaces()
"""
# Ways to keep the module or a network namespace in use, each with a text that the test's report must have.
WAYS = {
    "process": ("""
    with namespaces():
        KEPT.append(subprocess.Popen(["sleep", "1001"]))
""", "sleep 1001"),
    "orphan": ("""
    with namespaces():
        subprocess.run(["sh", "-c", "setsid sleep 1002 &"])
""", "sleep 1002"),
    "socket": ("""
    KEPT.append(namespaces().socket(socket.AF_INET, socket.SOCK_STREAM))
""", "socket:["),
    "client": ("""
    load()
    KEPT.append(Client())
""", "socket:["),
    "descriptor": ("""
    KEPT.append(os.dup(namespaces().fd))
""", "net:["),
    "name": ("""
    run("ip", "netns", "add", "left")
    run("ip", "netns", "set", "left", "auto")
""", "/run/netns/left"),
    "place": ("""
    namespaces().__enter__()
""", "own thread"),
}


@pytest.fixture
def outcome(ko, tmp_path):
    """Runs tests in another pytest. Returns its output, and the counts in its last line if there is one."""
    def outcome(tests, status=1, slow=SLOW):
        file = tmp_path / "test_inner.py"
        file.write_text(tests, encoding="ascii")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "conftest", "--color=no", file]
        environment = {**os.environ, "NLDEMO_KO": str(ko), "NLDEMO_SLOW": str(slow),
                       "PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path,
                              env=environment, timeout=4 * DEADLINE)
        assert (done.returncode, done.stderr) == (status, ""), done.stdout + done.stderr
        end = re.search(r"^=+ (.*) in [0-9.]+s.* =+$", done.stdout, re.MULTILINE)
        return done.stdout, end and end[1]

    return outcome


@pytest.mark.parametrize("way", WAYS)
def test_failed_test_leaves_nothing(outcome, way):
    """Bug: later tests wait for objects that a failed test has left, until the guest's time ends."""
    leave, said = WAYS[way]
    printed, end = outcome(HEAD + leave + "    assert not KEPT, 'it fails'\n    assert False\n" + BEHIND)
    assert end == "1 failed, 1 passed", printed
    assert printed.count("left behind") == 1 and printed.count(said) >= 1, printed


@pytest.mark.parametrize("way", ["process", "socket"])
def test_passed_test_must_leave_nothing(outcome, way):
    """If a passed test leaves an object, this test gets an error, and the next test passes."""
    leave, said = WAYS[way]
    printed, end = outcome(HEAD + leave + BEHIND)
    assert end == "2 passed, 1 error", printed
    assert "test_first, teardown" in printed and said in printed


def test_failed_test_keeps_none_of_its_variables(outcome):
    """Bug: the traceback in a failure's report keeps the test's open files open."""
    printed, end = outcome(HEAD + """
    left_open = namespaces().socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        left_open.connect(("127.0.0.1", 9))
    except OSError:
        assert not left_open
""" + BEHIND)
    assert end == "1 failed, 1 passed" and "left behind" not in printed, printed


def test_thread_that_cannot_be_ended(outcome):
    """Only the test that left the thread waits for the thread's namespace. pytest ends although the thread
    still runs. This wait always takes until the deadline, so the inner tests have a short one."""
    printed, end = outcome(HEAD + """
    ready = threading.Event()
    threading.Thread(target=wait_for_ever, args=(namespaces(), ready), name="left").start()
    ready.wait()
    assert False
""" + BEHIND, slow=SLOW / 4)
    assert end == "1 failed, 1 passed, 1 error", printed
    for what in ("thread left", "network namespace number 0"):
        assert f"{what}, for good" in printed, printed


def test_tests_are_compiled_before_the_guest_boots():
    """Bug: the guest itself compiles the tests, which takes ten times as long there. The time is in the bytecode's
    header (PEP 552)."""
    source = Path(__file__)
    compiled = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}-pytest-{pytest.__version__}.pyc"
    assert int.from_bytes(compiled.read_bytes()[8:12], "little") == int(source.stat().st_mtime)


def test_failure_is_printed_at_once(outcome):
    """Bug: if pytest or the guest is killed, the failures before that are not shown."""
    printed, _ = outcome(HEAD + """
    assert not "said at once"


def test_dies():
    os.kill(os.getpid(), signal.SIGKILL)
""", status=-signal.SIGKILL)
    assert "AssertionError: assert not 'said at once'" in printed, printed


WORKQUEUES = Path("/sys/devices/virtual/workqueue/cpumask")


def spin(cpu, ready):
    """Uses a CPU without a pause, with real-time priority."""
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    ready.set()
    while True:
        pass


@contextlib.contextmanager
def late_kernel_workers():
    """The kernel's unbound workqueues get nearly no CPU time, as on a busy machine."""
    cpu = max(os.sched_getaffinity(0))
    before = WORKQUEUES.read_text(encoding="ascii")
    WORKQUEUES.write_text(f"{1 << cpu:x}", encoding="ascii")
    try:
        with pinned(), Stop() as ready:
            spinner = Worker(spin, cpu, ready)
            try:
                assert ready.wait(DEADLINE)
                yield
            finally:
                spinner.kill()
    finally:
        WORKQUEUES.write_text(before, encoding="ascii")


@pytest.mark.skipif("PREEMPT_RT" in os.uname().version,
                    reason="on PREEMPT_RT softirqs are threads, which the spinner keeps from the CPU, too")
def test_no_packet_is_lost_on_a_new_link(namespaces):
    """Bug: a packet is sent before the kernel knows that the new device has its carrier, and is lost."""
    for _ in range(10):
        near, far = namespaces(), namespaces()
        with near.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, \
                far.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.settimeout(DEADLINE)
            receiver.bind(("", 0))
            with late_kernel_workers():
                join(near, far)
                sender.sendto(b"first", ("192.0.2.2", receiver.getsockname()[1]))
            assert receiver.recv(10) == b"first"
