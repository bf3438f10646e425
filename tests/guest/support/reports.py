# SPDX-License-Identifier: GPL-2.0

"""Prints each failure immediately, because the guest may stop before pytest prints its summary."""

import pytest


class AtOnce:
    """A plugin of pytest that prints each failure in the format of pytest's summary."""

    def __init__(self, config):
        self._config = config

    def _print(self, title, text, sections=()):
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        terminal.ensure_newline()
        terminal.write_sep("_", title, red=True, bold=True)
        terminal.write_line(text)
        for name, content in sections:
            terminal.write_sep("-", name)
            terminal.write_line(content.rstrip("\n"))
        terminal.flush()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report):
        if report.failed:
            self._print(f"{report.nodeid}, {report.when}", report.longreprtext, report.sections)
        if left_behind := getattr(report, "left_behind", ()):
            self._print(f"{report.nodeid} left behind", "\n".join(left_behind))

    @pytest.hookimpl(trylast=True)
    def pytest_collectreport(self, report):
        if report.failed:
            self._print(report.nodeid, report.longreprtext)

    def pytest_sessionfinish(self):
        # Without this option, pytest's summary would print the failures a second time.
        self._config.option.tbstyle = "no"
