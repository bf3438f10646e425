# SPDX-License-Identifier: GPL-2.0

"""Users without privileges, and the namespaces in which they have all privileges."""

import ctypes
import os
from pathlib import Path

NOBODY = 65534
PR_SET_DUMPABLE = 4


def become(uid):
    """Changes the calling process to this user, and drops all privileges."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def enter_new_namespaces():
    """Puts the calling process into a new user namespace, where it is root, and a new network namespace."""
    uid, gid = os.getuid(), os.getgid()
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    # The following lines do the same as unshare --map-root-user. A process that changed its user can write the
    # files in /proc/self only if it is dumpable.
    assert ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1) == 0
    for name, value in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"),
                        ("gid_map", f"0 {gid} 1")):
        Path("/proc/self", name).write_text(value, encoding="ascii")
