# SPDX-License-Identifier: GPL-2.0

"""Runs fuzzers of the module in a guest, all at the same time, for scripts/fuzz.

The result of each fuzzer is a line of JSON on standard output. Progress is on standard error.
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
    # The initial namespace has a hook at each hook point. So the kernel patches no code when a fuzzer
    # registers another hook.
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
    # After a fault the kernel may be in any state. So the guest ends by a restart, after the output has
    # reached the host.
    sys.stdout.flush()
    time.sleep(3)
    Path("/proc/sysrq-trigger").write_text("b", encoding="ascii")


main()
