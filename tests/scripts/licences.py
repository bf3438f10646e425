#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0

"""Checks that every file names the licence of its folder. The manifests of the peer's crates and COPYING must
name the same licences.

usage: licences.py <LIST

LIST has the files to check. A NUL ends each file name.

Exit status: 0 all licences are right, 1 some are not.
"""

import re
import sys
from pathlib import Path

# The licence of each folder. If the names of several folders begin a file's path, the longest name counts.
FOLDERS = {
    "": "GPL-2.0",
    # The kernel's YNL tools accept specifications only under this licence. uapi/ has the licence of its specification.
    "uapi/": "((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)",
    "specs/": "((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)",
    # The crates that other programs can use, too.
    "userspace/system/": "MIT OR Apache-2.0",
    "userspace/netlink/": "MIT OR Apache-2.0",
    "userspace/nfqueue/": "MIT OR Apache-2.0",
    "userspace/sockdiag/": "MIT OR Apache-2.0",
    "userspace/sockfilter/": "MIT OR Apache-2.0",
}
# The names that the manifests (Cargo.toml) have for licences of FOLDERS.
PACKAGES = {"GPL-2.0": "GPL-2.0-only", "MIT OR Apache-2.0": "MIT OR Apache-2.0"}
# The files that need no licence line: their format has no place for it, or they are texts of licences.
SILENT = re.compile(
    r"\.(md|lock|json|jsonl|txt|log)$"
    r"|(^|/)(LICENSE[^/]*|COPYING|\.gitattributes|\.gitignore|debian/(changelog|copyright|source/format))$"
)
SAID = re.compile(r"SPDX-License-Identifier: ([^\n]*?)(?: *(?:\*/|-->).*)?$", re.MULTILINE)


def folder(path):
    """The entry of FOLDERS for a file."""
    return max((folder for folder in FOLDERS if path.startswith(folder)), key=len)


def said(path):
    """The licence in the first three lines of a file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        found = SAID.search("".join(file.readline() for _ in range(3)))
    return found and found[1]


def licence_of(manifest, workspace):
    """The licence of a package. If the package's manifest refers to the workspace, it is the workspace's licence."""
    text = Path(manifest).read_text(encoding="utf-8")
    if "\nlicense.workspace = true\n" in text:
        text = workspace
    found = re.search(r'^license = "(.*)"$', text, re.MULTILINE)
    return found and found[1]


def main():
    bad = False
    for path in filter(None, sys.stdin.read().split("\0")):
        expected = FOLDERS[folder(path)]
        if not SILENT.search(path) and Path(path).stat().st_size and said(path) != expected:
            bad = True
            print(f"{path}: no 'SPDX-License-Identifier: {expected}' in its first three lines")
    copying = Path("COPYING").read_text(encoding="utf-8")
    exceptions, _, text = copying.partition("\n-----")
    for exception, licence in FOLDERS.items():
        if exception and (exception.rstrip("/") not in exceptions or licence not in exceptions):
            bad = True
            print(f"COPYING: does not say that {exception} is under {licence}")
    if not text.endswith(Path("LICENSES/GPL-2.0-only.txt").read_text(encoding="utf-8")):
        bad = True
        print("COPYING: does not end with LICENSES/GPL-2.0-only.txt")
    workspace = Path("userspace/Cargo.toml").read_text(encoding="utf-8")
    members = re.search(r"^members = \[(.*)\]$", workspace, re.MULTILINE)[1]
    for member in re.findall(r'"(.*?)"', members):
        expected = PACKAGES[FOLDERS[folder(f"userspace/{member}/")]]
        licence = licence_of(f"userspace/{member}/Cargo.toml", workspace)
        if licence != expected:
            bad = True
            print(f"userspace/{member}/Cargo.toml: license is '{licence}', not '{expected}'")
        for text in ("LICENSE-MIT", "LICENSE-APACHE") if " OR " in expected else ("LICENSE",):
            if not Path("userspace", member, text).exists():
                bad = True
                print(f"userspace/{member}: there is no {text}")
    sys.exit(bad)


if __name__ == "__main__":
    main()
