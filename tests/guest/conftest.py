# SPDX-License-Identifier: GPL-2.0

"""Fixtures of the tests that run as root inside the virtual machine."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import pytest

GUEST = Path(__file__).resolve().parent
# The folder of the code that all tests share.
sys.path.insert(0, str(GUEST / "support"))

import module as modules  # noqa: E402 # found by the line above
from checkout import CHECKOUT  # noqa: E402
from cpus import OneCpu, needs_all  # noqa: E402
from leftovers import Leftovers, adopt_orphans  # noqa: E402
from netlink import DEADLINE  # noqa: E402
from network import (  # noqa: E402
    FAMILIES,
    HOOKS,
    Namespace,
    Path4,
    connect_by_router,
    join,
    named,
    pinned,
    run,
)
from program import Consumer, Program  # noqa: E402
from reports import AtOnce  # noqa: E402
from workers import TIME_LIMIT, Stop, Worker  # noqa: E402

# Tests that need a feature of the kernel, the name that the feature has in debugfs, and a kernel that has it.
DETECTORS = {"memory/test_allocations.py": ("tracing", "stock"),
             "memory/test_faults.py": ("failslab", "debug"),
             "memory/test_leaks.py": ("kmemleak", "debug"),
             "fuzz": ("kcov", "debug"),
             # test_tracing.py needs breakpoints in the kernel's code. Kernels without kprobes do not have
             # such breakpoints either.
             "hook/test_tracing.py": ("kprobes", "stock")}
# Files and folders whose tests cannot run in this guest, and the reasons.
LEFT_OUT = {name: f"this kernel has no {feature}, but the kernel {kernel} has it"
            for name, (feature, kernel) in DETECTORS.items() if not Path("/sys/kernel/debug", feature).exists()}
# test_many_cpus.py needs a dump of statistics that does not fit one buffer, so it needs many CPUs. A buffer has up
# to 8 KiB.
if os.sysconf("SC_NPROCESSORS_CONF") < 80:
    LEFT_OUT["control/test_many_cpus.py"] = "this guest cannot have 80 CPUs (scripts/vm --cpus 80)"
# The tests in churn/ take long. scripts/churn sets NLDEMO_CHURN to run them.
if "NLDEMO_CHURN" not in os.environ:
    LEFT_OUT["churn"] = "only scripts/churn runs these tests"
# NLDEMO_EXAMPLES names the directory that has the built modules of examples/.
if "NLDEMO_EXAMPLES" not in os.environ:
    LEFT_OUT["examples"] = "the examples are not built (NLDEMO_EXAMPLES)"
# scripts/test adds nldemo.icount to the kernel's command line if it starts the guest with --icount.
if "nldemo.icount" not in Path("/proc/cmdline").read_text(encoding="ascii"):
    LEFT_OUT["cost"] = "this guest's clock does not count instructions (scripts/vm --icount)"
collect_ignore = list(LEFT_OUT)


FAILED = pytest.StashKey()
LEFT_BEHIND = pytest.StashKey()
STATUS = pytest.StashKey()
ONE_CPU = pytest.StashKey()


def pytest_configure(config):
    assert os.geteuid() == 0, "these tests need root, inside the virtual machine (scripts/vm)"
    adopt_orphans()
    config.addinivalue_line("markers", "smoke: one of the few that scripts/test --quick runs")
    config.addinivalue_line("markers", "needs(file): left out where this file is missing")
    config.addinivalue_line("markers", "all_cpus: tests what happens on several CPUs")
    config.stash[ONE_CPU] = OneCpu()
    config.pluginmanager.register(AtOnce(config))


def pytest_sessionfinish(session, exitstatus):
    session.config.stash[STATUS] = exitstatus
    session.config.stash[ONE_CPU].leave()


def pytest_unconfigure(config):
    # Python waits for all threads before it ends, and a test may have left a thread that never ends.
    if threading.active_count() > 1 and STATUS in config.stash:
        sys.stdout.flush()
        os._exit(config.stash[STATUS])


def pytest_collection_modifyitems(items):
    # pytest does not ignore a file that the command line names.
    left_out = {GUEST / name: reason for name, reason in LEFT_OUT.items()}
    for file in {item.path for item in items}:
        if reason := left_out.get(file) or left_out.get(file.parent):
            raise pytest.UsageError(f"the tests of {file.name} cannot run here: {reason}")
    items[:] = [item for item in items
                if all(Path(mark.args[0]).exists() for mark in item.iter_markers("needs"))]
    # The tests that need all CPUs run first, so that the CPUs change only once. The test that looks for leaks must run
    # after all other tests.
    items.sort(key=lambda item: (item.path.name == "test_leaks.py", not needs_all(item)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if not needs_all(item):
        item.config.stash[ONE_CPU].enter()


def _causes(error):
    """Returns the exception, and all exceptions that led to it."""
    pending, found = [error], []
    while pending:
        error = pending.pop()
        if error and error not in found:
            found.append(error)
            pending += [error.__context__, error.__cause__, *getattr(error, "exceptions", ())]
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """After a failed test, clears the variables in its traceback, which would keep the test's sockets
    open."""
    report = yield
    for error in _causes(call.excinfo and call.excinfo.value):
        traceback.clear_frames(error.__traceback__)
    if report.failed:
        item.stash[FAILED] = True
    if report.when == "teardown":
        report.left_behind = item.stash.get(LEFT_BEHIND, [])
    return report


@pytest.fixture(scope="session", autouse=True)
def _kernel_parts():
    """Loads the kernel modules that the tests use, so that no test waits for modprobe.

    Then turns modprobe off. Otherwise, while rust_nldemo is not loaded, the kernel would run modprobe for
    each socket() with its protocol.
    """
    run("modprobe", "-a", "nfnetlink_queue", "nfnetlink_hook", "veth", "nf_tables", "nft_queue",
        "nft_ct", "tcp_diag", "udp_diag", "raw_diag", "unix_diag", "netlink_diag",
        "af_packet_diag")
    setting = Path("/proc/sys/kernel/modprobe")
    before = setting.read_text(encoding="ascii")
    setting.write_text("\n", encoding="ascii")
    yield
    setting.write_text(before, encoding="ascii")


@pytest.fixture(scope="session")
def ko():
    """The module's file."""
    path = Path(os.environ.get("NLDEMO_KO", CHECKOUT / "rust_nldemo.ko"))
    assert path.exists(), f"{path}: not built"
    return path


