# SPDX-License-Identifier: GPL-2.0

"""Files with inputs of fuzzers. Each line is an input, in hexadecimal. Lines that begin with "#" are comments.

The comment "# reached: N" means: in the run that wrote the file, the fuzzer reached N places in the code.
"""

import re
from pathlib import Path

HEADER = "# SPDX-License-Identifier: GPL-2.0\n"


def read(file):
    """Returns the inputs in a file. If the file does not exist, it returns an empty list."""
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
    """The least number of places that a fuzzer must reach when it begins with the inputs in a file.

    The result is 80 % of N in the file's comment "# reached: N", because chance decides whether some places are
    reached, and because the code changes. If the generator of inputs is broken, the fuzzer reaches fewer places.
    """
    text = Path(file).read_text(encoding="ascii") if Path(file).exists() else ""
    reached = re.search(r"^# reached: (\d+)$", text, re.MULTILINE)
    return int(reached[1]) * 8 // 10 if reached else 0
