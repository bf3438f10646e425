# SPDX-License-Identifier: GPL-2.0

"""Which of the module's code was run: by file, function and line.

Code is counted at the places where KCOV looks, of which the compiler makes one for each way that the
code can go. Such a place stands for the line of the module's own sources that it was made from, if
need be by way of what was inlined there. Left out are KUnit's tests, and the code of libraries.
"""

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[1]
SOURCES = ("net/", "nldemo/", "rust_nldemo.rs")
# How long the instruction is that calls KCOV, which goes by where it returns to.
CALL = 5
RETURN = 4


class Place(NamedTuple):
    """What an offset in the module's code stands for."""

    file: str
    function: str
    line: int


def sites(module):
    """The offsets that KCOV can tell of."""
    relocations = subprocess.run(["llvm-objdump-19", "-r", "-j", ".text", module], check=True,
                                 capture_output=True, text=True).stdout
    return [int(offset, 16) + RETURN for offset in
            re.findall(r"^([0-9a-f]+) \S+\s+__sanitizer_cov_trace_pc\b", relocations, re.MULTILINE)]


def place_of(frames):
    """The place in the sources; `frames` are the functions that were inlined, the innermost first."""
    if any("::tests::" in frame["FunctionName"] or "kunit" in frame["FunctionName"] for frame in frames):
        return None
    for frame in frames:
        path = Path(frame["FileName"])
        if path.is_relative_to(CHECKOUT):
            file = str(path.relative_to(CHECKOUT))
            if file.startswith(SOURCES):
                # Without what it was made for.
                function = re.sub(r"<.*", "", frame["FunctionName"])
                return Place(file, function, frame["Line"])
    return None


def places(module):
    """What the offsets stand for, as far as that is in the sources."""
    offsets = sites(module)
    # Within the call, not behind it.
    addresses = "".join(f"{offset - CALL:#x}\n" for offset in offsets)
    symbols = subprocess.run(["llvm-symbolizer-19", f"--obj={module}", "--output-style=JSON"],
                             input=addresses, check=True, capture_output=True, text=True).stdout
    found = {}
    for offset, line in zip(offsets, symbols.splitlines(), strict=True):
        if (place := place_of(json.loads(line)["Symbol"])) is not None:
            found[offset] = place
    return found




def report(module, covered):
    """A table, and the lines that were not run: (text, {file: lines})."""
    known = places(module)
    total, run = defaultdict(lambda: defaultdict(set)), defaultdict(lambda: defaultdict(set))
    for offset, place in known.items():
        for counts in (total, run) if offset in covered else (total,):
            counts[place.file]["places"].add(offset)
            counts[place.file]["lines"].add(place.line)
            counts[place.file]["functions"].add(place.function)
    kinds = ("functions", "lines", "places")
    rows = []
    sums = {kind: [0, 0] for kind in kinds}
    for file in sorted(total):
        row = [f"{file:32}"]
        for kind in kinds:
            of, reached = len(total[file][kind]), len(run[file][kind])
            sums[kind][0] += reached
            sums[kind][1] += of
            row.append(f"{reached:5}/{of:<5}{100 * reached // of:4} %")
        rows.append("".join(row))
    head = f"{'':32}" + "".join(f"{kind:>12}    " for kind in kinds)
    foot = f"{'all':32}" + "".join(f"{reached:5}/{of:<5}{100 * reached // max(of, 1):4} %"
                                  for reached, of in sums.values())
    missed = {file: sorted(total[file]["lines"] - run[file]["lines"]) for file in sorted(total)}
    return "\n".join([head, *rows, foot]), missed
