# SPDX-License-Identifier: GPL-2.0

"""Prints the part of the user's cargo configuration that the workspace's cargo may read.

usage: cargo_config.py FILE PATH

That part says how to reach registries: their names and replacements, the proxy, the certificates. The
rest would change the build: wrappers, linkers, targets, flags. FILE is the configuration, and PATH is its
path on the user's machine.

The output starts with comments: "# cainfo: PATH" names the file of the certificates, "# needs: PATH" any
other file of the user's machine that cargo will read.
"""

import json
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlsplit

KEPT = ("http", "net", "registries", "source")
# The keys whose values are paths on the user's machine.
PATHS = {"cainfo", "directory", "local-registry", "proxy-cainfo"}


def toml(value):
    """A value in TOML's notation on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    # TOML writes scalars as JSON does.
    return json.dumps(value, ensure_ascii=False)


def tables(value):
    """The table and all tables inside it."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from tables(item)


def main():
    file, path = map(Path, sys.argv[1:])
    config = {key: value for key, value in tomllib.loads(file.read_text(encoding="utf-8")).items() if key in KEPT}
    needs = []
    for table in tables(config):
        for key, value in table.items():
            if key in PATHS:
                # Cargo resolves the value relative to the parent of the directory that has the
                # configuration.
                table[key] = str(path.parent.parent / value)
                needs.append(table[key])
            elif isinstance(value, str) and value.removeprefix("sparse+").startswith("file:"):
                needs.append(unquote(urlsplit(value.removeprefix("sparse+")).path))
    if cainfo := config.get("http", {}).pop("cainfo", None):
        needs.remove(cainfo)
        print(f"# cainfo: {cainfo}")
    for need in needs:
        print(f"# needs: {need}")
    for key, value in config.items():
        print(f"{key} = {toml(value)}")


try:
    main()
except (OSError, ValueError) as error:
    sys.exit(f"{sys.argv[-1]}: {error}")
