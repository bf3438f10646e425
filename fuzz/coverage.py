# SPDX-License-Identifier: GPL-2.0

"""Reports which code of the module ran, for each file, function and line.

The compiler inserts a call of KCOV at each branch of the code. The report counts the places of these calls. A place
belongs to a line of the module's own sources, or to the line into which library code was inlined. The report leaves
out KUnit's tests, the code of libraries, and code that only reports a bug: panics and KASAN's checks.
"""

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[1]
SOURCES = ("net/", "nldemo/", "rust_nldemo.rs")
# The length of the instruction that calls KCOV, in bytes. KCOV records the address of the instruction after the call.
CALL = 5


# Matches the functions that code calls only to report a bug: KASAN's reports and panics.
REPORT = re.compile(r"__asan_report_|__asan_handle_no_return|9panicking|rust_build_error")


# Matches a part of the disassembly: the first line of a function, or an instruction with the symbol that it refers to.
INSTRUCTION = re.compile(r"^[0-9a-f]+ <([^>]+)>:$"
                         r"|^ *([0-9a-f]+):\s+(\S+)[ \t]*([^\n]*)(?:\n\t\t[0-9a-f]+:\s+\S+\s+(\S+))?$",
                         re.MULTILINE)
# The mangled names of KUnit's test functions contain this text, because the functions are in a module `tests`.
TESTS = "5tests"


class Place(NamedTuple):
    """The place in the sources for an offset in the module's code."""

    file: str
    function: str
    line: int


class Instruction(NamedTuple):
    """An instruction. `symbol` is the symbol to which the instruction refers, or empty."""

    mnemonic: str
    operands: str
    target: int | None
    symbol: str
    following: int


def is_call(instruction, name):
    """Whether the instruction calls a function whose name begins with `name`."""
    return instruction.mnemonic.startswith("call") and instruction.symbol.startswith(name)


class Code:
    """The module's instructions. `reports` and `checks` follow the code from an offset on, as the CPU runs it."""

    # The largest number of instructions that `reports` and `checks` follow. A check of KASAN or the report of a bug is
    # shorter.
    SHORT = 16

    def __init__(self, module):
        listing = subprocess.run(
            ["llvm-objdump-19", "-dr", "--no-show-raw-insn", "--no-leading-headers", "-j", ".text", module],
            check=True, capture_output=True, text=True).stdout
        self._at = {}
        self._sites = []
        before = None
        function = ""
        for symbol, offset, mnemonic, operands, refers in INSTRUCTION.findall(listing):
            if symbol:
                # The code section has constants among the code. Their symbols are not names of functions.
                function = symbol if symbol.startswith("_R") else function
                continue
            if before is not None:
                self._at[before] = self._at[before]._replace(following=int(offset, 16))
                if is_call(self._at[before], "__sanitizer_cov_trace_pc") and TESTS not in function:
                    self._sites.append(int(offset, 16))
            before = int(offset, 16)
            target = re.match(r"0x([0-9a-f]+) <", operands)
            self._at[before] = Instruction(mnemonic, operands, int(target[1], 16) if target else None,
                                           refers, before)

    def sites(self):
        """The offsets that KCOV records: those of the instructions after the calls of KCOV."""
        return self._sites

    def _walk(self, offset):
        for _ in range(self.SHORT):
            if (one := self._at.get(offset)) is None:
                return
            if not is_call(one, "__sanitizer_cov_trace_"):
                yield one
            offset = one.target if one.mnemonic == "jmp" and not one.symbol else one.following

    def reports(self, offset):
        """Whether the code that begins at `offset` only reports a bug."""
        for one in self._walk(offset):
            if one.mnemonic.startswith("call") or one.symbol and one.mnemonic == "jmp":
                return REPORT.search(one.symbol) is not None
            if one.mnemonic.startswith(("j", "ret")) and one.mnemonic != "jmp":
                return one.mnemonic.startswith("ud2")
        return False

    def checks(self, offset):
        """Whether the code that begins at `offset` only checks whether KASAN must report a bug."""
        masked = False
        for one in self._walk(offset):
            if one.mnemonic.startswith("and") and one.operands.startswith("$0x7,"):
                masked = True
            if one.mnemonic.startswith("call") or one.mnemonic.startswith("ret"):
                return False
            if one.mnemonic.startswith("j") and one.mnemonic != "jmp":
                return masked and (self.reports(one.following) or self.reports(one.target))
        return False


def place_of(frames):
    """The place of an instruction in the module's sources, or None. `frames` has the functions that were inlined there,
    the innermost first, and the function that contains the instruction."""
    for frame in frames:
        path = Path(frame["FileName"])
        if path.is_relative_to(CHECKOUT):
            file = str(path.relative_to(CHECKOUT))
            if file.startswith(SOURCES):
                # The type arguments are removed, so that all instances of a generic function count as one function.
                return Place(file, re.sub(r"<.*", "", frame["FunctionName"]), frame["Line"])
    return None


def places(module):
    """Returns {offset: place} for the offsets that KCOV records in code of the module's sources. Code that only reports
    a bug, or only checks whether KASAN must report a bug, is left out."""
    code = Code(module)
    offsets = [offset for offset in code.sites() if not code.reports(offset) and not code.checks(offset)]
    # The symbolizer needs the addresses of the calls. The offsets are those of the instructions after the calls.
    addresses = "".join(f"{offset - CALL:#x}\n" for offset in offsets)
    symbols = subprocess.run(["llvm-symbolizer-19", f"--obj={module}", "--output-style=JSON"],
                             input=addresses, check=True, capture_output=True, text=True).stdout
    found = {}
    for offset, line in zip(offsets, symbols.splitlines(), strict=True):
        if (place := place_of(json.loads(line)["Symbol"])) is not None:
            found[offset] = place
    return found




def report(module, covered):
    """Returns a table of the coverage as text, and the lines that did not run as {file: lines}."""
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
