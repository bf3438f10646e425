# SPDX-License-Identifier: GPL-2.0

"""What a network namespace takes of the kernel's memory, allocation by allocation."""

import os
import re
import statistics
from pathlib import Path

from network import Namespace
from rows import Row
from works import MODULES

TRACING = Path("/sys/kernel/tracing")
EVENTS = ("kmem/kmalloc", "kmem/kmem_cache_alloc", "kmem/kfree", "kmem/kmem_cache_free",
          "percpu/percpu_alloc_percpu", "percpu/percpu_free_percpu")
# Of per-CPU memory `size` is what one CPU has.
EVENT = re.compile(r" (k\w+|percpu_\w+): (?:.* size=(\d+) )?.*?ptr=(\S+)(?:.* bytes_alloc=(\d+))?")
REPETITIONS = 5


def _write(file, text):
    (TRACING / file).write_text(text, encoding="ascii")


def _kept():
    """Bytes that this thread allocates for a new namespace and does not free again: those that are there
    once, and those that each CPU has."""
    _write("trace", "")
    _write("set_event_pid", f"{os.getpid()}\n")
    _write("set_event", "\n".join(EVENTS).replace("/", ":"))
    namespace = Namespace()
    _write("set_event", "")
    kept = {}
    for what, of_a_cpu, pointer, size in EVENT.findall((TRACING / "trace").read_text(encoding="ascii")):
        if "free" in what:
            kept.pop(pointer, None)
        else:
            kept[pointer] = bool(of_a_cpu), int(of_a_cpu or size)
    namespace.close()
    return [sum(size for percpu, size in kept.values() if percpu == of) for of in (False, True)]


def of_a_namespace(bench):
    """What it takes more of with either module than without."""
    found = {}
    for _ in range(REPETITIONS):
        for name in ("nothing", *MODULES):
            with bench.subjects[name]("prerouting", None):
                found.setdefault(name, []).append(_kept())
    for of, what in enumerate(("once", "for each CPU that the machine can have")):
        kept = {name: statistics.median(values[of] for values in found[name]) for name in found}
        yield Row("module", f"memory of a network namespace, {what}", "bytes",
                  {name: kept[name] - kept["nothing"] for name in MODULES})
