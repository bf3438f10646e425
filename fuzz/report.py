# SPDX-License-Identifier: GPL-2.0

"""Tells what came of fuzzing, for scripts/fuzz.

usage: report.py RESULTS KEPT MODULE OUTPUT [CORPUS]

RESULTS has a line of JSON for each target, KEPT is what the guest left (scripts/vm --keep) and may be
empty. What was found is written to OUTPUT/findings, what was not covered to OUTPUT/unreached.txt;
with CORPUS, the inputs are written there. Exit status: 0 nothing was found, 1 something was.
"""

import hashlib
import json
import sys
from pathlib import Path

import corpus
import coverage
from places import kept




def write_finding(output, target, data):
    name = f"{target}-{hashlib.sha256(data).hexdigest()[:12]}.txt"
    file = output / "findings" / name
    corpus.write(file, [data])
    print(f"found by {target}: {data.hex()[:200]}\n  again: scripts/fuzz --replay {file}")


def main():
    results, keep, module, output = map(Path, sys.argv[1:5])
    done = [json.loads(line) for line in results.read_text(encoding="ascii").splitlines()]
    found = False
    for one in done:
        what = {"netlink": " messages", "packets": " packets"}.get(one["target"])
        sent = f", {one['sent']}{what} ({one['sent'] / one['seconds']:.0f}/s)" if what else ""
        print(f"{one['target']:8} {one['executed']} inputs in {one['seconds']:.0f} s{sent}, "
              f"{len(one['inputs'])} kept")
        if one["status"]:
            found = True
            print(f"{one['target']} ended with status {one['status']}")
            if one["finding"] is not None:
                write_finding(output, one["target"], bytes.fromhex(one["finding"]))
    told = {one["target"] for one in done}
    # The guest did not live to tell: one of these did it, unless it takes more than one.
    for target, data in kept(keep).items():
        if target not in told:
            found = True
            write_finding(output, target, data)
    if covered := {offset for one in done for offset in one.get("coverage", [])}:
        table, missed = coverage.report(module, covered)
        print(f"\n{table}")
        lines = [f"{file}:{line}\n" for file, numbers in missed.items() for line in numbers]
        (output / "unreached.txt").write_text("".join(lines), encoding="ascii")
    if len(sys.argv) > 5:
        for one in done:
            file = Path(sys.argv[5], f"{one['target']}.txt")
            corpus.write(file, map(bytes.fromhex, one["inputs"]))
    sys.exit(1 if found else 0)


main()
