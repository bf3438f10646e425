# SPDX-License-Identifier: GPL-2.0

"""The cost of listing a socket with `nldemo diag list` and with ss(8). Both programs ask the kernel for sockets
of all kinds, and print a line for each socket."""

import os
import socket
import statistics
import subprocess

from network import Namespace
from rows import Bound, Ratio, Row

SOCKETS, REPETITIONS = 1000, 5
NAMES = "nldemo diag list", "ss"


def _cpu_time(command):
    """The CPU time of a program, in ns. The sum of user and system time is exact (`cputime_adjust()`)."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} failed"
    return (usage.ru_utime + usage.ru_stime) * 1e9


def _connections(listener, count):
    """Opens `count` connected sockets. Each connection has two sockets, one at each end."""
    ends = []
    for _ in range(count // 2):
        client = socket.create_connection(listener.getsockname())
        ends += client, listener.accept()[0]
    return ends


def sockets(bench, program):
    """The cost of one socket: the cost of listing `SOCKETS` connected sockets minus the cost of listing two, divided
    by `SOCKETS`."""
    commands = dict(zip(NAMES, ([program, "diag", "list"], ["ss", "-a", "-n"])))
    namespace = Namespace()
    with namespace, socket.create_server(("127.0.0.1", 0)) as listener:
        few = {name: [] for name in NAMES}
        many = {name: [] for name in NAMES}
        for costs, count in (few, 2), (many, SOCKETS):
            ends = _connections(listener, count)
            for _ in range(REPETITIONS):
                for name, command in commands.items():
                    costs[name].append(_cpu_time(command) / bench.instruction / SOCKETS)
            for end in ends:
                end.close()
    namespace.close()
    medians = {name: statistics.median(many[name]) - statistics.median(few[name]) for name in NAMES}
    return Row("listing", f"a TCP socket, of {SOCKETS:,}", "instructions", medians,
               [Ratio(" / ".join(NAMES), medians[NAMES[0]] / medians[NAMES[1]], Bound(most=1.00))])
