# SPDX-License-Identifier: GPL-2.0

"""The hook reads the configuration. How much slower are packets while another process asks for the
configuration, and how much slower is asking while packets arrive?"""

import statistics

from rows import Bound, Ratio, Row
from works import CLOCK, Work

# A round does the work only a few times, because most rounds must end before the scheduler switches to the other
# process.
GET = Work("config", "asking for the configuration", ("config",), 10)
ICMP = Work("config", "an ICMP packet, which reads it", ("icmp", 56), 10)
UDP = Work("config", "a UDP packet, which does not", ("udp", 64, 0), 10, far=True)
REPETITIONS = 5


def under_load(bench):
    """Measures the cost of `work` alone, beside a process that only uses the CPU (CLOCK), and beside a process that
    does `load`."""
    with bench.subjects["module"]("prerouting"):
        for work, load in ((GET, ICMP), (ICMP, GET), (UDP, GET)):
            alone, costs = bench.instructions(work), {CLOCK: [], load: []}
            for _ in range(REPETITIONS):
                for other, values in costs.items():
                    with bench.beside(other):
                        values.append(bench.instructions(work))
            idle, busy = costs.values()
            yield Row("config", work.name, "instructions",
                      {"alone": alone, "beside a loop": statistics.median(idle),
                       "under load": statistics.median(busy)},
                      [Ratio.of("under load / beside a loop", busy, idle, bound=Bound(most=1.02))])
