#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0

"""Checks that every file says under which licence it is, and that it is that of its folder; likewise
what the manifests of the peer's crates say, and COPYING.

usage: licences.py <LIST

LIST is the files to check, each with a NUL behind it.

Exit status: 0 all have theirs, 1 some have not.
"""

import re
import sys
from pathlib import Path

# The longest that a file's path begins with counts.
FOLDERS = {
    "": "GPL-2.0",
    # What the kernel's YNL takes, and no other.
    "uapi/": "((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)",
    "specs/": "((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)",
    # Crates for others.
    "userspace/system/": "MIT OR Apache-2.0",
    "userspace/netlink/": "MIT OR Apache-2.0",
    "userspace/nfqueue/": "MIT OR Apache-2.0",
    "userspace/sockdiag/": "MIT OR Apache-2.0",
    "userspace/sockfilter/": "MIT OR Apache-2.0",
}
# As a manifest has it.
PACKAGES = {"GPL-2.0": "GPL-2.0-only", "MIT OR Apache-2.0": "MIT OR Apache-2.0"}
# What has no place for it, and the licences themselves.
SILENT = re.compile(
    r"\.(md|lock|json|jsonl|txt|log)$"
    r"|(^|/)(LICENSE[^/]*|COPYING|\.gitattributes|\.gitignore|debian/(changelog|copyright|source/format))$"
)
SAID = re.compile(r"SPDX-License-Identifier: ([^\n]*?)(?: *(?:\*/|-->).*)?$", re.MULTILINE)


def folder(path):
    """The one of FOLDERS that a file is in."""
    return max((folder for folder in FOLDERS if path.startswith(folder)), key=len)


def said(path):
    """What the first lines of a file say."""
    with open(path, encoding="utf-8", errors="replace") as file:
        found = SAID.search("".join(file.readline() for _ in range(3)))
    return found and found[1]


def licence_of(manifest, workspace):
    """The licence of a package, which may be that of its workspace."""
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
