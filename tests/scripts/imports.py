#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0

"""Checks that no two files of a crate import each other, directly or through other files. It checks the crate of
the kernel module, which includes net/, and the crates in userspace/.

Cargo itself refuses crates that import each other. Within a crate, a file imports the modules that it declares
and the modules whose items it names. So a file must not use items of the file that declares it. The tests in a
file are not checked: they can use any items. net/ is a library, so it must not import files of the module that
includes it.

Exit status: 0 there is no circle, 1 there is one.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

USE = re.compile(r"^ *(?:pub(?:\([a-z: ]+\))? )?use ([^;]+);", re.MULTILINE)
TESTS = re.compile(r"^#\[(?:cfg\(.*\btest\b|kunit_tests\().*\n(?:pub(?:\(\w+\))? )?mod tests \{$", re.MULTILINE)
PATH = re.compile(r"\b((?:crate|super)(?:::\w+)+)")


def crates():
    """The root file of each crate: of the module, of the libraries and of the programs."""
    yield ROOT / "rust_nldemo.rs"
    for manifest in sorted((ROOT / "userspace").glob("**/Cargo.toml")):
        source = manifest.parent / "src"
        yield from (start for start in [source / "lib.rs", source / "main.rs",
                                        *sorted(source.glob("bin/*/main.rs"))] if start.exists())


def modules(start):
    """Maps the path of each module of a crate to the module's file."""
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
    """The code of a file without tests and comments."""
    return re.sub(r"//.*", "", TESTS.split(file.read_text(encoding="utf-8"))[0])


def leaves(tree):
    """The paths of a tree of imports: "a::{b, c::{self, d}}" has "a::b", "a::c::self" and "a::c::d"."""
    match = re.fullmatch(r"(.*?)\{(.*)\}", "".join(tree.split()), re.DOTALL)
    if not match:
        yield tree.strip()
        return
    branch, depth = "", 0
    for character in match[2] + ",":
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            if branch:
                yield from (match[1] + leaf for leaf in leaves(branch))
            branch = ""
        else:
            branch += character


def imports(path, text, files):
    """The modules that a module imports: the ones that it declares, and the ones whose items it names."""
    yield from (child for child in files if child[:-1] == path and child != path)
    used = (leaf for tree in USE.findall(text) for leaf in leaves(tree))
    # `used` already has the paths of all "use" items. So these items are removed from the text before the expression
    # PATH finds the other paths.
    for named in {*used, *PATH.findall(USE.sub("", text))}:
        words = named.split("::")
        if words[0] not in ("crate", "super", "self"):
            continue
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
    """The strongly connected parts of the graph that have more than one module (Tarjan's algorithm)."""
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
    count, bad = 0, False
    for start in crates():
        files = modules(start)
        count += len(files)
        graph = {path: sorted(set(imports(path, code(file), files)))
                 for path, file in files.items()}
        for path, others in graph.items():
            for other in others:
                if path[:1] == ("net",) and other[:1] != ("net",):
                    bad = True
                    print(f"{files[path].relative_to(ROOT)} imports {files[other].relative_to(ROOT)}, which is not part of the library")
        for part in circles(graph):
            bad = True
            print(f"{start.relative_to(ROOT)}: these import each other:")
            for path in sorted(part):
                others = ", ".join(str(files[other].relative_to(ROOT)) for other in graph[path] if other in part)
                print(f"  {files[path].relative_to(ROOT)} imports {others}")
    if count < 50:
        sys.exit(f"only {count} files were found")
    sys.exit(bad)


if __name__ == "__main__":
    main()
