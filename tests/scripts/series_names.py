# SPDX-License-Identifier: GPL-2.0

"""Checks that the series for the kernel tree has what its sources use.

usage: series_names.py TREE        TREE is the source of the kernel with the series

Not all of this repository comes to the tree: macros stay behind, and so does what bindgen makes of C headers. A source
that uses such a name fails only when the tree is built, which takes minutes. Here, each word of a source of the series
is looked up instead: a word that is a name in this repository must be one in the tree.

Exit status: 0 the series has all names, 1 it lacks some.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ITEM = re.compile(r"\b(?:const|enum|fn|static|struct|trait|type|union) (?:mut )?(\w+)")
# Modules and macros are known by what is behind their names: variables have such names, too.
MODULE = re.compile(r"\bmod (\w+)")
MACRO = re.compile(r"\bmacro_rules! (\w+)")
WORDS = [re.compile(word) for word in (r"\w+", r"\w+::", r"\w+!")]
# Constants of C that bindgen evaluates. The tree has a prefix for them.
EVALUATED = re.compile(r"^(?:static )?const \w+ (?:RUST_CONST_HELPER_)?(\w+) =", re.MULTILINE)
# Numbers of the protocol: bindgen puts the name of an enum before those of its members.
PROTOCOL = re.compile(r"\w*NLDEMO_\w+")


def code(file):
    """A source without comments and strings."""
    return re.sub(r'"(?:[^"\\]|\\.)*"|//[^\n]*', "", file.read_text(encoding="utf-8"))


def names(files, helper):
    """What Rust sources define, and the C header that bindgen evaluates."""
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
    # What net/compat.rs passes on, the tree has. upstream/rust_source.py changes the imports.
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
