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
    # The kernel patches its code when a hook point gets its first hook in any namespace. With hooks=31 the initial
    # namespace has a hook at each hook point, so the kernel patches no code when a fuzzer registers hooks.
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
    # After a fault of the kernel, a normal shutdown may hang. So this program restarts the kernel without a shutdown.
    # Before that, it waits three seconds, in which the output reaches the host.
    sys.stdout.flush()
    time.sleep(3)
    Path("/proc/sysrq-trigger").write_text("b", encoding="ascii")


main()
