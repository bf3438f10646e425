# SPDX-License-Identifier: GPL-2.0

"""Runs the fuzzers of code in userspace, all at the same time, for scripts/fuzz. in_guest.py runs the module's
fuzzers."""

import tempfile
from pathlib import Path

import command
from libfuzzer import LibFuzzer, wait


def main():
    options = command.parse()
    with tempfile.TemporaryDirectory() as directory:
        fuzzers = command.start(options, lambda program, inputs, limits:
                                LibFuzzer(program, Path(directory, program.name), inputs, **limits))
        seconds = wait(fuzzers, lambda fuzzer: f"{fuzzer.target}: {fuzzer.executed} inputs")
        for fuzzer in fuzzers:
            command.conclude(options, fuzzer, seconds)


main()