@pytest.fixture(scope="session")
def peer_program():
    """The file of the program nldemo, which the tests call the peer."""
    path = Path(os.environ.get("NLDEMO", CHECKOUT / "build" / "nldemo"))
    assert path.exists(), f"{path}: not built"
    # Tests with other users need a copy in a directory that every user can read.
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield shutil.copy(path, directory)


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory):
    """Returns a function. This function builds a library from a C file in support/, and returns the
    environment that makes a program load the library. The library makes some calls of the program fail."""
    if os.uname().machine != "x86_64":
        pytest.skip("the programs for other machines are static, and load no library")
    directory = tmp_path_factory.mktemp("preloaded")

    def preloaded(name):
        library = directory / f"{name}.so"
        if not library.exists():
            run("gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library,
                GUEST / "support" / f"{name}.c")
        return {"LD_PRELOAD": str(library)}

    return preloaded


@pytest.fixture
def peer(peer_program):
    """Runs the program nldemo to its end. Returns exit status, standard output and standard error."""
    def peer(*arguments, **options):
        done = subprocess.run([peer_program, *arguments], capture_output=True, text=True,
                              check=False, timeout=DEADLINE, stdin=subprocess.DEVNULL, **options)
        return done.returncode, done.stdout, done.stderr

    return peer


@pytest.fixture(scope="session")
def twin_ko(ko, tmp_path_factory):
    """A copy of the module with another name, so that the module and the copy can be loaded at the same
    time."""
    return modules.make_twin(ko, tmp_path_factory.mktemp("twin"))


@pytest.fixture(autouse=True)
def left_behind(request):
    """After the test, frees what the test left behind. A test that passes must leave nothing behind."""
    leftovers = Leftovers()
    found = {}
    yield found
    found |= leftovers.free()
    found |= leftovers.wait_for_namespaces()
    said = [text if freed else f"{text}, for good" for text, freed in found.items()]
    if FAILED in request.node.stash and all(found.values()):
        request.node.stash[LEFT_BEHIND] = said
    elif said:
        pytest.fail(f"left behind: {', '.join(said)}", pytrace=False)


