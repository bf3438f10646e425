# SPDX-License-Identifier: GPL-2.0

"""Users without rights, and the namespaces of their own in which they have all."""

import ctypes
import os
from pathlib import Path

NOBODY = 65534
PR_SET_DUMPABLE = 4


def become(uid):
    """Gives up all rights of the calling process for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def enter_new_namespaces():
    """Puts the calling process into a user namespace, whose root it is, and a network namespace."""
    uid, gid = os.getuid(), os.getgid()
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    # As unshare --map-root-user does; a process that changed its user must be allowed to.
    assert ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1) == 0
    for name, value in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"),
                        ("gid_map", f"0 {gid} 1")):
        Path("/proc/self", name).write_text(value, encoding="ascii")
