# SPDX-License-Identifier: GPL-2.0

"""Compares docs/unsafe.md with the sources. Every item of net/ with unsafe code must have a row, which counts the
unsafe code and names a test that exists. The tests and mutants that docs/soundness.md names must exist, too.

usage: soundness.py [--rows]

A row is "| `Item` | what | why | tests |" below a heading "## `net/FILE`". "what" is the number of `unsafe` blocks,
with "fn" before it for an unsafe function; or it is "impl" or "trait". A name in the last column is a test in
tests/guest or tests/host, SUITE.TEST of KUnit, or a mutant. "none: WHY" says why there is no test.

  --rows  only prints the first columns of all rows, from the sources

Exit status: 0 all agrees, 1 something does not.
"""

import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "docs/unsafe.md"
ARGUMENT = ROOT / "docs/soundness.md"


def code(text):
    """Rust source without comments and literals, and without semicolons that end no statement, as in [u8; 4]."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/|'(?:\\.[^']*|[^'\\])'", " ", text, flags=re.DOTALL)
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text, flags=re.DOTALL)
    return re.sub(r"\[[^][;]*;", lambda match: match[0][:-1], text)


def without_generics(text):
    """The header of an item without the parts in angle brackets."""
    text, found = text.replace("->", ""), 1
    while found:
        text, found = re.subn(r"<[^<>]*>", "", text)
    return text


def scope(header):
    """Reads the text before a "{". Returns the name of the function, type, trait or module that begins there, and
    "fn", "impl TRAIT" or "trait" if it is unsafe."""
    plain = " ".join(without_generics(header).split())
    if match := re.search(r"\b(unsafe )?(?:extern \"\" )?fn (\w+)", plain):
        return match[2], "fn" if match[1] else None
    if match := re.search(r"\b(unsafe )?impl (?:(\w+) for )?(\$?\w+|\(.*?\))", plain):
        return match[3], f"impl {match[2]}" if match[1] else None
    if match := re.search(r"\b(unsafe )?trait (\w+)", plain):
        return match[2], "trait" if match[1] else None
    if match := re.search(r"\bmod (\w+)", plain):
        return match[1], None
    return None, None


def unsafe_items(text):
    """Maps items to their unsafe code, in the form of the column "what"."""
    names, header, blocks, functions, others = [], "", Counter(), set(), {}
    for part in re.split(r"([{};])", code(text)):
        if part == "{":
            name, unsafe = scope(header)
            names.append(name)
            item = "::".join(filter(None, names))
            if unsafe == "fn":
                functions.add(item)
            elif unsafe == "trait":
                others[item] = unsafe
            elif unsafe:
                others[f"{unsafe.removeprefix('impl ')} for {item}"] = "impl"
            elif header.rstrip().endswith("unsafe"):
                blocks[item] += 1
            header = ""
        elif part == "}":
            names.pop()
            header = ""
        elif part == ";":
            header = ""
        else:
            header = part
    for item in dict.fromkeys([*blocks, *functions]):
        others[item] = " ".join(["fn"] * (item in functions) + [str(blocks[item])] * (item in blocks))
    return others


def from_sources():
    """Maps files and items to their unsafe code, from the sources."""
    return {
        (str(path.relative_to(ROOT)), item): what
        for path in sorted(ROOT.glob("net/**/*.rs"))
        for item, what in unsafe_items(path.read_text()).items()
    }


def from_document(text):
    """Maps files and items to their unsafe code and the column of tests, from the document."""
    file, rows = None, {}
    for line in text.splitlines():
        if line.startswith("#"):
            match = re.fullmatch(r"## `(net/.*)`", line)
            file = match and match[1]
        elif file and line.startswith("| `"):
            item, what, _why, named = (cell.strip() for cell in line.strip("|").split("|"))
            rows[file, item.strip("`")] = what, named
    return rows


def tests():
    """The names of all tests and mutants."""
    names = {path.stem for path in ROOT.glob("tests/mutants/*.mutant")}
    for path in ROOT.glob("tests/guest/*/test_*.py"):
        names.update(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    for path in ROOT.glob("tests/host/src/test_*.rs"):
        names.update(re.findall(r"^\s*fn (\w+)\(", path.read_text(), re.MULTILINE))
    for top in "net", "nldemo":
        for path in ROOT.glob(f"{top}/**/*.rs"):
            for suite, body in re.findall(r"kunit_tests\((\w+)\)\]\n(.*?\n)}", path.read_text(), re.DOTALL):
                names.update(f"{suite}.{test}" for test in re.findall(r"#\[test\]\s+fn (\w+)", body))
    return names


def about_list(sources, text, known):
    document = from_document(text)
    for (file, item), what in sources.items():
        if (file, item) not in document:
            yield f"{file}: {item}: there is no row for it ({what})"
        elif document[file, item][0] != what:
            yield f"{file}: {item}: the row says '{document[file, item][0]}', the source '{what}'"
    for (file, item), (_, named) in document.items():
        if (file, item) not in sources:
            yield f"{file}: {item}: there is nothing unsafe of that name"
        names = [] if named.startswith("none: ") else re.findall(r"`([^`]+)`", named) or [named]
        yield from (f"{file}: {item}: there is no test '{name}'" for name in names if name not in known)
    blocks = sum(int(number) for what in sources.values() for number in re.findall(r"\d+", what))
    if f"{blocks} `unsafe` blocks" not in text:
        yield f"there are {blocks} `unsafe` blocks, which the text does not say"


def about_argument(text, known):
    known = known | {name.split(".")[0] for name in known} | {path.name for path in ROOT.glob("tests/guest/*/*.py")}
    for name in sorted(set(re.findall(r"`([a-z]+(?:-[a-z]+)+|(?:test|rust)_[\w.]+)`", text)) - known):
        yield f"there is no test or mutant '{name}'"


def complaints():
    known = tests()
    for complaint in about_list(from_sources(), LIST.read_text(), known):
        yield f"{LIST.relative_to(ROOT)}: {complaint}"
    for complaint in about_argument(ARGUMENT.read_text(), known):
        yield f"{ARGUMENT.relative_to(ROOT)}: {complaint}"


if sys.argv[1:] == ["--rows"]:
    for (file, item), what in from_sources().items():
        print(f"{file} | `{item}` | {what} |")
elif sys.argv[1:]:
    sys.exit(__doc__)
else:
    found = list(complaints())
    for complaint in found:
        print(complaint)
    sys.exit(bool(found))