@pytest.fixture(autouse=True)
def _time_limit(left_behind):
    """Raises an error in a test that hangs, at the line where it hangs. If the cleanup after the test hangs,
    too, raises the error again, in the cleanup."""
    def too_long(*_):
        raise TimeoutError(f"the test takes more than {TIME_LIMIT} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT, TIME_LIMIT)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def kernel_log(left_behind):
    """The messages that the kernel logs during the test. The test fails if a message reports a fault of the
    kernel, or if the kernel is tainted by a fault."""
    log = modules.KernelLog()
    taints = modules.taints()
    yield log
    alarms = log.alarms()
    log.close()
    assert not alarms, "\n".join(alarms)
    # Bit 7 is for an oops, bit 9 for a warning.
    new = modules.taints() & ~taints
    assert not new & (1 << 7 | 1 << 9), f"the kernel is tainted: {new:#x}"


@pytest.fixture
def load(ko, kernel_log, left_behind):
    """Loads the module with parameters. After the test, unloads the module. If that is impossible, the test
    fails."""
    def load(path=ko, **parameters):
        modules.insert(path, " ".join(f"{name}={value}" for name, value in parameters.items()))

    def unload(name, timeout=DEADLINE):
        if modules.is_loaded(name):
            modules.remove_when_unused(name, timeout)

    for name in (modules.NAME, modules.TWIN):
        # An earlier test may have failed to unload the module. If nothing uses the module any more, it is
        # unloaded now.
        unload(name, timeout=0)
    leftovers = Leftovers()
    with contextlib.ExitStack() as unloading:
        for name in (modules.NAME, modules.TWIN):
            unloading.callback(unload, name)
        yield load
        # Before the unloading, frees the test's clients and packet queues, which may use the module.
        left_behind |= leftovers.free()


@pytest.fixture
def start(load):
    """Starts workers. Workers that still run after the test are killed before the module is unloaded."""
    with contextlib.ExitStack() as workers:
        def start(function, *arguments):
            worker = Worker(function, *arguments)
            workers.callback(worker.kill)
            return worker

        yield start


@pytest.fixture
def stop():
    """A flag that tells the workers of the test to stop. The test sets it."""
    stop = Stop()
    yield stop
    stop.close()


@pytest.fixture
def running(peer_program, load):
    """Starts commands of the program nldemo with JSON output, and ends them after the test."""
    with contextlib.ExitStack() as programs:
        def running(*arguments):
            program = Program([peer_program, "-j", *arguments])
            programs.callback(program.close)
            return program

        yield running


@pytest.fixture
def consume(peer_program, load):
    """Starts `nldemo -j queue run` in a network namespace, and waits until this consumer has bound its
    queues."""
    with contextlib.ExitStack() as consumers:
        def consume(namespace, *arguments, queues=1):
            with namespace:
                consumer = Consumer([peer_program, "-j", "queue", "run", *arguments])
            consumers.callback(consumer.close)
            for _ in range(queues):
                assert consumer.event()["event"] == "ready"
            return consumer

        yield consume


@pytest.fixture
def module(load):
    """Loads the module with its default parameters."""
    load()


@pytest.fixture
def namespaces(load):
    """Makes network namespaces, and closes them before the module is unloaded."""
    made = []

    def new():
        made.append(Namespace())
        return made[-1]

    yield new
    for namespace in made:
        namespace.close()


@pytest.fixture
def blue(load):
    """The name of a network namespace, as made by `ip netns add`."""
    with named("blue") as name:
        yield name


@pytest.fixture
def loopback(namespaces):
    """A path for packets from 127.0.0.1 to 127.0.0.1 within one namespace."""
    namespace = namespaces()
    with pinned():
        path = Path4(namespace, "127.0.0.1", namespace, "127.0.0.1")
        yield path
        path.close()


@pytest.fixture
def hooks_elsewhere():
    """A namespace with a hook at every hook point. Without this namespace, the kernel would change its own
    code when a test registers the first hook at a point, or unregisters the last hook there.

    There are two reasons to avoid such a change of code. An emulator may run the old code after the change
    (docs/kernels.md). And the change of code takes most of the time of a change of hook points.
    """
    chains = "".join(f"chain {hook} {{ type filter hook {hook} priority 0; }}\n" for hook in HOOKS)
    namespace = Namespace()
    namespace.nft("".join(f"table {family} elsewhere {{ {chains} }}\n" for family in FAMILIES))
    yield
    namespace.close()


@pytest.fixture
def inject(loopback):
    """Injects packets of a family: they arrive on lo unchanged, even if they are malformed."""
    ethertypes = {"ipv4": b"\x08\0", "ipv6": b"\x86\xdd"}
    with loopback.near.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("lo", 0))

        def inject(family, packets):
            for packet in packets:
                raw.send(bytes(12) + ethertypes[family] + packet)
            loopback.settle()

        yield inject


@pytest.fixture
def link(namespaces):
    """A path for packets between two namespaces, over a pair of devices named veth0."""
    near, far = namespaces(), namespaces()
    join(near, far)
    with pinned():
        path = Path4(near, "192.0.2.1", far, "192.0.2.2")
        yield path
        path.close()


@pytest.fixture
def routed(namespaces):
    """A path for packets between two namespaces through a third namespace, `router`. The path has addresses
    of IPv4 and of IPv6."""
    near, router, far = namespaces(), namespaces(), namespaces()
    connect_by_router(near, router, far)
    with pinned():
        path = Path4(near, "192.0.2.1", far, "198.51.100.1")
        path.router, path.near_address6, path.far_address6 = router, "fd00:1::1", "fd00:2::1"
        path.settle()
        yield path
        path.close()
