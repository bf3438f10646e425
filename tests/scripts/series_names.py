# SPDX-License-Identifier: GPL-2.0

"""Checks that the patch series for the kernel tree has all names that its sources use.

usage: series_names.py TREE        TREE is the source of the kernel with the series

The patch series leaves out some parts of this repository: macros, and items that bindgen makes from C headers. If a
source uses one of their names, the build of the tree fails, but only after minutes. This check takes less time. It
looks up each word in the sources of the patch series: a word that is a name in this repository must also be a name in
the tree.

Exit status: 0 the series has all names, 1 it lacks some.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ITEM = re.compile(r"\b(?:const|enum|fn|static|struct|trait|type|union) (?:mut )?(\w+)")
# Variables can have the same names as modules and macros. So only a name before "::" is a module, and only a name
# before "!" is a macro.
MODULE = re.compile(r"\bmod (\w+)")
MACRO = re.compile(r"\bmacro_rules! (\w+)")
WORDS = [re.compile(word) for word in (r"\w+", r"\w+::", r"\w+!")]
# Constants of C that bindgen evaluates. In the tree their names have the prefix RUST_CONST_HELPER_.
EVALUATED = re.compile(r"^(?:static )?const \w+ (?:RUST_CONST_HELPER_)?(\w+) =", re.MULTILINE)
# The names of the numbers in uapi/nldemo.h. bindgen puts the name of an enum before the names of its members.
PROTOCOL = re.compile(r"\w*NLDEMO_\w+")


def code(file):
    """A source without comments and strings."""
    return re.sub(r'"(?:[^"\\]|\\.)*"|//[^\n]*', "", file.read_text(encoding="utf-8"))


def names(files, helper):
    """The names that Rust sources and the C header for bindgen define."""
    text = "".join(map(code, files))
    return {
        *ITEM.findall(text),
        *(f"{name}::" for name in MODULE.findall(text)),
        *(f"{name}!" for name in MACRO.findall(text)),
        *EVALUATED.findall(helper.read_text(encoding="utf-8")),
    }


def main(tree):
    rust, samples = tree / "rust", tree / "samples/rust"
    series = [*(rust / "kernel/net").rglob("*.rs"), samples / "rust_nldemo.rs", *(samples / "nldemo").rglob("*.rs")]
    # net/compat.rs is left out, because the series leaves it out: the tree itself has the items that net/compat.rs
    # re-exports, and upstream/rust_source.py changes the imports of these items.
    ours = [ROOT / "rust_nldemo.rs", *(ROOT / "nldemo").rglob("*.rs"), *(ROOT / "net").rglob("*.rs")]
    here = names([file for file in ours if file != ROOT / "net/compat.rs"], ROOT / "net/bindings_helper.h")
    theirs = [file for crate in ("kernel", "macros", "pin-init") for file in (rust / crate).rglob("*.rs")]
    there = names(theirs + series, rust / "bindings/bindings_helper.h") | {f"{crate.name}::" for crate in rust.iterdir()}
    lacking = [
        f"{file.relative_to(tree)}: {word}"
        for file in sorted(series)
        for word in sorted({word for words in WORDS for word in words.findall(code(file))})
        if (word in here or PROTOCOL.fullmatch(word)) and word not in there
    ]
    for line in lacking:
        print(f"{line} is no name of the tree", file=sys.stderr)
    return bool(lacking)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
