# SPDX-License-Identifier: GPL-2.0

"""Network namespaces come and go, also in nested user namespaces."""

import ast
import errno
import os
import random
from pathlib import Path

from control import Control, Monitor
from netlink import ECHO, Client, pack, wait_until
from network import Pinger, loopback_up
from nfqueue import ACCEPT, DROP, Listener
from traffic import Here, ping_and_echo
from workers import TIME_LIMIT, Worker

# User namespaces are nested less deep than this. The kernel allows 33 levels.
DEPTH = 30


def _unshare(flags):
    """Enters new namespaces. Returns False if there are too many already: the kernel must free some first."""
    try:
        os.unshare(flags)
        return True
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
        return False


def _live(source):
    """Uses all services of the module in the current namespace. Returns an open client that has not read its
    reply."""
    loopback_up()
    ping_and_echo(source.randrange(3000))
    with Control() as control:
        # The hook points are random, but PRE_ROUTING is always one of them, because the ping must meet a hook
        # there.
        control.set(queue=7, hooks=source.randrange(1, 32) | 1, bypass=source.randrange(2))
        assert control.per_cpu() and control.config()["event"] == 1
    with Listener(7) as listener, Pinger(Here(), "127.0.0.1") as pinger:
        pinger.send()
        listener.verdict(listener.receive(), source.choice((ACCEPT, DROP)))
    client = Client()
    client.send(pack(ECHO, b"never read"))
    return client


def _nested(seed, count):
    """Makes nested user namespaces, each with a network namespace. Returns the cookies of the network
    namespaces."""
    source = random.Random(seed)
    left = []
    for _ in range(count):
        wait_until(lambda: _unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET))
        # The next unshare() fails unless the process's user ID is mapped in its current user namespace.
        for name, line in (("uid_map", "0 0 1"), ("setgroups", "deny"), ("gid_map", "0 0 1")):
            Path("/proc/thread-self", name).write_text(line, encoding="ascii")
        left.append(_live(source))
    return [client.cookie for client in left]


def _many(seed, count, nested):
    """Makes `count` network namespaces. With `nested`, child processes make them in nested user namespaces,
    and end. Returns the cookies of all network namespaces."""
    source = random.Random(seed)
    made = []
    while len(made) < count:
        if nested:
            depth = min(count - len(made), source.randrange(1, DEPTH))
            made += ast.literal_eval(Worker(_nested, source.random(), depth).result())
        else:
            wait_until(lambda: _unshare(os.CLONE_NEWNET))
            with _live(source) as client:
                made.append(client.cookie)
    return made


def test_namespaces_come_and_go(module, start, tally):
    """Each network namespace is freed, and its deletion causes an event."""
    count = tally.of(2000) // 2
    made, told = set(), set()

    def all_gone():
        for _, values in monitor.events():
            assert values["cookie"] not in told
            told.add(values["cookie"])
        for worker in workers:
            made.update(ast.literal_eval(worker.check() or "[]"))
        tally.progress("namespaces", len(told), 2 * count)
        return len(made) == 2 * count and made <= told

    with Monitor(buffers=8 << 20) as monitor:
        workers = [start(_many, seed, count, nested) for seed, nested in enumerate((False, True))]
        wait_until(all_gone, timeout=TIME_LIMIT, interval=0.2)
    tally.survived(network_namespaces=count, network_namespaces_in_nested_user_namespaces=count)
