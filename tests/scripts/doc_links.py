# SPDX-License-Identifier: GPL-2.0

"""Checks that the targets of links within the documentation exist, and the files that blocks of `text` name.

usage: doc_links.py

The target of a link is a file or folder of the checkout. After a "#" it is a heading of the file. Links to the
network are not followed. In blocks of `text`, a word that begins with the name of a folder of the checkout is a
path.

Exit status: 0 all targets exist, 1 some do not.
"""

import re
import sys

from doc_commands import ROOT, documents, fenced

LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: +(\S+)", re.MULTILINE)
FOLDERS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "." and path.name != "build")
PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w/.-]*")
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)


def without_code(text):
    """A document without its code, because brackets in code are no links. If the text of a link is code, the link
    stays."""
    text = re.sub(r"\[`([^`\n]*)`\]", r"[\1]", FENCED.sub("", text))
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path):
    """The anchors that GitHub makes from the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken():
    """Messages about the targets that do not exist."""
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
    """Prints the mistakes."""
    found = list(broken())
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
