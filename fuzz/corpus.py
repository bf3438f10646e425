# SPDX-License-Identifier: GPL-2.0

"""Inputs of fuzzers in files: one a line, in hexadecimal; lines that begin with "#" say what they are."""

from pathlib import Path

HEADER = "# SPDX-License-Identifier: GPL-2.0\n"


def read(file):
    """The inputs in a file; none if there is no such file."""
    if not Path(file).exists():
        return []
    lines = Path(file).read_text(encoding="ascii").splitlines()
    return [bytes.fromhex(line) for line in lines if line and not line.startswith("#")]


def write(file, inputs, remark=""):
    """Writes inputs to a file, the shortest first."""
    lines = sorted({data.hex() for data in inputs}, key=lambda line: (len(line), line))
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(HEADER + remark + "".join(f"{line}\n" for line in lines), encoding="ascii")
