# SPDX-License-Identifier: GPL-2.0

"""The control plane while namespaces and the module itself come and go."""

import ast
import contextlib
import errno
import random

import pytest

import module as modules
from control import Control, Monitor, Refused
from netlink import ECHO, SLOW, pack, wait_until
from network import Namespace
from workers import make_lock

pytestmark = [pytest.mark.usefixtures("hooks_elsewhere"), pytest.mark.all_cpus]

ROUNDS = int(20 / SLOW) + 1


def use(control, source):
    """Changes and reads the configuration, and may leave a dump open."""
    for _ in range(source.randrange(4)):
        control.set(queue=source.randrange(1000), hooks=source.randrange(1, 32),
                    priority=source.randrange(-5, 5), enabled=source.randrange(2))
    if source.randrange(2):
        assert control.per_cpu()
    else:
        while control.room() > 4000:
            control.send(pack(ECHO))
        control.start_dump()


def _in_mortal_namespaces(seed, stop):
    source = random.Random(seed)
    used = 0
    while not stop.is_set():
        namespace = Namespace()
        with namespace:
            controls = [Control(buffers=16 << 10) for _ in range(2)]
        for control in controls:
            use(control, source)
        # The namespace is deleted when its descriptor and the sockets of both clients are closed.
        ends = [namespace, *controls]
        source.shuffle(ends)
        for end in ends:
            end.close()
        used += 1
    return used


def test_namespaces_die_amid_changes_and_dumps(module, start, stop):
    """Bug: a dump, or a change of hook points, outlives its instance."""
    with Monitor(buffers=8 << 20) as monitor:
        workers = [start(_in_mortal_namespaces, seed, stop) for seed in range(3)]
        heard = []
        while len(heard) < 10 * ROUNDS:
            heard.append(monitor.event())
        stop.set()
        used = sum(int(worker.result()) for worker in workers)
        # The deletion of each namespace causes exactly one event.
        while len(heard) < used:
            heard.append(monitor.event())
        assert not monitor.waiting()
    assert {name for name, _ in heard} == {"netns"}
    assert [values["event"] for _, values in heard] == list(range(1, used + 1))
    assert len({values["cookie"] for _, values in heard}) == used


def _while_it_is_there(seed, stop, loading):
    """Uses the module whenever it is loaded, at least once and until `stop`. Returns how often it used the
    module, and how often the module was not loaded."""
    source = random.Random(seed)
    used = missed = 0
    while not (used and stop.is_set()):
        try:
            with loading, Control(buffers=16 << 10) as control:
                use(control, source)
            used += 1
        except Refused as refused:
            # The module's instance in this namespace is being set up or taken down.
            assert refused.errno in (errno.EAGAIN, errno.ESHUTDOWN), refused
        except OSError as error:
            assert error.errno in (errno.EPROTONOSUPPORT, errno.ECONNREFUSED), error
            missed += 1
        # In this pause the process has no socket, so the module can be unloaded.
        stop.wait(0.002)
    return used, missed


@pytest.mark.parametrize("elsewhere", [False, True])
def test_unload_amid_changes_and_dumps(load, namespaces, start, stop, elsewhere):
    """Bug: the module is unloaded while its code runs, or although the kernel will still call it.

    With `elsewhere`, the clients are in another namespace than the test. These clients send nothing while the
    module is being loaded: the kernel itself has a BUG() for a client that sends to a kernel socket that is
    just being made (see docs/soundness.md).
    """
    place, loading = contextlib.nullcontext(), contextlib.nullcontext()
    if elsewhere:
        place, loading = namespaces(), make_lock()
    load()
    with place:
        workers = [start(_while_it_is_there, seed, stop, loading) for seed in range(2)]
    for _ in range(ROUNDS):
        modules.remove_when_unused()
        with loading:
            load()
        with Control() as control:
            before = control.stats()["messages"]
            if not elsewhere:
                wait_until(lambda seen=before: control.stats()["messages"] > seen + 5)
    stop.set()
    counts = [ast.literal_eval(worker.result()) for worker in workers]
    assert all(used > 0 for used, _ in counts), counts
