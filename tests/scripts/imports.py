#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0

"""Checks that no files of a crate of the peer import each other, directly or by way of others.

Cargo sees to that between crates. Within one, a file imports the modules that it declares and what
it names of others; so none takes anything from the file that declares it. Tests may take whatever
they like.

Exit status: 0 there is no circle, 1 there is one.
"""

import re
import sys
from pathlib import Path

USE = re.compile(r"^ *(?:pub(?:\([a-z: ]+\))? )?use ((?:crate|super|self)(?:::\w+)*)", re.MULTILINE)
TESTS = re.compile(r"^#\[cfg\(.*\btest\b.*\n(?:pub(?:\(\w+\))? )?mod tests \{$", re.MULTILINE)
PATH = re.compile(r"\b((?:crate|super)(?:::\w+)+)")


def crates(root):
    """The files with which libraries and programs begin."""
    for manifest in sorted(root.glob("**/Cargo.toml")):
        source = manifest.parent / "src"
        yield from (start for start in [source / "lib.rs", source / "main.rs",
                                        *sorted(source.glob("bin/*/main.rs"))] if start.exists())


def modules(start):
    """The files of a crate by the paths of their modules."""
    found = {(): start}
    waiting = [((), start, start.parent)]
    while waiting:
        path, file, directory = waiting.pop()
        for name in re.findall(r"^(?:pub(?:\([a-z]+\))? )?mod (\w+);", code(file), re.MULTILINE):
            for child in (directory / f"{name}.rs", directory / name / "mod.rs"):
                if child.exists():
                    found[(*path, name)] = child
                    waiting.append(((*path, name), child, directory / name))
    return found


def code(file):
    """What a file has besides tests and comments."""
    return re.sub(r"//.*", "", TESTS.split(file.read_text(encoding="utf-8"))[0])


def imports(path, text, files):
    """The modules that a module names: its own, and what it takes from others."""
    yield from (child for child in files if child[:-1] == path and child != path)
    for named in {*USE.findall(text), *PATH.findall(text)}:
        words = named.split("::")
        base = list(path)
        while words and words[0] in ("crate", "super", "self"):
            word = words.pop(0)
            base = [] if word == "crate" else base[:-1] if word == "super" else base
        words = (*base, *words)
        while words not in files:
            words = words[:-1]
        if words != path:
            yield words


def circles(graph):
    """The strongly connected parts of more than one module (Tarjan's algorithm)."""
    numbers, lowest, stack, found = {}, {}, [], []

    def visit(node):
        numbers[node] = lowest[node] = len(numbers)
        stack.append(node)
        for other in graph[node]:
            if other not in numbers:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], numbers[other])
        if lowest[node] == numbers[node]:
            place = stack.index(node)
            part = stack[place:]
            del stack[place:]
            if len(part) > 1:
                found.append(part)

    for node in graph:
        if node not in numbers:
            visit(node)
    return found


def main():
    root = Path(__file__).resolve().parents[2]
    count, bad = 0, False
    for start in crates(root / "userspace"):
        files = modules(start)
        count += len(files)
        graph = {path: sorted(set(imports(path, code(file), files)))
                 for path, file in files.items()}
        for part in circles(graph):
            bad = True
            print(f"{start.relative_to(root)}: these import each other:")
            for path in sorted(part):
                others = ", ".join(str(files[other].relative_to(root)) for other in graph[path] if other in part)
                print(f"  {files[path].relative_to(root)} imports {others}")
    if count < 50:
        sys.exit(f"only {count} files were found")
    sys.exit(bad)


if __name__ == "__main__":
    main()
