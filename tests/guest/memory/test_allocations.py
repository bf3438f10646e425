# SPDX-License-Identifier: GPL-2.0

"""The module's allocations, as the kernel's trace shows them."""

import os
import re
from pathlib import Path

import pytest

from netlink import ECHO, Client, pack

TRACING = Path("/sys/kernel/debug/tracing")
PAGE = os.sysconf("SC_PAGE_SIZE")


def write(file, value):
    (TRACING / file).write_text(f"{value}\n", encoding="ascii")


@pytest.fixture
def allocations():
    """Calls a function, and returns the allocations that its thread made with kmalloc() meanwhile:
    pairs of a size in bytes and a set of flags."""
    def allocations(function):
        write("trace", "")
        write("events/kmem/kmalloc/enable", 1)
        try:
            function()
        finally:
            write("events/kmem/kmalloc/enable", 0)
        trace = (TRACING / "trace").read_text(encoding="ascii")
        return [(int(size), set(flags.split("|"))) for size, flags in re.findall(
            r" kmalloc: .*bytes_req=(\d+) .*gfp_flags=(\S+)", trace)]

    write("set_event_pid", os.getpid())
    yield allocations
    write("set_event_pid", "")


@pytest.mark.parametrize("size", [6_000, 16_000, 30_000, 60_000])
def test_contiguous_pages_are_asked_for_without_retry(module, allocations, size):
    """Bug: an allocation of contiguous pages lets the allocator retry without limit. If memory is fragmented, the
    allocator in the end kills a process."""
    with Client(buffers=1 << 20) as client:
        # Two requests share a buffer, so neither is sent back in it.
        found = allocations(lambda: client.send(pack(ECHO, bytes(size)) * 2))
        assert [len(reply.payload) for reply in client.drain()] == [size] * 2
    large = [flags for length, flags in found if length > PAGE]
    # The allocations for the request and for the replies.
    assert len(large) >= 3, found
    assert all(flags & {"__GFP_NORETRY", "GFP_NOWAIT"} for flags in large), found
