# SPDX-License-Identifier: GPL-2.0

"""What the tests left behind in the kernel's memory. conftest.py lets this run as the last."""

import time
from pathlib import Path

KMEMLEAK = Path("/sys/kernel/debug/kmemleak")
# It does not suspect what is younger (MSECS_MIN_AGE), nor what changed since the last scan.
MIN_AGE = 5.0


def test_no_memory_is_leaked():
    """Bug: what is neither used nor freed, whoever allocated it."""
    KMEMLEAK.write_text("scan", encoding="ascii")
    time.sleep(MIN_AGE + 1)
    KMEMLEAK.write_text("scan", encoding="ascii")
    report = KMEMLEAK.read_text(encoding="ascii")
    assert not report, report[:20_000]
