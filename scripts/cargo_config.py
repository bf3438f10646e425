# SPDX-License-Identifier: GPL-2.0

"""Prints what the workspace's cargo may know of the configuration of the user's cargo.

usage: cargo_config.py FILE PATH

That is how to reach registries: their names and replacements, the proxy, the certificates. The rest
would change what is built: wrappers, linkers, targets, flags. FILE is the configuration, and PATH is
where it is on the user's machine.

Comments come first: "# cainfo: PATH" is the file of the certificates, "# needs: PATH" anything else
on the user's machine that cargo is going to read.
"""

import json
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlsplit

KEPT = ("http", "net", "registries", "source")
# What has a path of the user's machine for its value.
PATHS = {"cainfo", "directory", "local-registry", "proxy-cainfo"}


def toml(value):
    """A value in TOML's notation on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    # Of scalars, JSON's notation is also TOML's.
    return json.dumps(value, ensure_ascii=False)


def tables(value):
    """A table and those in it."""
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
                # Relative to where the directory is that the file is in.
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
