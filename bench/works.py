# SPDX-License-Identifier: GPL-2.0

"""The works that are measured, such as an echo or a UDP packet, and the bounds of the module's costs."""

import dataclasses

from rows import Bound

MODULES = ("floor", "twin", "module")
HOOKED = ("nothing", *MODULES, "nft")
PASSING = (*HOOKED, "BPF, empty", "BPF, looks")
# The module and its C twin (bench/twin/nldemo_twin.c) do the same work. So the difference of their costs is due to
# the language.
ECHO = Bound(most=1.00, meanwhile=1.01)
PASSES = Bound(most=1.00)
QUEUED = Bound(most=1.00)
FAMILY = Bound(most=1.00, meanwhile=1.05)
TWICE = Bound(most=1.00, meanwhile=1.05, why="""\
Acknowledged generic netlink do: the kernel validates each request by its copy of the policy, which shows the
policy to clients. That copy cannot express that an attribute is missing or given twice, so the module validates
the request again. For each request the module's own code takes 443 instructions, and C takes 106. 198 of the 443
are the second validation of two attributes. 122 find and read their values, which C has in a table. 123 find the
message, the operation and the instance. The check of the capability (288) is the same in both.""")
HOOKS = ("prerouting", "input", "forward", "output", "postrouting")


@dataclasses.dataclass(frozen=True, eq=False)
class Work:
    """Something to do and to measure: the arguments for the measuring program, and the names of the subjects. Subjects
    are the modules, rules and BPF programs whose costs are compared.

    If "nothing" is a subject, its cost is subtracted from the costs of the other subjects before these are compared.
    """

    section: str
    name: str
    command: tuple  # what `measure` does, and its arguments after ROUNDS and TIMES
    times: int = 20  # how often a round does the work; few for a long work, so that most rounds meet no timer interrupt
    subjects: tuple = MODULES
    ours: str = "module"  # the subject that the others are compared to
    hook: str = "prerouting"
    far: bool = False  # whether the program's arguments include the packets' destination
    bounds: dict = dataclasses.field(default_factory=dict)  # the bounds of the ratios ours / subject, by subject


def echo(size, floor=None, *, batch=1, sockets=1, threads=1, section="echo", times=10):
    what = f"echo of {size:,} bytes"
    what += f", {batch} messages at once" if batch > 1 else ""
    what += f", {sockets:,} sockets" if sockets > 1 else ""
    what += f", {threads} threads" if threads > 1 else ""
    return Work(section, what, ("echo", size, batch, sockets, threads), times,
                bounds={"twin": ECHO, "floor": floor or Bound()})


def passing(what, hook, command, times=20):
    bounds = {"twin": PASSES, "nft": Bound(most=0.33), "BPF, empty": Bound(most=0.65)}
    return Work("passing", f"{what}, {hook}", command, times, PASSING, hook=hook, far=True, bounds=bounds)


def udp(hook):
    return passing("UDP", hook, ("udp", 64, 0))


def icmpv6(extensions):
    headers = "header" if extensions == 1 else "headers"
    return Work("queued", f"ICMPv6 behind {extensions} extension {headers}, nobody listens",
                ("icmpv6", 56, extensions), subjects=HOOKED, bounds={"twin": QUEUED})


def and_bare(work):
    """The work with one more subject: the twin without calls for tracing and without stack protectors."""
    return dataclasses.replace(work, subjects=(*work.subjects, "twin, bare"))


def family(what, command, bound):
    return Work("families", what, (command,), subjects=("family in C", "family"), ours="family",
                bounds={"family in C": bound})


CLOCK = Work("clock", "a hundred thousand instructions", ("clock",), 5)
FLOOR = Work("echo", "acknowledgement of nothing", ("floor",))
GET = family("generic netlink do, with a reply", "counter-get", FAMILY)
SMALL, LARGE = Bound(most=0.93), Bound(most=0.66)
QUICK = [
    echo(0, SMALL), echo(64, SMALL), echo(16384, LARGE, times=4), echo(65536, LARGE, times=2),
    echo(64, batch=100, times=1),
    udp("prerouting"),
    GET,
]
FAMILIES = [
    GET,
    family("generic netlink do, acknowledged", "counter-add", TWICE),
]
FULL = [
    FLOOR,
    echo(0, SMALL), and_bare(echo(64, SMALL)), echo(1024), echo(16384, LARGE, times=4),
    echo(65536, LARGE, times=2),
    echo(64, batch=100, times=1),
    *(work for hook in HOOKS for work in (
        and_bare(udp(hook)),
        passing("UDP of 16 segments", hook, ("udp", 16000, 1000), 10),
        passing("TCP", hook, ("tcp", 64), 10),
        passing("TCP of 64 KiB", hook, ("tcp", 65536), 4))),
    and_bare(Work("queued", "ICMP, nobody listens", ("icmp", 56), subjects=HOOKED, bounds={"twin": QUEUED})),
    Work("queued", "ICMP, accepted by a listener", ("queued", 56), subjects=(*MODULES, "nft")),
    *map(icmpv6, (0, 1, 8)),
]
