# SPDX-License-Identifier: GPL-2.0

"""The module's allocations, as the kernel's trace shows them."""

import os
import re
from mmap import PAGESIZE
from pathlib import Path

import pytest

from netlink import ECHO, Client, pack

TRACING = Path("/sys/kernel/debug/tracing")


def write(file, value):
    (TRACING / file).write_text(f"{value}\n", encoding="ascii")


@pytest.fixture
def allocations():
    """Returns a function that calls its argument, and returns the kmalloc() allocations that this thread made
    during the call: for each the size in bytes and the set of GFP flags."""
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


@pytest.mark.parametrize("pages", [1.5, 3.9, 7.3, 14.6])
def test_contiguous_pages_are_asked_for_without_retry(module, allocations, pages):
    """Bug: the module asks for contiguous pages without __GFP_NORETRY, so the kernel tries again and again.
    If memory is fragmented, the kernel in the end kills a process to get the pages."""
    size = int(pages * PAGESIZE)
    with Client(buffers=256 * PAGESIZE) as client:
        # Two requests are in one buffer, so the module cannot send this buffer back as a reply. It must
        # allocate replies.
        found = allocations(lambda: client.send(pack(ECHO, bytes(size)) * 2))
        assert [len(reply.payload) for reply in client.drain()] == [size] * 2
    large = [flags for length, flags in found if length > PAGESIZE]
    # At least one large allocation for the buffer of the requests, and one for each reply.
    assert len(large) >= 3, found
    assert all(flags & {"__GFP_NORETRY", "GFP_NOWAIT"} for flags in large), found
