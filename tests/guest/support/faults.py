# SPDX-License-Identifier: GPL-2.0

"""Has the kernel's allocations fail, one after the other (Documentation/fault-injection)."""

import itertools
import os
from pathlib import Path

DEBUG = Path("/sys/kernel/debug")
FAIL_NTH = Path("/proc/thread-self/fail-nth")
# Where modules are (MODULES_VADDR to MODULES_END of x86-64): what they allocate, and what the kernel
# does on their behalf. All else of a system call works, or it would seldom get as far as the module.
MODULES = 0xFFFF_FFFF_A000_0000, 0xFFFF_FFFF_FF00_0000
ANYWHERE = 0, 0xFFFF_FFFF_FFFF_FFFF
# Every allocation.
ALL = {
    "failslab": {"ignore-gfp-wait": "N"},
    "fail_page_alloc": {"ignore-gfp-wait": "N", "ignore-gfp-highmem": "N", "min-order": "0"},
}


def _function(name):
    """The range of addresses of a function of the kernel's."""
    lines = Path("/proc/kallsyms").read_text(encoding="ascii").splitlines()
    symbols = [(int(address, 16), symbol) for address, _, symbol, *_ in map(str.split, lines)]
    starts = [address for address, symbol in symbols if symbol == name]
    assert len(starts) == 1, f"{name}: {len(starts)} functions"
    return starts[0], min(address for address, _ in symbols if address > starts[0])


def contiguous_pages():
    """The allocations of more than one page in a row, except those of new slabs: with the red zones of
    KASAN, two objects of 4 KiB do not fit a page, and the kernel has no smaller slab to try."""
    start, end = map(hex, _function("new_slab"))
    return {"fail_page_alloc": {**ALL["fail_page_alloc"], "min-order": "1",
                                "reject-start": start, "reject-end": end}}


class Faults:
    """Lets allocations of some kinds fail that are made by code within a range of addresses, in
    whatever depth: of the calling thread as it asks for, and so many percent of everybody's."""

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
        """Has the allocation of that number fail, counted from here on; 0 for none."""
        os.pwrite(self._fd, b"%d" % number, 0)

    def one_by_one(self, attempt, check):
        """Calls `attempt()` with its first allocation failing, then with its second, and so on, until
        there is none that fails. Behind each call `check(error)` sees what came of it: the OSError,
        or None if it worked all the same. Returns how many allocations failed."""
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
                assert error is None, f"nothing was made to fail: {error}"
                check(None)
                print(f"{number - 1} allocations were made to fail")
                return number - 1
            check(error)
