# SPDX-License-Identifier: GPL-2.0

"""Checks that links within the documentation lead somewhere, and that the files in drawings exist.

usage: doc_links.py

A link leads to a file or folder of the checkout, and behind a "#" to a heading of it. Links to the network are
not followed. In blocks of `text`, whatever begins as a folder of the checkout does is a path.

Exit status: 0 all lead somewhere, 1 some do not.
"""

import re
import sys

from doc_commands import ROOT, documents, fenced

LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: +(\S+)", re.MULTILINE)
FOLDERS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "." and path.name != "build")
PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w/.-]*")
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)


def without_code(text):
    """A document without its code, in which brackets are no links. The text of a link may be code."""
    text = re.sub(r"\[`([^`\n]*)`\]", r"[\1]", FENCED.sub("", text))
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path):
    """The headings of a document, as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken():
    """What leads nowhere."""
    for document in documents():
        path = ROOT / document
        for match in LINK.finditer(without_code(path.read_text(encoding="utf-8"))):
            target = match[1] or match[2]
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            place = path.parent / file if file else path
            if not place.exists():
                yield f"{document}: there is no '{file}'"
            elif anchor and anchor not in anchors(place):
                yield f"{document}: {file or document} has no heading '#{anchor}'"
    for place, _, language, lines in fenced():
        for word in PATH.findall("\n".join(lines)) if language == "text" else ():
            if not (ROOT / word).exists():
                yield f"{place}: there is no '{word}'"


def main():
    """Prints what is wrong."""
    found = list(broken())
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
