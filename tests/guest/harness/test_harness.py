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


def run_inner(ko, folder, files, status=1, slow=SLOW):
    """Runs files of tests, {name: text}, in another pytest. Returns {name: what pytest printed about this file}."""
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text, encoding="ascii")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "conftest", "--color=no", "-v", "."]
    environment = {**os.environ, "NLDEMO_KO": str(ko), "NLDEMO_SLOW": str(slow),
                   "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder,
                          env=environment, timeout=4 * DEADLINE)
    assert (done.returncode, done.stderr) == (status, ""), done.stdout + done.stderr
    # The short summary of all files is left out.
    printed = done.stdout.partition("\n\n====")[0]
    parts = re.split(r"^test_(\w+)\.py::test_first (?=PASSED|FAILED)", printed, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def outcomes(printed):
    """The outcomes of tests in what pytest has printed, in their order."""
    return re.findall(r"\b(PASSED|FAILED|ERROR) +\[ *[0-9]+%\]$", printed, re.MULTILINE)


MUST_LEAVE_NOTHING = ("process", "socket")
# One pytest runs all these files, because in an emulated guest its start takes longer than the tests.
FILES = {
    **{f"failed_{way}": HEAD + leave + "    assert not KEPT, 'it fails'\n    assert False\n" + BEHIND
       for way, (leave, _) in WAYS.items()},
    **{f"passed_{way}": HEAD + WAYS[way][0] + BEHIND for way in MUST_LEAVE_NOTHING},
    "variables": HEAD + """
    left_open = namespaces().socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        left_open.connect(("127.0.0.1", 9))
    except OSError:
        assert not left_open
""" + BEHIND,
}


@pytest.fixture(scope="module")
def printed(ko, tmp_path_factory):
    """What pytest printed about each of FILES."""
    return run_inner(ko, tmp_path_factory.mktemp("inner"), FILES)


@pytest.mark.parametrize("way", WAYS)
def test_failed_test_leaves_nothing(printed, way):
    """Bug: later tests wait for objects that a failed test has left, until the guest's time ends."""
    said = printed[f"failed_{way}"]
    assert outcomes(said) == ["FAILED", "PASSED"], said
    assert said.count("left behind") == 1 and WAYS[way][1] in said, said


@pytest.mark.parametrize("way", MUST_LEAVE_NOTHING)
def test_passed_test_must_leave_nothing(printed, way):
    """If a passed test leaves an object, this test gets an error, and the next test passes."""
    said = printed[f"passed_{way}"]
    assert outcomes(said) == ["PASSED", "ERROR", "PASSED"], said
    assert "test_first, teardown" in said and WAYS[way][1] in said


def test_failed_test_keeps_none_of_its_variables(printed):
    """Bug: the traceback in a failure's report keeps the test's open files open."""
    said = printed["variables"]
    assert outcomes(said) == ["FAILED", "PASSED"] and "left behind" not in said, said


def test_thread_that_cannot_be_ended(ko, tmp_path):
    """Only the test that left the thread waits for the thread's namespace. pytest ends although the thread
    still runs. This wait always takes until the deadline, so the inner tests have a short one."""
    said = run_inner(ko, tmp_path, {"thread": HEAD + """
    ready = threading.Event()
    threading.Thread(target=wait_for_ever, args=(namespaces(), ready), name="left").start()
    ready.wait()
    assert False
""" + BEHIND}, slow=SLOW / 4)["thread"]
    assert outcomes(said) == ["FAILED", "ERROR", "PASSED"], said
    for what in ("thread left", "network namespace number 0"):
        assert f"{what}, for good" in said, said


def test_tests_are_compiled_before_the_guest_boots():
    """Bug: the guest itself compiles the tests, which takes ten times as long there. The time is in the bytecode's
    header (PEP 552)."""
    source = Path(__file__)
    compiled = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}-pytest-{pytest.__version__}.pyc"
    assert int.from_bytes(compiled.read_bytes()[8:12], "little") == int(source.stat().st_mtime)


def test_failure_is_printed_at_once(ko, tmp_path):
    """Bug: if pytest or the guest is killed, the failures before that are not shown."""
    said = run_inner(ko, tmp_path, {"killed": HEAD + """
    assert not "said at once"


def test_dies():
    os.kill(os.getpid(), signal.SIGKILL)
"""}, status=-signal.SIGKILL)["killed"]
    assert "AssertionError: assert not 'said at once'" in said, said


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


@pytest.mark.all_cpus
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
