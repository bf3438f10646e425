# SPDX-License-Identifier: GPL-2.0

"""Memory of the kernel that the tests leaked. conftest.py runs this test last."""

import os
import socket
import time
from pathlib import Path

from netlink import DEADLINE
from network import pinned

KMEMLEAK = Path("/sys/kernel/debug/kmemleak")
# kmemleak reports an object only if it is at least this old, in seconds (MSECS_MIN_AGE), and did not change
# since the scan before.
MIN_AGE = 5.0
# More buffers than the kernel caches for one CPU (NAPI_SKB_CACHE_SIZE), but not more than one socket can
# receive.
MANY_BUFFERS = 150


def _fill_caches_of_socket_buffers():
    """Makes each CPU overwrite the old pointers in its cache of socket buffers.

    When the cache hands out a buffer, the pointer to the buffer stays in the cache (napi_skb_cache_get()).
    kmemleak does not report a lost buffer while such a pointer exists.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.connect(client.getsockname())
        client.settimeout(DEADLINE)
        for cpu in os.sched_getaffinity(0):
            with pinned(cpu):
                for _ in range(MANY_BUFFERS):
                    client.send(b"")
                for _ in range(MANY_BUFFERS):
                    client.recv(1)


def test_no_memory_is_leaked():
    """Bug: memory is not used any more, but not freed. The test finds leaks of the module and of the rest of
    the kernel."""
    _fill_caches_of_socket_buffers()
    KMEMLEAK.write_text("scan", encoding="ascii")
    time.sleep(MIN_AGE + 1)
    KMEMLEAK.write_text("scan", encoding="ascii")
    report = KMEMLEAK.read_text(encoding="ascii")
    assert not report, report[:20_000]
