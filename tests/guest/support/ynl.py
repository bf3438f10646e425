# SPDX-License-Identifier: GPL-2.0

"""Runs the YNL client of the kernel tree, with the module's specification."""

import ast
import contextlib
import importlib
import io
import json
import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path

import yaml

from checkout import CHECKOUT
from workers import Worker

TREE = Path("/usr/share/linux-source")
CLI = TREE / "tools" / "net" / "ynl" / "pyynl" / "cli.py"
SCHEMA = TREE / "Documentation" / "netlink" / "netlink-raw.yaml"
SPEC = CHECKOUT / "specs" / "nldemo.yaml"
# The names of the hook points in the specification, in the order of the kernel's numbers.
HOOKS = ["pre-routing", "local-in", "forward", "local-out", "post-routing"]

# The client spends most of its time on imports. So this process imports the client's modules once, and each run
# of the client is a fork of this process.
sys.path.append(str(CLI.parent))
importlib.import_module("lib")


def specification():
    """The contents of the specification."""
    return yaml.safe_load(SPEC.read_text(encoding="ascii"))


def _arguments(*arguments):
    return [str(CLI), "--spec", str(SPEC), "--output-json", *arguments]


def _main(arguments):
    """Runs the client as a program. Returns its exit status, its output and its errors."""
    sys.argv = _arguments(*arguments)
    status = 0
    with contextlib.redirect_stdout(io.StringIO()) as out, \
            contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            runpy.run_path(str(CLI), run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
        except Exception:  # pylint: disable=broad-exception-caught
            traceback.print_exc()
            status = 1
    return status, out.getvalue(), err.getvalue()


def validate():
    """Checks the specification."""
    return run("--schema", str(SCHEMA), "--validate")


def run(*arguments):
    """Runs the client to its end, in the network namespace of the calling thread."""
    status, out, err = ast.literal_eval(Worker(_main, arguments).result())
    return subprocess.CompletedProcess(_arguments(*arguments), status, out, err)


def request(*arguments, **attributes):
    """Lets the client send a request that must succeed. Returns the client's output, parsed as JSON."""
    if attributes:
        arguments += ("--json", json.dumps({name.replace("_", "-"): value
                                            for name, value in attributes.items()}))
    done = run("--no-schema", *arguments)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


class Subscriber:
    """Runs the client so that it receives the events of a multicast group."""

    def __init__(self, group):
        self._process = subprocess.Popen(
            [sys.executable, *_arguments("--no-schema", "--subscribe", group)], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    def event(self):
        return json.loads(self._process.stdout.readline())
