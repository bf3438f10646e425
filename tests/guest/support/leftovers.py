# SPDX-License-Identifier: GPL-2.0

"""Finds and frees processes, files, namespaces and threads that a test leaves behind. These objects would
keep the module in use or a network namespace alive, and so later tests would fail."""

import ctypes
import gc
import os
import select
import signal
import subprocess
import threading
from pathlib import Path

from netlink import DEADLINE, SLOW, wait_until
from network import numbered

PR_SET_CHILD_SUBREAPER = 36

_LIBC = ctypes.CDLL(None, use_errno=True)
_HOME = os.open("/proc/self/ns/net", os.O_RDONLY)


def adopt_orphans():
    """After this call, if a descendant of this process ends before its own children, these children become
    children of this process. So `Leftovers` finds all descendants."""
    if _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


# For each kind of object there are two functions. The first one lists the objects, as {key: description}. The
# second one frees the object with a key, and returns whether that worked. An object without a description is
# freed, but not reported.

def _places():
    place = os.readlink("/proc/thread-self/ns/net")
    return {place: f"the test's own thread in {place}"}


def _go_home(_):
    os.setns(_HOME, os.CLONE_NEWNET)
    return True


def _processes():
    """Lists the children of this process. A child that has already ended has no description."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return {}
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (directory / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid():
            pid = int(directory.name)
            found[pid] = f"process {pid}: {command}" if state not in "ZX" else None
    return found


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
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            file = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            # This was the descriptor with which listdir() read the directory.
            continue
        if file != os.devnull:
            found[int(number), file] = f"file descriptor {number}: {file}"
    return found


def _close(key):
    """Closes the file, but keeps the descriptor's number in use: the object that owns the number may still
    close it, and must not close another file."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, key[0], inheritable=False)
    os.close(null)
    return True


def _mounts():
    """Lists the mounts that give a network namespace a name, as `ip netns add` does."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    places = {line.split()[4] for line in lines if " - nsfs " in line}
    return {place: f"network namespace mounted at {place}" for place in places}


def _unmount(place):
    done = subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)
    Path(place).unlink(missing_ok=True)
    return done.returncode == 0


def _threads():
    return {thread: f"thread {thread.name}" for thread in threading.enumerate()}


def _join(thread):
    # Nothing can end a thread from outside. But the thread may have waited for an object that was freed just
    # now.
    thread.join(DEADLINE / 20)
    return not thread.is_alive()


_KINDS = ((_places, _go_home), (_processes, _kill), (_descriptors, _close), (_mounts, _unmount),
          (_threads, _join))


class Leftovers:
    """Finds and frees the objects that were made after this object, and still exist."""

    def __init__(self):
        self._before = {there: set(there()) for there, _ in _KINDS}
        self._namespaces = numbered()

    def free(self):
        """Frees all objects that were made after this object. Returns {description: whether that worked}."""
        found = {}
        for there, free in _KINDS:
            seen = self._before[there].copy()

            def new(there=there, seen=seen):
                return {key: text for key, text in there().items() if key not in seen}

            if there is _descriptors and new():
                # Objects that are only referred to by each other are collected, and so close their files.
                gc.collect()
            # When a killed process ends, its children become children of this process. So the list is read
            # again.
            while these := new():
                for key, text in these.items():
                    seen.add(key)
                    freed = free(key)
                    if text:
                        found[text] = freed
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
