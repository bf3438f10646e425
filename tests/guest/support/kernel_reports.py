# SPDX-License-Identifier: GPL-2.0

"""Finds the kernel's reports of its own faults. The list of expressions is that of
scripts/kernel-log-oracle."""

import re
from checkout import CHECKOUT

LIST = CHECKOUT / "scripts" / "kernel-reports"


def _expressions():
    """Reads the list's three kinds of expressions. They match the beginning of a report, a line within a
    report, and messages that look like a report but are not a report."""
    kinds = {"": [], "+ ": [], "! ": []}
    for line in LIST.read_text(encoding="ascii").splitlines():
        if line and line[0] not in "#\t":
            kind = line[:2] if line[:2] in kinds else ""
            kinds[kind].append(line.removeprefix(kind))
    return [re.compile("|".join(expressions)) for expressions in kinds.values()]


REPORT, MIDDLE, NONE = _expressions()


def reports(messages):
    """Yields the messages that are reports. `messages` are messages of the kernel log, without level and
    time."""
    excused = False
    for message in messages:
        text = message.lstrip(" ")
        if REPORT.search(text):
            excused = NONE.search(text)
        elif not MIDDLE.search(text):
            continue
        if not excused:
            yield message
