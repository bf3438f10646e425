# SPDX-License-Identifier: GPL-2.0

"""Makes the kernel's allocations fail, one after the other (Documentation/fault-injection)."""

import itertools
import os
from pathlib import Path

DEBUG = Path("/sys/kernel/debug")
FAIL_NTH = Path("/proc/thread-self/fail-nth")
# The addresses of modules (MODULES_VADDR to MODULES_END of x86-64). By default an allocation fails only if a
# module made it, or called the kernel function that made it. Otherwise an earlier allocation of the system
# call would fail, and the call would seldom reach the module.
MODULES = 0xFFFF_FFFF_A000_0000, 0xFFFF_FFFF_FF00_0000
ANYWHERE = 0, 0xFFFF_FFFF_FFFF_FFFF
# All kinds of allocations.
ALL = {
    "failslab": {"ignore-gfp-wait": "N"},
    "fail_page_alloc": {"ignore-gfp-wait": "N", "ignore-gfp-highmem": "N", "min-order": "0"},
}


def _function(name):
    """Returns the range of addresses of a kernel function."""
    lines = Path("/proc/kallsyms").read_text(encoding="ascii").splitlines()
    symbols = [(int(address, 16), symbol) for address, _, symbol, *_ in map(str.split, lines)]
    starts = [address for address, symbol in symbols if symbol == name]
    assert len(starts) == 1, f"{name}: {len(starts)} functions"
    return starts[0], min(address for address, _ in symbols if address > starts[0])


def contiguous_pages():
    """Returns the kinds of allocations that must fail: all allocations of several contiguous pages, except
    pages for new slabs. Slabs need such pages, because with the red zones of KASAN an object of 4 KiB does
    not fit into one page."""
    start, end = map(hex, _function("new_slab"))
    return {"fail_page_alloc": {**ALL["fail_page_alloc"], "min-order": "1",
                                "reject-start": start, "reject-end": end}}


class Faults:
    """Makes allocations of some kinds fail, if a function in the range `within` is in their call chain.
    The allocations that fail are those that the calling thread chooses with `fail()`, and a random part
    (`percent`) of the allocations of all threads."""

    def __init__(self, percent=0, *, kinds=None, within=MODULES):
        self._percent, self._kinds, self._within = percent, kinds or ALL, within
        self._before = []
        self._fd = os.open(FAIL_NTH, os.O_RDWR)

    def __enter__(self):
        for kind, settings in self._kinds.items():
            start, end = map(hex, self._within)
            common = {"verbose": "0", "require-start": start, "require-end": end,
                      "times": "-1", "probability": str(self._percent)}
            for name, value in {**settings, **common}.items():
                setting = DEBUG / kind / name
                self._before.append((setting, setting.read_text(encoding="ascii")))
                setting.write_text(value, encoding="ascii")
        return self

    def __exit__(self, *_):
        os.close(self._fd)
        for setting, before in reversed(self._before):
            setting.write_text(before, encoding="ascii")

    def fail(self, number):
        """Makes one allocation of the calling thread fail: the one with this number, counted from now. 0
        means none."""
        os.pwrite(self._fd, b"%d" % number, 0)

    def one_by_one(self, attempt, check):
        """Calls `attempt()` while its first allocation fails, then while its second allocation fails, and so
        on, until no allocation is left to fail. After each call, `check()` gets the OSError of the call, or
        None if the call succeeded. Returns the number of allocations that failed."""
        for number in itertools.count(1):
            error = None
            self.fail(number)
            try:
                attempt()
            except OSError as raised:
                error = raised
            finally:
                left = int(os.pread(self._fd, 20, 0))
                self.fail(0)
            if left:
                assert error is None, f"an error although no allocation failed: {error}"
                check(None)
                print(f"{number - 1} allocations failed")
                return number - 1
            check(error)
