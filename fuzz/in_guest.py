# SPDX-License-Identifier: GPL-2.0

"""Runs fuzzers of the module inside a guest, side by side, for scripts/fuzz.

What came of each is a line of JSON on standard output, progress is on standard error.
"""

import sys
import tempfile
import time
from pathlib import Path

import command
from kernel import KernelFuzzer, prepare
from libfuzzer import wait

import module  # found by kernel.py


def progress(fuzzer):
    return f"{fuzzer.tally} {'messages' if fuzzer.target == 'netlink' else 'packets'}"


def main():
    options = command.parse()
    # Each hook point has a hook of the initial namespace: registering another patches no code.
    module.insert(options.module, "hooks=31")
    prepare()
    with tempfile.TemporaryDirectory() as directory:
        fuzzers = command.start(options, lambda program, inputs, limits:
                                KernelFuzzer(program, directory, inputs, **limits))
        seconds = wait(fuzzers, progress)
        good = [command.conclude(options, fuzzer, seconds, sent=fuzzer.tally, coverage=sorted(fuzzer.coverage))
                for fuzzer in fuzzers]
    if all(good):
        module.remove_when_unused()
        return
    # Who knows what else the kernel is able to: it restarts, which ends the guest, as soon as what
    # was said is out.
    sys.stdout.flush()
    time.sleep(3)
    Path("/proc/sysrq-trigger").write_text("b", encoding="ascii")


main()
