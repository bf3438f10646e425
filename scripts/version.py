# SPDX-License-Identifier: GPL-2.0

"""The version of the project: one for the module, the program, the crates and the packages.

usage: version.py            prints the version, if it is the same in all places
       version.py VERSION    makes a release: writes VERSION to all places, and dates the changelogs

userspace/Cargo.toml is the source of the version. The other files need a copy, because rustc, dpkg and
readers do not read that file.

Exit status: 0 done, 1 places differ, 2 usage error.
"""

import re
import sys
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = r"(\d+\.\d+\.\d+)"
CRATES = "knetlink|linux-names|nfnetlink-queue|nldemo|sockdiag|sockfilter"
# For each place: the file, a pattern for the text before the version, and how many times the version is
# there.
PLACES = [
    ("userspace/Cargo.toml", r'^version = "', 1),
    ("userspace/Cargo.toml", r'^[\w-]+ = \{ path = "\w+", version = "', 5),
    ("userspace/Cargo.lock", rf'^name = "(?:{CRATES})"\nversion = "', 6),
    ("fuzz/Cargo.lock", rf'^name = "(?:{CRATES})"\nversion = "', 6),
    ("rust_nldemo.rs", r'^net::module_version!\("', 1),
]
# A changelog begins with its newest entry.
CHANGELOGS = [("debian/changelog", r"\Arust-nldemo \("), ("packaging/sdk/debian/changelog", r"\Alinux-rust-sdk \(")]
UNRELEASED = "## Unreleased\n"
# The line for Cargo.toml in this README has only the first two numbers of the version, so that cargo accepts
# compatible versions.
README, ASKED = "userspace/nfqueue/README.md", r'(nfnetlink-queue = \{ version = ")(\d+\.\d+)"'


def read(path):
    """Returns the content of a file of the checkout."""
    return (ROOT / path).read_text(encoding="utf-8")


def differing(version):
    """Yields the places that do not have this version."""
    for path, before, count in PLACES:
        found = re.findall(before + VERSION, read(path), re.MULTILINE)
        if found != [version] * count:
            yield f"{path}: {', '.join(found) or 'none'}"
    for path, before in CHANGELOGS:
        found = re.search(before + VERSION, read(path))
        if not found or found[1] != version:
            yield f"{path}: {found[1] if found else 'none'}"
    asked = re.search(ASKED, read(README))
    if not asked or not version.startswith(f"{asked[2]}."):
        yield f"{README}: {asked[2] if asked else 'none'}"
    if not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", read("CHANGELOG.md"), re.MULTILINE):
        yield "CHANGELOG.md: no chapter"


def write(version):
    """Writes the version to all places, and makes a chapter or an entry for it in the changelogs."""
    now = datetime.now(timezone.utc)
    for path, before, _ in PLACES:
        text = re.sub(f"({before}){VERSION}", rf"\g<1>{version}", read(path), flags=re.MULTILINE)
        (ROOT / path).write_text(text, encoding="utf-8")
    for path, _ in CHANGELOGS:
        text = read(path)
        package, maintainer = text.split(" ", 1)[0], re.search(r"^ -- (.*?)  ", text, re.MULTILINE)[1]
        entry = (f"{package} ({version}) unstable; urgency=medium\n\n  * CHANGELOG.md lists the changes.\n\n"
                 f" -- {maintainer}  {now:%a, %d %b %Y %H:%M:%S} +0000\n\n")
        (ROOT / path).write_text(entry + text, encoding="utf-8")
    compatible = version.rsplit(".", 1)[0]
    (ROOT / README).write_text(re.sub(ASKED, rf'\g<1>{compatible}"', read(README)), encoding="utf-8")
    changes = read("CHANGELOG.md").replace(UNRELEASED, f"{UNRELEASED}\n## {version} - {now:%Y-%m-%d}\n", 1)
    (ROOT / "CHANGELOG.md").write_text(changes, encoding="utf-8")


def main():
    """If there is an argument, writes it as the new version. Then prints the version."""
    if sys.argv[2:] or (sys.argv[1:] and not re.fullmatch(VERSION, sys.argv[1])):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    if sys.argv[1:]:
        write(sys.argv[1])
    version = re.search(PLACES[0][1] + VERSION, read(PLACES[0][0]), re.MULTILINE)[1]
    found = list(differing(version))
    if found:
        sys.exit(f"userspace/Cargo.toml has version {version}; these files have another version:\n" + "\n".join(found))
    print(version)


if __name__ == "__main__":
    main()
