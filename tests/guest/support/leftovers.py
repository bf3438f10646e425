# SPDX-License-Identifier: GPL-2.0

"""Finds and frees processes, files, namespaces and threads that a test leaves behind. These objects would
keep the module in use or a network namespace alive, and so later tests would fail."""

import ctypes
import errno
import gc
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from netlink import DEADLINE, SLOW, wait_until
from network import numbered

PR_SET_CHILD_SUBREAPER = 36

_LIBC = ctypes.CDLL(None, use_errno=True)
_HOME = os.open("/proc/self/ns/net", os.O_RDONLY)
_NULL = os.stat(os.devnull).st_dev, os.stat(os.devnull).st_ino


def adopt_orphans():
    """After this call, if a descendant of this process ends before its own children, these children become
    children of this process. So `Leftovers` finds all descendants."""
    if _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


class Kind(NamedTuple):
    """A kind of object."""

    # Returns a set with a key for each object that exists. This function runs several times for each test.
    keys: Callable
    # Returns a description of the object with this key. An object without a description is freed, but not
    # reported.
    describe: Callable
    # Frees the object with this key, and returns whether that worked.
    free: Callable


def _places():
    return {os.readlink("/proc/thread-self/ns/net")}


def _go_home(_):
    os.setns(_HOME, os.CLONE_NEWNET)
    return True


def _children():
    """Returns the children of this process, also those that have already ended."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    return {int(directory.name) for directory in Path("/proc").glob("[0-9]*")
            if _status(directory)[1] == str(os.getpid())}


def _status(directory):
    """The state of a process and the number of its parent. Both are empty if the process has gone."""
    try:
        return (directory / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return "", ""


def _command(pid):
    """Describes a process. A process that has already ended has no description."""
    directory = Path("/proc", str(pid))
    if _status(directory)[0] in ("Z", "X", ""):
        return None
    command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return f"process {pid}: {command}"


def _kill(pid):
    # Until waitpid(), the process stays a zombie, so no other process can get its number.
    os.kill(pid, signal.SIGKILL)
    process = os.pidfd_open(pid)
    try:
        if not select.select([process], [], [], DEADLINE)[0]:
            return False
    finally:
        os.close(process)
    os.waitpid(pid, 0)
    return True


def _descriptors():
    """Returns each open descriptor with the file's device and inode."""
    found = set()
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            # readlink() would take much longer: it looks up a path and builds another one.
            file = os.fstat(number)
        except OSError as error:
            # This was the descriptor with which listdir() read the directory.
            assert error.errno == errno.EBADF, error
            continue
        if (file.st_dev, file.st_ino) != _NULL:
            found.add((number, file.st_dev, file.st_ino))
    return found


def _file(key):
    return f"file descriptor {key[0]}: {os.readlink(f'/proc/self/fd/{key[0]}')}"


def _close(key):
    """Closes the file, but keeps the descriptor's number in use: the object that owns the number may still
    close it, and must not close another file."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, key[0], inheritable=False)
    os.close(null)
    return True


class _Mounts:
    """The mounts that give a network namespace a name, as `ip netns add` does."""

    def __init__(self):
        # The kernel reports POLLPRI once after each change of the mounts.
        self._file = open("/proc/self/mountinfo", encoding="utf-8")  # pylint: disable=consider-using-with
        self._changes = select.poll()
        self._changes.register(self._file, select.POLLPRI)
        self._places = self._read()

    def _read(self):
        self._file.seek(0)
        return {line.split()[4] for line in self._file if " - nsfs " in line}

    def places(self):
        """Where these mounts are. Reads the list of mounts only after a change."""
        if self._changes.poll(0):
            self._places = self._read()
        return self._places


def _unmount(place):
    done = subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)
    Path(place).unlink(missing_ok=True)
    return done.returncode == 0


def _join(thread):
    # Nothing can end a thread from outside. But the thread may have waited for an object that was freed just
    # now.
    thread.join(DEADLINE / 20)
    return not thread.is_alive()


_FILES = Kind(_descriptors, _file, _close)
_KINDS = (
    Kind(_places, lambda place: f"the test's own thread in {place}", _go_home),
    Kind(_children, _command, _kill),
    _FILES,
    Kind(_Mounts().places, lambda place: f"network namespace mounted at {place}", _unmount),
    Kind(lambda: set(threading.enumerate()), lambda thread: f"thread {thread.name}", _join),
)


class Leftovers:
    """Finds and frees the objects that were made after this object, and still exist."""

    def __init__(self):
        self._before = {kind: kind.keys() for kind in _KINDS}
        self._namespaces = numbered()

    def free(self):
        """Frees all objects that were made after this object. Returns {description: whether that worked}."""
        found = {}
        for kind, seen in self._before.items():
            seen = seen.copy()
            new = kind.keys() - seen
            if kind is _FILES and new:
                # Objects that are only referred to by each other are collected, and so close their files.
                gc.collect()
                new = kind.keys() - seen
            while new:
                for key, text in {key: kind.describe(key) for key in new}.items():
                    freed = kind.free(key)
                    if text:
                        found[text] = freed
                seen |= new
                # When a killed process ends, its children become children of this process.
                new = kind.keys() - seen
        return found

    def namespaces_are_gone(self):
        """Whether all network namespaces that were made after this object are gone."""
        return numbered() <= self._namespaces

    def wait_for_namespaces(self):
        """Waits until all network namespaces that were made after this object are gone, but not longer than
        the deadline. Returns {description: False} for those that remain.

        The kernel destroys a namespace some time after its last file was closed, because it frees sockets
        after a grace period of RCU.
        """
        try:
            # On a slow kernel each check takes long, so the checks are less frequent.
            wait_until(self.namespaces_are_gone, interval=0.005 * SLOW)
            return {}
        except TimeoutError:
            return {f"network namespace number {number}": False
                    for number in numbered() - self._namespaces}
