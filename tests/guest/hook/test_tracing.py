# SPDX-License-Identifier: GPL-2.0

"""Checks what docs/debugging.md says about tracing the module."""

import ctypes
import errno
import os
import re
import struct
from pathlib import Path

import pytest

import module as modules
from network import Pinger

TRACING = Path("/sys/kernel/tracing")
# The number of the system call perf_event_open(2), for each architecture.
PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}.get(os.uname().machine)
PERF_TYPE_BREAKPOINT, HW_BREAKPOINT_X, ATTR_SIZE = 5, 4, 112
EVERYWHERE = 0, -1
PINGS = 3


def hook():
    """Returns the name and the address of the function that decides about ICMP of IPv4."""
    symbols = Path("/proc/kallsyms").read_text(encoding="ascii")
    (address, name), = re.findall(r"^(\w+) t (_RNv\w*6nldemo4hook11decide_ipv4)\t", symbols, re.MULTILINE)
    return name, int(address, 16)


def breakpoint_at(address, cpu):
    """Opens a counter that counts how often the CPU runs the instruction at the address."""
    attr = struct.pack("=IIQQQQQIIQQ", PERF_TYPE_BREAKPOINT, ATTR_SIZE, 0, 0, 0, 0, 0, 0, HW_BREAKPOINT_X, address, 8)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(PERF_EVENT_OPEN, attr.ljust(ATTR_SIZE, b"\0"), -1, cpu, -1, 0)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return fd


def test_breakpoint_counts_calls_of_the_hook(module, loopback):
    """A breakpoint counts the calls of the hook. docs/debugging.md recommends a breakpoint instead of a
    kprobe."""
    _, address = hook()
    counters = [breakpoint_at(address, cpu) for cpu in range(os.cpu_count())]
    try:
        with Pinger(loopback.near, "127.0.0.1") as pinger:
            for _ in range(PINGS):
                pinger.ping()
        # Each ping is two packets: the request and the reply.
        assert sum(struct.unpack("=Q", os.read(fd, 8))[0] for fd in counters) == 2 * PINGS
    finally:
        for fd in counters:
            os.close(fd)


def test_kprobe_events_find_no_function(module):
    """If this test fails, kprobes can trace the module, and docs/debugging.md must be changed."""
    name, _ = hook()
    with pytest.raises(OSError) as refused:
        (TRACING / "kprobe_events").write_text(f"p:hook {name}\n", encoding="ascii")
    assert refused.value.errno == errno.EINVAL
    functions = (TRACING / "available_filter_functions").read_text(encoding="ascii")
    assert f"[{modules.NAME}]" not in functions
