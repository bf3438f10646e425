# SPDX-License-Identifier: GPL-2.0

"""Tries mutants of the module inside a guest, one after the other.

The argument is a directory. The directory has a file `plan`, with a line "NAME#NUMBER TEST..." for each
run of the mutant NAME. A TEST is a test of tests/guest, or SUITE.TEST of KUnit. The subdirectory NAME has
the mutant's module, at the path that the module has in a checkout (build/RELEASE/rust_nldemo.ko).

This program reports to scripts/mutants by lines that begin with "@". It ends early if the kernel cannot
be trusted any more after a mutant, or if little of the guest's time is left. The guest's
kernel panics at an oops, which also ends this program.
"""

import os
import re
import signal
import sys
import time
import traceback
from pathlib import Path

import pytest

DIRECTORY = Path(sys.argv[1])
CHECKOUT = Path(__file__).resolve().parents[2]
GUEST_TESTS = CHECKOUT / "tests" / "guest"
sys.path.insert(0, str(GUEST_TESTS / "support"))

import module as modules  # noqa: E402 # found by the line above
from leftovers import Leftovers, adopt_orphans  # noqa: E402
from netlink import has_kernel_socket  # noqa: E402
from workers import TIME_LIMIT  # noqa: E402

# Whether the kernel has KASAN and continues after a report. scripts/mutants boots the debug kernel, which has
# KASAN, with the parameter kasan_multi_shot, so that KASAN reports more than once.
REPORTS_ONLY = "kasan_multi_shot" in Path("/proc/cmdline").read_text(encoding="ascii")
# The name that the plan has for the unchanged module. The plan lists all tests for it.
UNCHANGED = "none"
# In seconds since the guest's boot. No run starts after this time, because scripts/mutants stops a guest that
# takes too long.
LAST_START = 1200


def tell(what, name, *more):
    # The last line that pytest printed may lack its line feed, so this call starts a new line.
    print("\n@", what, name, *more, flush=True)


class Reporter:
    """A plugin of pytest that reports the results of tests."""

    def __init__(self, name):
        self._name = name

    def pytest_runtest_logreport(self, report):
        test = report.nodeid.rpartition("/")[2]
        if report.failed:
            # If the setup failed, the test did not run. So the test has not noticed the mutant.
            tell("error" if report.when == "setup" else "failed", self._name, test)
        elif report.when == "call":
            tell("passed", self._name, test)


def run_suites(name, file, suites):
    modules.insert(file)
    for suite in suites:
        directory = Path("/sys/kernel/debug/kunit", suite)
        (directory / "run").write_text("1", encoding="ascii")
        results = (directory / "results").read_text(encoding="ascii")
        print(results)
        for failed, test in re.findall(r"^    (not )?ok \d+ (\S+)", results, re.MULTILINE):
            tell("failed" if failed else "passed", name, f"{suite}.{test}")
    modules.remove()


def _path(test):
    """The path of a test. The plan names the test without its directory."""
    file, separator, name = test.partition("::")
    (path,) = GUEST_TESTS.glob(f"*/{file}")
    return f"{path}{separator}{name}"


def run_tests(tests, *options, plugins=()):
    """Runs those of the tests that belong to pytest. The others belong to KUnit."""
    if files := [_path(test) for test in tests if ".py" in test]:
        pytest.main(["-p", "no:cacheprovider", "--color=no", "-q", *options, *files],
                    plugins=list(plugins))


def place(name, *parts):
    """The path of a file or directory that was built for a mutant. If it was not built for this mutant, the path
    of the one that was built for the unchanged module."""
    found = DIRECTORY.joinpath(name, *parts)
    return found if found.exists() else DIRECTORY.joinpath(UNCHANGED, *parts)


def attempt(run, tests):
    name = run.partition("#")[0]
    file = place(name, "build", os.uname().release, f"{modules.NAME}.ko")
    os.environ["NLDEMO_KO"] = str(file)
    os.environ["NLDEMO_EXAMPLES"] = str(place(name, "examples"))
    suites = [test.partition(".")[0] for test in tests if ".py" not in test]
    if suites:
        run_suites(run, file, dict.fromkeys(suites))
    run_tests(tests, "--tb=short", plugins=[Reporter(run)])


def in_order(log):
    """Whether another mutant can run on this kernel: whether the kernel's next reports will be about that mutant.

    If the kernel has KASAN, another mutant can run after most reports: KASAN delays the reuse of freed
    memory, so a wrong access to freed memory damages nothing else. Two reports are exceptions. After a
    leak, kmemleak may find more of the same leak later. After a report of DEBUG_OBJECTS, the next report
    may be missing, because DEBUG_OBJECTS reports five times at most. If the kernel has no KASAN, no
    mutant can run after any report.
    """
    if modules.is_any_loaded() or has_kernel_socket():
        return False
    try:
        if not log.alarms():
            return True
    except AssertionError:
        # Messages were lost: there were more reports than the kernel's log can hold.
        return False
    if not REPORTS_ONLY or any(word in line for line in log.lines for word in ("kmemleak: ", "ODEBUG: ")):
        return False
    # DEBUG_ATOMIC_SLEEP reports at most once a second, and must be able to report about the next mutant.
    time.sleep(1)
    return True


def try_one(run, *tests):
    """Tries a mutant. Returns whether another mutant can run on this kernel."""
    name = run.partition("#")[0]
    tell("begin", run)
    Path("/dev/kmsg").write_text(f"<6>mutant {run} begins\n", encoding="ascii")
    log = modules.KernelLog()
    leftovers = Leftovers()
    child = os.fork()
    if child == 0:
        try:
            attempt(run, tests)
        except BaseException:  # pylint: disable=broad-exception-caught
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(0)
    if name != UNCHANGED:
        signal.signal(signal.SIGALRM, lambda *_: (tell("late", run), os._exit(0)))
        signal.alarm(2 * TIME_LIMIT)
    os.waitpid(child, 0)
    signal.alarm(0)
    freed = leftovers.free()
    good = all(freed.values()) and in_order(log)
    log.close()
    tell("end" if good else "disorder", run)
    return good


def main():
    plan = (DIRECTORY / "plan").read_text(encoding="ascii").splitlines()
    # This process imports all test files once, and its children, which run the tests, need not import them again.
    # An import takes longer than most tests.
    run_tests({test.partition("::")[0] for line in plan for test in line.split()[1:]},
              "--collect-only", "-q")
    adopt_orphans()
    for line in plan:
        if not try_one(*line.split()) or time.monotonic() > LAST_START:
            break


main()
