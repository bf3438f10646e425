# SPDX-License-Identifier: GPL-2.0

"""The kernel tree's own YNL client, driven by the module's specification."""

import json
import os
import subprocess
import sys
from pathlib import Path

from netlink import SLOW

TREE = Path("/usr/share/linux-ynl")
CLI = TREE / "tools" / "net" / "ynl" / "pyynl" / "cli.py"
SCHEMA = TREE / "Documentation" / "netlink" / "netlink-raw.yaml"
SPEC = Path(__file__).resolve().parents[2] / "specs" / "nldemo.yaml"


def _command(*arguments):
    return [sys.executable, str(CLI), "--spec", str(SPEC), "--output-json", *arguments]


def validate():
    """Checks the specification."""
    return run("--schema", str(SCHEMA), "--validate")


def run(*arguments):
    """Runs the client to its end, in the network namespace of the calling thread."""
    return subprocess.run(_command(*arguments), capture_output=True, text=True, check=False,
                          timeout=60 * SLOW)


def request(*arguments, **attributes):
    """What it makes of the answer to a request that must succeed."""
    if attributes:
        arguments += ("--json", json.dumps({name.replace("_", "-"): value
                                            for name, value in attributes.items()}))
    done = run("--no-schema", *arguments)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


class Subscriber:
    """The client as a listener to events."""

    def __init__(self, group):
        self._process = subprocess.Popen(
            _command("--no-schema", "--subscribe", group), stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    def event(self):
        return json.loads(self._process.stdout.readline())
