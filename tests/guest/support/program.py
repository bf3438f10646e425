# SPDX-License-Identifier: GPL-2.0

"""Runs the project's programs as processes beside the test. With -j, nldemo prints each JSON object as a line."""

import json
import os
import pwd
import select
import signal
import subprocess
from pathlib import Path

from netlink import DEADLINE, wait_until

# The numbers of system calls on x86-64, and on arm64 and riscv64. arm64 and riscv64 have no poll(): there POLL is
# the number of ppoll().
WRITE, POLL, RECVFROM = (1, 7, 45) if os.uname().machine == "x86_64" else (64, 73, 207)


def as_nobody():
    """The options by which `subprocess` runs a program as the user nobody, without privileges."""
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def wait_for_call(process, number):
    """Waits until the process's main thread is blocked in the system call with this number."""
    call = Path(f"/proc/{process.pid}/syscall")
    wait_until(lambda: call.read_text(encoding="ascii").startswith(f"{number} "))


class Program:
    """A running program. Most tests run `nldemo -j`, which prints JSON."""

    def __init__(self, command, *, stderr=subprocess.PIPE, env=None):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr,
                                        stdin=subprocess.DEVNULL, env=env)
        self._output = b""

    def wait_for(self, words):
        """Reads the program's output until the output contains `words`."""
        while words not in self._output:
            assert select.select([self.process.stdout], [], [], DEADLINE)[0], \
                f"no {words!r} in {self._output}"
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            assert more, (self._output, self.process.stderr and self.process.stderr.read())
            self._output += more

    def event(self):
        """The JSON object in the next line of the program's output."""
        self.wait_for(b"\n")
        line, self._output = self._output.split(b"\n", 1)
        return json.loads(line)

    def signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        """Pauses the program, and returns when it does not run any more. If the program has already ended, there is
        nothing to pause."""
        self.signal(signal.SIGSTOP)
        # send_signal() sets the returncode of a process that has ended.
        if self.process.returncode is None:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def go_on(self):
        self.signal(signal.SIGCONT)

    def rest(self):
        """Waits until the program ends, and returns the rest of its output. The program must exit with 0."""
        output, errors = self.process.communicate(timeout=DEADLINE)
        assert (self.process.returncode, errors) == (0, b"")
        return [json.loads(line) for line in (self._output + output).splitlines()]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Consumer(Program):
    """A running `nldemo -j queue run`."""

    def finish(self):
        """Waits until the program ends, and returns the rest of its output as (events, summary). The program must
        exit with 0."""
        *events, summary = self.rest()
        assert summary["event"] == "summary"
        return events, summary

    def stop(self):
        self.signal(signal.SIGINT)
        return self.finish()
