# SPDX-License-Identifier: GPL-2.0

"""The size of the modules, and how much code the module has for each purpose."""

import re

from network import run
from rows import Row
from works import MODULES

SECTIONS = {
    "code": r"\.((init|exit)\.)?text",
    "constants": r"\.rodata",
    "data": r"\.(data|bss)",
}
# The purposes of the module's code. Each purpose has a pattern for the names of the functions with this purpose. If
# several patterns match a function, the first pattern is used.
PARTS = {
    "statistics": r"stats|percpu|dump",
    "configuration and its events": r"::control|::events|config|multicast|OutOfRange|loaded|points|Subsystem>::load",
    "attributes and refusals": r"attribute|refus",
    "packets": r"hook::decide|netfilter::callback|classify|skbuff|spread",
    "messages": r"netlink|Input",
    "loading, unloading, namespaces": r"",
}


def _sections(file):
    """The sections of a module, as (name, bytes)."""
    listing = run("size", "-A", "-d", str(file))
    return [(name, int(size)) for name, size in re.findall(r"^(\.\S+) +(\d+)", listing, re.MULTILINE)]


def _functions(file):
    """The functions of a module, as (name, bytes)."""
    listing = run("nm", "--print-size", "--demangle", str(file))
    return [(name, int(size, 16)) for size, name in
            re.findall(r"^[0-9a-f]+ ([0-9a-f]+) [tT] (.+)", listing, re.MULTILINE)]


def sections(bench):
    """The sizes of the modules in memory, by kind of section."""
    found = {name: _sections(bench.subjects[name].file) for name in MODULES}
    for kind, pattern in SECTIONS.items():
        yield Row("module", kind, "bytes", {
            name: sum(size for section, size in sizes if re.match(pattern, section))
            for name, sizes in found.items()})


def parts(bench):
    """The size of the module's code, by purpose."""
    sizes = dict.fromkeys(PARTS, 0)
    for function, size in _functions(bench.subjects["module"].file):
        sizes[next(part for part, names in PARTS.items() if re.search(names, function))] += size
    for part, size in sizes.items():
        yield Row("module", f"code for {part}", "bytes", {"module": size})
