# SPDX-License-Identifier: GPL-2.0

"""What costs when there are many: sockets, network namespaces. And what it takes to load and unload
the modules."""

import resource

from network import Namespace
from places import Loopback
from rows import Bound, Ratio, Row
from works import MODULES, echo, udp

MANY = 1000
LOADS = 3
LITTLE = Bound(most=1.02)


def _grown(work, costs):
    """A row of `costs`, as {subject: (with one, with many)}."""
    columns = {f"{name}, {count}": cost for name, pair in costs.items()
               for count, cost in zip(("1", f"{MANY:,}"), pair)}
    ratios = [Ratio(f"growth, {name}", many / one, LITTLE if name == "module" else Bound())
              for name, (one, many) in costs.items()]
    return Row("growth", work, "instructions", columns, ratios)


def sockets(bench):
    """A round trip while so many sockets take turns."""
    few, many = echo(64, times=100), echo(64, sockets=MANY, times=100)
    costs = {}
    for name in MODULES:
        with bench.subjects[name]("prerouting"):
            costs[name] = bench.instructions(few), bench.instructions(many)
    return _grown("echo of 64 bytes, by open sockets", costs)


def namespaces(bench):
    """In one namespace while there are so many."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    place, works = Loopback(), (echo(64, times=100), udp("prerouting"))

    def costs():
        found = {}
        for name in MODULES:
            with bench.subjects[name]("prerouting"):
                for work in works:
                    found[work, name] = bench.instructions(work, place)
        return found

    few = costs()
    crowd = [Namespace() for _ in range(MANY)]
    yield from times(bench, "with a few network namespaces")
    many = costs()
    for _ in range(LOADS):
        for name in MODULES:
            with bench.subjects[name]("prerouting"):
                pass
    for work, what in zip(works, ("echo of 64 bytes", "a UDP packet with its hook")):
        yield _grown(f"{what}, by network namespaces",
                     {name: (few[work, name], many[work, name]) for name in MODULES})
    yield from times(bench, f"with {MANY:,} network namespaces")
    for namespace in crowd:
        namespace.close()


def times(bench, circumstances):
    """How long loading and unloading took at least, since the subjects were last asked: the guest's
    clock runs ahead when it waits for the host."""
    for what, of in (("load", "loading"), ("unload", "unloading")):
        took = {name: getattr(bench.subjects[name], of) for name in MODULES}
        yield Row("module", f"time to {what}, {circumstances}", "µs of the guest's clock",
                  {name: min(values) / 1000 for name, values in took.items()})
        for values in took.values():
            values.clear()
