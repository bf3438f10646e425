#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0

"""Types a command line into an interactive shell, lets the shell complete it, and runs it.

usage: complete.py TYPED EXPECTED SHELL [ARGUMENT...]

TYPED is typed when the shell waits for a line. In it, \\t is the key that completes. EXPECTED must then appear
in the output of the shell and the command.

Exit status: 0 EXPECTED appeared; 1 it did not appear within a minute.
"""

import os
import pty
import select
import sys
import time

DEADLINE = 60.0
# In seconds. If the shell has printed nothing for this time, it waits for a line.
QUIET = 2.0


def read_until(terminal, enough):
    """Reads the output until `enough(text, quiet)` is true, and returns it. `quiet` is the time since the last output,
    in seconds."""
    text, last, end = b"", time.monotonic(), time.monotonic() + DEADLINE
    while time.monotonic() < end and not enough(text, time.monotonic() - last):
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                text += os.read(terminal, 65536)
            except OSError:
                break
            last = time.monotonic()
    return text


def main():
    typed, expected, shell = sys.argv[1].encode(), sys.argv[2].encode(), sys.argv[3:]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(shell[0], shell)
    said = read_until(terminal, lambda text, quiet: text and quiet > QUIET)
    # Types one part after the other, and waits after each part, because some shells drop keys while they complete.
    for part in typed.replace(b"\\t", b"\0\t\0").split(b"\0"):
        os.write(terminal, part)
        said += read_until(terminal, lambda text, quiet: quiet > QUIET / 2)
    os.write(terminal, b"\r")
    answer = read_until(terminal, lambda text, quiet: expected in text)
    os.close(terminal)
    if expected not in answer:
        sys.stdout.buffer.write(said + answer + b"\n")
        sys.exit(1)


main()
