# SPDX-License-Identifier: GPL-2.0

"""Prints the results of the fuzzers, for scripts/fuzz.

This program writes findings to OUTPUT/findings. OUTPUT/unreached.txt gets the module's lines that did
not run. The last line that this program prints, "N passed, N failed", counts fuzzers.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import corpus
import coverage
from places import kept




SENT = {"netlink": "messages", "packets": "packets"}


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path, help="a file with a line of JSON for each fuzzer")
    parser.add_argument("output", type=Path)
    parser.add_argument("--kept", type=Path, required=True, help="the memory that the guest wrote (scripts/vm --keep)")
    parser.add_argument("--module", type=Path, required=True, help="the module's file")
    parser.add_argument("--corpus", type=Path, required=True, help="the directory of the first inputs")
    parser.add_argument("--replayed", action="store_true", help="the fuzzers only tried the given inputs")
    parser.add_argument("--update", action="store_true", help="write the kept inputs to the corpus")
    return parser.parse_args()


def tell_finding(output, target, data):
    name = f"{target}-{hashlib.sha256(data).hexdigest()[:12]}.txt"
    file = output / "findings" / name
    corpus.write(file, [data])
    print(f"        the input is {data.hex()[:160]}\n        to try it again: scripts/fuzz --replay {file}")


def tell(one, options):
    """Prints the result of one fuzzer. Returns whether it passed."""
    target = one["target"]
    least = 0 if options.replayed else corpus.least(options.corpus / f"{target}.txt")
    if one["status"]:
        wrong = f"failed at an input, and ended with status {one['status']}"
    elif not one["executed"] or not one.get("sent", True):
        wrong = "tried or sent nothing"
    elif one["reached"] < least:
        wrong = f"reached {one['reached']} places in the code, but must reach at least {least}"
    else:
        wrong = None
    sent = ""
    if "sent" in one:
        sent = f", {one['sent']} {SENT[target]} ({one['sent'] / max(one['seconds'], 1):.0f}/s)"
    print(f"{'FAILED' if wrong else 'ok':7} {target}: {one['executed']} inputs in {one['seconds']:.0f} s{sent}, "
          f"{one['reached']} places in the code")
    if wrong:
        print(f"        it {wrong}")
    if one["status"]:
        # If the kernel killed the fuzzer, libFuzzer did not save the input. But the shared memory has the last input.
        data = kept(options.kept).get(target, b"") if one["finding"] is None else bytes.fromhex(one["finding"])
        tell_finding(options.output, target, data)
    return not wrong


def main():
    options = parse()
    done = [json.loads(line) for line in options.results.read_text(encoding="ascii").splitlines()]
    good = [tell(one, options) for one in done]
    # If a fuzzer has no result, the guest died before the fuzzer ended. One of the kept inputs caused this, or several
    # inputs together.
    told = {one["target"] for one in done}
    for target, data in kept(options.kept).items():
        if target in told and not all(good):
            print(f"the last input of {target}, in case it caused the failure of the other fuzzer:")
            tell_finding(options.output, target, data)
        elif target not in told:
            print(f"FAILED  {target}: the guest died")
            tell_finding(options.output, target, data)
            good.append(False)
    if covered := {offset for one in done for offset in one.get("coverage", [])}:
        table, missed = coverage.report(options.module, covered)
        print(f"\n{table}\n")
        lines = [f"{file}:{line}\n" for file, numbers in missed.items() for line in numbers]
        (options.output / "unreached.txt").write_text("".join(lines), encoding="ascii")
    if options.update:
        for one in done:
            corpus.write(options.corpus / f"{one['target']}.txt", map(bytes.fromhex, one["inputs"]),
                         one["reached"])
    print(f"{sum(good)} passed, {len(good) - sum(good)} failed")
    sys.exit(0 if good and all(good) else 1)


main()
