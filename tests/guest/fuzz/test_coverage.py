# SPDX-License-Identifier: GPL-2.0

"""The debug kernel records which code of the module a system call ran (KCOV)."""

import ctypes
import fcntl
import mmap
import os
from pathlib import Path

from module import NAME
from netlink import ECHO, Client, pack

KCOV = Path("/sys/kernel/debug/kcov")
INIT_TRACE, ENABLE, DISABLE = 0x80086301, 0x6364, 0x6365
TRACE_PC = 0
WORDS = 1 << 16


# Python's mmap.mmap() needs a file with a size. KCOV's file has none, so the test calls mmap() of the C
# library.
MMAP = ctypes.CDLL(None, use_errno=True).mmap
MMAP.restype = ctypes.c_void_p
MMAP.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                 ctypes.c_long)


def covered(function):
    """Returns the addresses of the module's code that `function()` ran. Only the module is built with
    coverage."""
    fd = os.open(KCOV, os.O_RDWR)
    try:
        fcntl.ioctl(fd, INIT_TRACE, WORDS)
        address = MMAP(None, 8 * WORDS, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
        assert address != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())
        trace = (ctypes.c_uint64 * WORDS).from_address(address)
        fcntl.ioctl(fd, ENABLE, TRACE_PC)
        function()
        fcntl.ioctl(fd, DISABLE, 0)
    finally:
        os.close(fd)
    return set(trace[1:trace[0] + 1])


def test_each_kind_of_request_covers_code_of_its_own(module):
    """Bug: the module is built without coverage. Then a fuzzer could not see which code an input reaches."""
    with Client() as client:
        echo = covered(lambda: client.send(pack(ECHO, b"payload")))
        unknown = covered(lambda: client.send(pack(0x7FFF)))
        assert client.receive().payload == b"payload"
        assert client.ack().errno
    assert echo - unknown and unknown - echo

    (module_line,) = (line for line in Path("/proc/modules").read_text(encoding="ascii").splitlines()
                      if line.startswith(f"{NAME} "))
    size, start = int(module_line.split()[1]), int(module_line.split()[5], 16)
    assert all(start <= address < start + size for address in echo | unknown)
