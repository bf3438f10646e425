# SPDX-License-Identifier: GPL-2.0

"""The kernel memory of a network namespace, from a trace of the allocations."""

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
# In the trace, `size` of a per-CPU allocation is the size for one CPU.
EVENT = re.compile(r" (k\w+|percpu_\w+): (?:.* size=(\d+) )?.*?ptr=(\S+)(?:.* bytes_alloc=(\d+))?")
REPETITIONS = 5


def _write(file, text):
    (TRACING / file).write_text(text, encoding="ascii")


def _kept():
    """The bytes that this thread allocates for a new namespace and does not free again. Returns two numbers: bytes
    that exist once, and bytes that exist for each CPU."""
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
    """The memory that each module adds to a namespace."""
    found = {}
    for _ in range(REPETITIONS):
        for name in ("nothing", *MODULES):
            with bench.subjects[name]("prerouting", None):
                found.setdefault(name, []).append(_kept())
    for of, what in enumerate(("once", "for each CPU that the machine can have")):
        kept = {name: statistics.median(values[of] for values in found[name]) for name in found}
        yield Row("module", f"memory of a network namespace, {what}", "bytes",
                  {name: kept[name] - kept["nothing"] for name in MODULES})
