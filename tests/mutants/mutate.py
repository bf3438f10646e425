# SPDX-License-Identifier: GPL-2.0

"""Makes the mistakes of tests/mutants, for scripts/mutants.

usage: mutate.py [--check] NAME...

Edits the sources of this checkout. With --check, it only checks that each mutant fits the sources.

NAME.mutant has a head of comments, then replacements:

    file: net/netlink/socket.rs
    -        Ok(()) if request.header().wants_ack() => {
    +        Ok(()) if false && request.header().wants_ack() => {

The lines after "-" are searched in the whole file, and must be there once. White space in them matches any white
space and comments. A line that has only a comment matches any number of comment lines, also none. The lines after
"+" replace them. The next replacement begins with a "-" after a "+", or with a "-" after an empty line.

Exit status: 0 done, 1 a mutant does not fit.
"""

import re
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


# The regular expressions for white space between words, and for comment lines before the first word.
SPACE = r"(?:\s|//[^\n]*\n)+"
COMMENTS = r"(?://[^\n]*\s+)*"


class Misfit(Exception):
    """The reason why a mutant does not fit the sources."""


class Replacement:
    """Old lines, which must be in a file exactly once, and the new lines that replace them."""

    def __init__(self, file, number):
        self.file = file
        self.number = number
        self.old = []
        self.new = []

    def place(self, source):
        """The start and the end of the old text in the source."""
        pattern, words = "", []
        for line in (line.strip() for line in self.old):
            if not line.startswith("//"):
                words += line.split()
            elif not words:
                pattern = COMMENTS
        if not words:
            raise Misfit(f"line {self.number}: nothing is replaced")
        places = list(re.finditer(pattern + SPACE.join(map(re.escape, words)), source))
        if len(places) != 1:
            lines = ", ".join(str(source.count("\n", 0, place.start()) + 1) for place in places)
            found = f"has these lines {len(places)} times (at lines {lines})" if places else "does not have these lines"
            raise Misfit(f"line {self.number}: {self.file} {found}")
        start, end = places[0].span()
        if not self.text():
            # If nothing replaces the text, its lines are removed, too.
            before = len(source[:start]) - len(source[:start].rstrip(" \t"))
            behind = re.compile(r"[ \t]*\n").match(source, end)
            if behind and source[:start - before][-1:] in ("", "\n"):
                start, end = start - before, behind.end()
        return start, end

    def text(self):
        """The new text, without white space at its beginning and end."""
        return "\n".join(self.new).strip()


def replacements(path):
    """The replacements of a mutant."""
    file, last, found = None, None, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        kind, rest = line[:1], line[1:]
        if line.startswith("file: "):
            file, last = line.removeprefix("file: "), None
        elif kind in ("-", "+") and file:
            if kind == "-" and last != "-":
                found.append(Replacement(file, number))
            elif kind == "+" and last is None:
                raise Misfit(f"line {number}: a '-' must come first, with the lines to replace")
            (found[-1].old if kind == "-" else found[-1].new).append(rest)
            last = kind
        elif not line:
            last = None
        elif kind != "#":
            raise Misfit(f"line {number} is no '#', 'file: ', '-' or '+'")
    if not found:
        raise Misfit("it replaces nothing")
    return found


def mutated(path):
    """The files that a mutant changes, as (file, new content)."""
    files = {}
    for replacement in replacements(path):
        files.setdefault(replacement.file, []).append(replacement)
    for file, changes in files.items():
        try:
            source = (CHECKOUT / file).read_text(encoding="utf-8")
        except OSError as error:
            raise Misfit(f"{file}: {error.strerror}") from error
        places = sorted((*change.place(source), change.text()) for change in changes)
        parts, end = [], 0
        for start, stop, text in places:
            if start < end:
                raise Misfit(f"two replacements in {file} overlap")
            parts += [source[end:start], text]
            end = stop
        yield file, "".join(parts) + source[end:]


def main():
    names = sys.argv[1:]
    check = names[:1] == ["--check"]
    bad = False
    for name in names[check:]:
        path = Path(__file__).with_name(f"{name}.mutant")
        try:
            files = dict(mutated(path))
        except Misfit as error:
            bad = True
            print(f"tests/mutants/{path.name}: {error}", file=sys.stderr)
            continue
        if not check:
            for file, text in files.items():
                (CHECKOUT / file).write_text(text, encoding="utf-8")
    sys.exit(bad)


if __name__ == "__main__":
    main()
