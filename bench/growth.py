# SPDX-License-Identifier: GPL-2.0

"""Measures whether costs grow with the number of sockets or network namespaces, and how long loading and unloading
the modules takes."""

import resource

from network import Namespace
from places import Loopback
from rows import Bound, Ratio, Row
from works import MODULES, echo, udp

SOCKETS, NAMESPACES = 1000, 5000
LOADS = 3
LITTLE = Bound(most=1.02)
LOADING = Bound(most=1.05, meanwhile=1.22, why="""\
Loading and unloading: in each namespace the module makes five allocations where its twin makes three, because each
hook has memory of its own, and a list of the hooks. Rust's allocator calls `krealloc()`: an allocation takes 252
instructions, and freeing it 114, where `kfree()` takes 88 in C. When a namespace ends, the module frees its socket by
`sk_free()` in the same call, which takes 477 instructions. In the twin an RCU callback does that later, and is not
counted. The module also numbers the event that tells of the end, and asks whether somebody listens: some 85 instructions,
44 of them in `netlink_has_listeners()`.""")


def _grown(work, costs, many):
    """The report's row for `costs`: for each module, the cost with one socket or namespace, and the cost with
    `many`."""
    columns = {f"{name}, {count}": cost for name, pair in costs.items()
               for count, cost in zip(("1", f"{many:,}"), pair)}
    ratios = [Ratio(f"growth, {name}", many / one, LITTLE if name == "module" else Bound())
              for name, (one, many) in costs.items()]
    return Row("growth", work, "instructions", columns, ratios)


def sockets(bench):
    """The cost of a round trip, if a client has one socket, and if it has many sockets that take turns."""
    few, many = echo(64, times=100), echo(64, sockets=SOCKETS, times=100)
    costs = {}
    for name in MODULES:
        with bench.subjects[name]("prerouting"):
            costs[name] = bench.instructions(few), bench.instructions(many)
    return _grown("echo of 64 bytes, by open sockets", costs, SOCKETS)


def namespaces(bench):
    """The costs of an echo and of a UDP packet in one namespace, while there are few other namespaces, and while
    there are many. Also yields the times of loading and unloading the modules."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * NAMESPACES, 2 * NAMESPACES))
    place, works = Loopback(), (echo(64, times=100), udp("prerouting"))

    def costs():
        found = {}
        for name in MODULES:
            with bench.subjects[name]("prerouting"):
                for work in works:
                    found[work, name] = bench.instructions(work, place)
        return found

    few, few_times = costs(), times(bench)
    crowd = [Namespace() for _ in range(NAMESPACES)]
    many, many_times = costs(), times(bench)
    for namespace in crowd:
        namespace.close()
    for work, what in zip(works, ("echo of 64 bytes", "a UDP packet with its hook")):
        yield _grown(f"{what}, by network namespaces",
                     {name: (few[work, name], many[work, name]) for name in MODULES}, NAMESPACES)
    for what in ("load", "unload"):
        yield Row("module", f"time to {what}, with a few network namespaces", "µs of the guest's clock",
                  few_times[what])
        each = {name: (many_times[what][name] - few_times[what][name]) / NAMESPACES for name in MODULES}
        yield Row("module", f"time to {what}, for each of {NAMESPACES:,} network namespaces",
                  "µs of the guest's clock", each,
                  [Ratio("module / twin", each["module"] / each["twin"], LOADING)])


def times(bench):
    """The shortest times of loading and unloading, in µs. The guest's clock also runs while the guest waits for
    the host. So a longer time may only mean a longer wait."""
    for name in MODULES:
        bench.subjects[name].loading.clear()
        bench.subjects[name].unloading.clear()
    for _ in range(LOADS):
        for name in MODULES:
            with bench.subjects[name]("prerouting"):
                pass
    return {what: {name: min(getattr(bench.subjects[name], f"{what}ing")) / 1000 for name in MODULES}
            for what in ("load", "unload")}
