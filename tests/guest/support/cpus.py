# SPDX-License-Identifier: GPL-2.0

"""The CPUs that the guest's kernel uses while a test runs."""

import os
from pathlib import Path

# Debug kernels always use all CPUs, because their detectors must see what happens on two CPUs in any test.
HAS_DETECTORS = Path("/sys/kernel/debug/kmemleak").exists()
FIRST = 0


def switch_of(cpu):
    """The file in /sys that takes a CPU offline ("0") or online ("1"). It does not exist for a CPU that must stay."""
    return Path(f"/sys/devices/system/cpu/cpu{cpu}/online")


def needs_all(item):
    """Whether a test must run with all CPUs: it starts workers, or has the mark "all_cpus"."""
    return HAS_DETECTORS or "start" in item.fixturenames or any(item.iter_markers("all_cpus"))


class OneCpu:
    """Takes all CPUs except the first offline. With a second CPU, an emulated guest takes half as much time of the host
    again."""

    def __init__(self):
        self._offline = []

    def enter(self):
        """Takes the CPUs offline, unless they are offline already."""
        for cpu in sorted(os.sched_getaffinity(0) - {FIRST}):
            switch = switch_of(cpu)
            switch.write_text("0\n", encoding="ascii")
            self._offline.append(switch)

    def leave(self):
        """Takes the CPUs online again."""
        for switch in self._offline:
            switch.write_text("1\n", encoding="ascii")
        self._offline.clear()
