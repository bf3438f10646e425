# SPDX-License-Identifier: GPL-2.0

"""The command line of in_guest.py and in_userspace.py, and the functions with which they start and end fuzzers."""

import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path

import corpus
from libfuzzer import result

# The time that a killed fuzzer may take to end, in seconds.
PATIENCE = 30


def parse():
    """The parsed command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=Path, required=True, help="the directory of the fuzzers")
    parser.add_argument("--module", type=Path, help="the module's file")
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--runs", type=int, default=-1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--describe", action="store_true", help="show the meaning of the inputs")
    parser.add_argument("--merge", action="store_true", help="leave out inputs that add no coverage")
    parser.add_argument("targets", nargs="+", metavar="TARGET=FILE", help="a fuzzer, and the file with its inputs")
    return parser.parse_args()


def start(options, run):
    """Starts all fuzzers: for each fuzzer, calls `run` with its program, its inputs and its limits."""
    limits = {"seconds": options.seconds, "runs": options.runs, "seed": options.seed}
    fuzzers = []
    for word in options.targets:
        target, file = word.split("=", 1)
        inputs = corpus.read(file)
        fuzzers.append(run(options.programs / target, inputs, limits))
        if options.describe:
            for data in inputs:
                print(fuzzers[-1].describe(data), file=sys.stderr, flush=True)
    return fuzzers


def conclude(options, fuzzer, seconds, **more):
    """Ends a fuzzer that ran for `seconds`, and prints its result. Returns False if the fuzzer found something, or
    if SIGKILL does not end its process."""
    if fuzzer.process.poll() is None:
        fuzzer.process.kill()
        try:
            fuzzer.process.wait(PATIENCE)
            fuzzer.process.returncode = 0
        except subprocess.TimeoutExpired:
            # Even SIGKILL does not end the process, so it hangs in the kernel.
            fuzzer.process.returncode = -signal.SIGKILL
    found = result(fuzzer, seconds)
    if options.merge and not found["status"]:
        fuzzer.merge()
    print(json.dumps({**found, **more, "inputs": [data.hex() for data in fuzzer.inputs]}), flush=True)
    fuzzer.close()
    return not found["status"]
