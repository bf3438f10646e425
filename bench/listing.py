# SPDX-License-Identifier: GPL-2.0

"""What a socket costs that is listed, by `nldemo diag list` and by ss(8). Both ask the kernel for
sockets of all kinds, and print a line for each."""

import os
import socket
import statistics
import subprocess

from network import Namespace
from rows import Bound, Ratio, Row

SOCKETS, REPETITIONS = 1000, 5
NAMES = "nldemo diag list", "ss"


def _cpu_time(command):
    """How long a program runs, in ns, of all its time on a CPU (`cputime_adjust()`)."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} failed"
    return (usage.ru_utime + usage.ru_stime) * 1e9


def _connections(listener, count):
    """So many connected sockets, both ends counted."""
    ends = []
    for _ in range(count // 2):
        client = socket.create_connection(listener.getsockname())
        ends += client, listener.accept()[0]
    return ends


def sockets(bench, program):
    """Of what so many more sockets take, what one of them takes."""
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
