# SPDX-License-Identifier: GPL-2.0

"""Runs fuzzers of userspace, side by side, for scripts/fuzz: as in_guest.py does with the module's."""

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
