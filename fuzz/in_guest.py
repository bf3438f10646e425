# SPDX-License-Identifier: GPL-2.0

"""Runs fuzzers of the module inside a guest, side by side, for scripts/fuzz.

What came of each is a line of JSON on standard output, progress is on standard error.
"""

import json
import tempfile
from pathlib import Path

import command
from kernel import KernelFuzzer, prepare
from libfuzzer import result, wait

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
        for fuzzer in fuzzers:
            more = {"sent": fuzzer.tally, "coverage": sorted(fuzzer.coverage)}
            command.conclude(options, fuzzer)
            print(json.dumps(result(fuzzer, seconds, **more)), flush=True)
            fuzzer.close()
    module.remove_when_unused()
    Path("/dev/kmsg").write_text("<6>the fuzzers are done\n", encoding="ascii")


main()
