# SPDX-License-Identifier: GPL-2.0

"""What `make churn` adds to the fixtures of the other tests: counts, progress, and a summary."""

import os
import time

import pytest

# How much of each, in percent.
SCALE = int(os.environ["NLDEMO_CHURN"])
SURVIVED = []


class Tally:
    """Counts what was survived, and shows how far it is."""

    def __init__(self):
        self._start = self._shown = time.monotonic()

    def of(self, count):
        """So many of what is asked for, as many as the scale says."""
        return max(count * SCALE // 100, 5)

    def progress(self, what, done, count):
        """Shows it, every few seconds."""
        now = time.monotonic()
        if now - self._shown >= 10:
            self._shown = now
            print(f"  {done:,} of {count:,} {what} after {now - self._start:.0f} s", flush=True)

    def survived(self, **counts):
        """What has been gone through, for the summary."""
        seconds = time.monotonic() - self._start
        for what, count in counts.items():
            SURVIVED.append((what.replace("_", " "), count, seconds))


@pytest.fixture
def tally():
    return Tally()


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("survived")
    for what, count, seconds in SURVIVED:
        terminalreporter.write_line(f"{count:12,} {what:<50} {seconds:6.0f} s")
