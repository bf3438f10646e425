# SPDX-License-Identifier: GPL-2.0

"""The fixtures that only `make churn` has: counts, progress, and a summary."""

import os
import time

import pytest

# The scale of all counts, in percent.
SCALE = int(os.environ["NLDEMO_CHURN"])
SURVIVED = []


class Tally:
    """Counts the events that the module survived, and shows the progress."""

    def __init__(self):
        self._start = self._shown = time.monotonic()

    def of(self, count):
        """The count, multiplied by the scale."""
        return max(count * SCALE // 100, 5)

    def progress(self, what, done, count):
        """Shows the progress, every few seconds."""
        now = time.monotonic()
        if now - self._shown >= 10:
            self._shown = now
            print(f"  {done:,} of {count:,} {what} after {now - self._start:.0f} s", flush=True)

    def survived(self, **counts):
        """Adds to the counts of the summary."""
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
