# SPDX-License-Identifier: GPL-2.0

"""The fixture that only the tests of `make churn` use: it scales counts, shows the progress and keeps a
summary."""

import os
import time

import pytest

# The counts of all tests are multiplied by this number, in percent.
SCALE = int(os.environ["NLDEMO_CHURN"])
SURVIVED = []


class Tally:
    """Shows the progress of a test, and keeps its counts, for example of configuration changes, for the
    summary."""

    def __init__(self):
        self._start = self._shown = time.monotonic()

    def of(self, count):
        """Returns the count multiplied by the scale, and at least 5."""
        return max(count * SCALE // 100, 5)

    def progress(self, what, done, count):
        """Shows the progress, every few seconds."""
        now = time.monotonic()
        if now - self._shown >= 10:
            self._shown = now
            print(f"  {done:,} of {count:,} {what} after {now - self._start:.0f} s", flush=True)

    def survived(self, **counts):
        """Adds counts to the summary, which is printed after all tests."""
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
