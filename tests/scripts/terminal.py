# SPDX-License-Identifier: GPL-2.0

"""Runs a command on a new terminal, and types keys like a user.

usage: terminal.py COMMAND... <STEPS

A step is a line. "type TEXT" types TEXT, with Python's escapes. "wait TEXT" waits until the command's output after the
last wait has TEXT. "close", as the last step, closes the terminal like a closed window. The command's output is
printed. The terminal has 33 lines of 99 columns, and its settings must be the same at the end.

Exit status: the command's, or 128 plus the signal that killed it; 1 if a step failed.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

# The limit for a step in seconds, long enough for a slow machine.
PATIENCE = 600


class Terminal:
    """The user's side of the command's terminal: types keys and reads the output."""

    def __init__(self, command):
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 33, 99, 0, 0))
            # A program that was started in the background ignores these signals, and so would the command.
            for number in (signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            os.execvp(command[0], command)
        self._new = b""

    def _read(self, timeout):
        """Reads the new output, if there is any. Raises an OSError if the command has closed the terminal."""
        if select.select([self._fd], [], [], timeout)[0]:
            data = os.read(self._fd, 65536)
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            self._new += data

    def wait(self, text):
        deadline = time.monotonic() + PATIENCE
        while text not in self._new:
            if time.monotonic() > deadline:
                raise TimeoutError(text)
            self._read(1)
        self._new = self._new.partition(text)[2]

    def type(self, text):
        os.write(self._fd, text)

    def close(self, _):
        os.close(self._fd)
        self._fd = None

    def finish(self):
        """Waits until the command has closed the terminal. Returns the command's exit status."""
        deadline = time.monotonic() + PATIENCE
        try:
            while self._fd is not None:
                if time.monotonic() > deadline:
                    # Raises no TimeoutError, because that is an OSError, which is ignored below.
                    sys.exit("\nthe command does not end")
                self._read(1)
        except OSError:
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return status if status >= 0 else 128 - status

    def settings(self):
        return self._fd is not None and termios.tcgetattr(self._fd)


def main():
    terminal = Terminal(sys.argv[1:])
    before = terminal.settings()
    try:
        for step in sys.stdin.read().splitlines():
            what, _, text = step.partition(" ")
            text = text.encode().decode("unicode_escape").encode()
            {"type": terminal.type, "wait": terminal.wait, "close": terminal.close}[what](text)
        status = terminal.finish()
    except (OSError, TimeoutError) as error:
        sys.exit(f"\nat '{step}': {error!r}")
    if terminal.settings() not in (before, False):
        sys.exit("\nthe terminal was left with other settings")
    sys.exit(status)


main()
