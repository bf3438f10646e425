# SPDX-License-Identifier: GPL-2.0

"""Inputs of fuzzers in files: one a line, in hexadecimal; lines that begin with "#" say what they are.

One of them says how much code the fuzzer came by, beginning with these inputs, when they were written.
"""

import re
from pathlib import Path

HEADER = "# SPDX-License-Identifier: GPL-2.0\n"


def read(file):
    """The inputs in a file; none if there is no such file."""
    if not Path(file).exists():
        return []
    lines = Path(file).read_text(encoding="ascii").splitlines()
    return [bytes.fromhex(line) for line in lines if line and not line.startswith("#")]


def write(file, inputs, reached=0):
    """Writes inputs to a file, the shortest first."""
    lines = sorted({data.hex() for data in inputs}, key=lambda line: (len(line), line))
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("".join([HEADER, f"# reached: {reached}\n", *(f"{line}\n" for line in lines)]),
                          encoding="ascii")


def least(file):
    """How much a fuzzer has to come by that begins with the inputs in a file.

    Some of what it found is by luck, and the code changes; a generator of inputs that has lost its way
    comes by less.
    """
    text = Path(file).read_text(encoding="ascii") if Path(file).exists() else ""
    reached = re.search(r"^# reached: (\d+)$", text, re.MULTILINE)
    return int(reached[1]) * 8 // 10 if reached else 0
