# SPDX-License-Identifier: GPL-2.0

"""Memory of the kernel that the tests leaked. conftest.py runs this test last."""

import os
import socket
import time
from pathlib import Path

from netlink import DEADLINE
from network import pinned

KMEMLEAK = Path("/sys/kernel/debug/kmemleak")
# kmemleak does not report younger objects (MSECS_MIN_AGE), nor those that changed since its last scan.
MIN_AGE = 5.0
# More than a CPU keeps for later (NAPI_SKB_CACHE_SIZE), and no more than wait for a socket.
MANY_BUFFERS = 150


def _fill_caches_of_socket_buffers():
    """Has each CPU put buffers over its pointers to those that it had for later, and gave out since.

    A lost one is not suspected while such a pointer to it is left (napi_skb_cache_get()).
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
    """Bug: memory is neither used nor freed, whoever allocated it."""
    _fill_caches_of_socket_buffers()
    KMEMLEAK.write_text("scan", encoding="ascii")
    time.sleep(MIN_AGE + 1)
    KMEMLEAK.write_text("scan", encoding="ascii")
    report = KMEMLEAK.read_text(encoding="ascii")
    assert not report, report[:20_000]
