# SPDX-License-Identifier: GPL-2.0

"""Loads and unloads the kernel module, and collects the messages of the kernel log."""

import ctypes
import errno
import os
import time
from pathlib import Path

import kernel_reports
import netlink

NAME = "rust_nldemo"
# The name of a copy of the module, for tests that need two modules. The copy is made by writing this name over
# NAME in the file, so both names have the same length.
TWIN = "rust_nldemX"

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYSCALLS = {"x86_64": (313, 176), "aarch64": (273, 106), "riscv64": (273, 106)}
_FINIT_MODULE, _DELETE_MODULE = _SYSCALLS[os.uname().machine]
# This file stays open, because each test reads it twice.
_TAINTED = os.open("/proc/sys/kernel/tainted", os.O_RDONLY)


def _syscall(number, *arguments):
    if _LIBC.syscall(number, *arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def insert(path, parameters=""):
    """Loads the module from a file. If the kernel refuses the module, raises OSError with the kernel's errno."""
    with open(path, "rb") as file:
        _syscall(_FINIT_MODULE, file.fileno(), parameters.encode(), 0)


def remove(name=NAME):
    """Unloads the module. If the kernel refuses, raises OSError: with EWOULDBLOCK if the module is in use."""
    _syscall(_DELETE_MODULE, name.encode(), os.O_NONBLOCK)


def remove_when_unused(name=NAME, timeout=netlink.DEADLINE):
    """Unloads the module as soon as nobody uses it."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return remove(name)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.0005)


def is_loaded(name=NAME):
    return os.path.exists(f"/sys/module/{name}")


def is_any_loaded():
    """Whether any out-of-tree module is loaded."""
    # If a module taints the kernel, its line in /proc/modules ends with flags in parentheses. O means "out of tree".
    lines = Path("/proc/modules").read_text(encoding="ascii").splitlines()
    return any("O" in line.rpartition("(")[2] for line in lines if line.endswith(")"))


def taints():
    return int(os.pread(_TAINTED, 32, 0))


def make_twin(path, directory):
    """Makes a copy of the module under the name TWIN, so that module and copy can be loaded at the same time."""
    image = Path(path).read_bytes()
    name, twin = NAME.encode() + b"\0", TWIN.encode() + b"\0"
    assert len(name) == len(twin) and image.count(name) >= 2, "modinfo and struct module name it"
    copy = Path(directory, f"{TWIN}.ko")
    copy.write_bytes(image.replace(name, twin))
    return copy


class KernelLog:
    """The messages of the kernel log after this object was made."""

    def __init__(self):
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._lines = []

    def close(self):
        os.close(self._fd)

    @property
    def lines(self):
        while True:
            try:
                record = os.read(self._fd, 8192).decode(errors="replace")
            except BlockingIOError:
                return self._lines
            except OSError as error:
                assert error.errno == errno.EPIPE, error
                raise AssertionError("kernel messages were lost before they were read") from error
            # A record is a line "priority,sequence,time,flags;text", then lines " KEY=value".
            self._lines.append(record.split(";", 1)[1].split("\n", 1)[0])

    def alarms(self):
        return list(kernel_reports.reports(self.lines))

    def of_module(self, name=NAME):
        """The messages that the module itself logged, without those of the kernel about loading the module."""
        return [line for line in self.lines if line.startswith(f"{name}:")
                and "taint" not in line and "verification failed" not in line]
