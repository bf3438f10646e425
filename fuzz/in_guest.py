# SPDX-License-Identifier: GPL-2.0

"""Runs fuzzers of the module inside a guest, side by side, and prints what came of each in JSON.

usage: in_guest.py PROGRAMS MODULE [--seconds S] [--runs N] [--seed N] [--merge] TARGET=FILE...

Each TARGET begins with the inputs in its FILE (fuzz/corpus.py) and goes on for so long; with
--merge it leaves out those that add no coverage, and does no more. Progress is on standard error.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "guest"))

import module  # noqa: E402 # found by the line above
from fuzzer import Fuzzer  # noqa: E402

import corpus  # noqa: E402

PROGRESS = 10.0
KMEMLEAK = Path("/sys/kernel/debug/kmemleak")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", type=Path)
    parser.add_argument("module", type=Path)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--runs", type=int, default=-1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("targets", nargs="+")
    return parser.parse_args()


def wait(fuzzers):
    """Waits until all have ended, or one has found something."""
    start = last = time.monotonic()
    before = {}
    while any(fuzzer.process.poll() is None for fuzzer in fuzzers):
        if any(fuzzer.process.poll() for fuzzer in fuzzers):
            return
        time.sleep(0.2)
        now = time.monotonic()
        if now - last >= PROGRESS:
            said = []
            for fuzzer in fuzzers:
                tally = fuzzer.tally
                rate = (tally - before.get(fuzzer.target, 0)) / (now - last)
                said.append(f"{tally} {'messages' if fuzzer.target == 'netlink' else 'packets'} ({rate:.0f}/s)")
                before[fuzzer.target] = tally
            print(f"[{now - start:5.0f} s] {', '.join(said)}", file=sys.stderr, flush=True)
            last = now


def main():
    options = arguments()
    # Each hook point has a hook of the initial namespace: registering another patches no code.
    module.insert(options.module, "hooks=31")
    # Of clients' sockets, whose answers are not to be lost.
    Path("/proc/sys/net/core/rmem_max").write_text(f"{1 << 24}\n", encoding="ascii")
    limits = [f"-max_total_time={options.seconds}", f"-runs={options.runs}", f"-seed={options.seed}",
              "-max_len=2048", "-len_control=0"]
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        start = time.monotonic()
        fuzzers = [Fuzzer(target, options.programs / target, directory, corpus.read(file), limits)
                   for target, file in (word.split("=", 1) for word in options.targets)]
        wait(fuzzers)
        seconds = time.monotonic() - start
        for fuzzer in fuzzers:
            ended = fuzzer.process.poll()
            fuzzer.close()
            print(json.dumps({
                "target": fuzzer.target, "sent": fuzzer.tally, "seconds": round(seconds, 1),
                "status": ended, "coverage": sorted(fuzzer.coverage),
                "inputs": [data.hex() for data in fuzzer.inputs],
            }), flush=True)
            if ended:
                failed = True
                print(f"{fuzzer.target} ended with status {ended}; it said:", file=sys.stderr)
            print(fuzzer.log[-6000:], file=sys.stderr, flush=True)
    module.remove_when_unused()
    sys.exit(1 if failed else 0)


main()
