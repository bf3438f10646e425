# SPDX-License-Identifier: GPL-2.0

"""Writes the tables of docs/protocol.md from specs/nldemo.yaml.

usage: protocol.py [--check]

A table is between the comments "spec: WHAT" and "/spec" of docs/protocol.md. WHAT is "operations", or the
name of a set of attributes. --check writes nothing, and only compares. The kernel's own generator
(ynl_gen_rst.py) is not used: it writes neither numbers nor ranges, and only for Sphinx.

Exit status: 0 done, or the tables are right; 1 the tables differ, 2 usage error.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SPEC, DOCUMENT = ROOT / "specs/nldemo.yaml", ROOT / "docs/protocol.md"
PLACE = re.compile(r"(<!-- spec: ([\w-]+) -->\n).*?(<!-- /spec -->)", re.DOTALL)


def constant(prefix, name):
    """The constant in the C header for a name of the specification."""
    return f"{prefix}{name}".upper().replace("-", "_")


def text(entry):
    """The documentation of an entry, on one line."""
    return " ".join(entry.get("doc", "").split())


def table(head, rows):
    """A table of Markdown."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


def kind(attribute, spec):
    """The type of an attribute, with its range, its length or its values."""
    checks = dict(attribute.get("checks", {}))
    constants = {entry["name"]: entry.get("value") for entry in spec["definitions"] if entry["type"] == "const"}
    enums = {entry["name"]: entry for entry in spec["definitions"] if entry["type"] in ("enum", "flags")}
    words = [f"nest of {attribute['nested-attributes']}" if attribute["type"] == "nest" else attribute["type"]]
    if "exact-len" in checks:
        words.append(f"{constants.get(checks['exact-len'], checks['exact-len'])} bytes")
    elif "max" in checks:
        words.append(f"{checks.get('min', 0)} to {checks['max']}")
    elif "min" in checks:
        words.append(f"at least {checks['min']}")
    if "enum" in attribute:
        names = [entry if isinstance(entry, str) else entry["name"] for entry in enums[attribute["enum"]]["entries"]]
        is_mask = attribute.get("enum-as-flags", False)
        words.append(", ".join(f"{1 << n if is_mask else n} {name}" for n, name in enumerate(names)))
    return ", ".join(words[:2]) + "".join(f": {names}" for names in words[2:])


def attributes(name, spec):
    """The table of a set of attributes."""
    chosen, = (entry for entry in spec["attribute-sets"] if entry["name"] == name)
    prefix = chosen["name-prefix"]
    rows = [(f"{number} `{constant(prefix, attribute['name'])}`", kind(attribute, spec), text(attribute))
            for number, attribute in enumerate(chosen["attributes"], 1)]
    return table(("attribute", "type", ""), rows)


def message(value, prefix, name):
    """A message's number and name."""
    return f"{value} `{constant(prefix, name)}`"


def operations(spec):
    """The table of requests and events."""
    prefix, rows = spec["operations"]["name-prefix"], []
    by_name = {operation["name"]: operation for operation in spec["operations"]["list"]}

    def listed(part):
        names = part.get("attributes", [])
        return ", ".join(f"`{name}`" for name in names) if names else "no attributes"

    for operation in spec["operations"]["list"]:
        needs = " Needs `CAP_NET_ADMIN`." if "admin-perm" in operation.get("flags", []) else ""
        for way in ("do", "dump"):
            if way in operation:
                request, reply = operation[way]["request"], operation[way].get("reply")
                flag = ", `NLM_F_DUMP`" if way == "dump" else ""
                rows.append((message(request["value"], prefix, operation["name"]) + flag, listed(request),
                             f"{reply['value']}: {listed(reply)}" if reply else "the acknowledgement",
                             text(operation) + needs))
        if "value" in operation:
            told = operation["event"] if "event" in operation else by_name[operation["notify"]]["do"]["reply"]
            rows.append((message(operation["value"], prefix, operation["name"]), "",
                         f"event: {listed(told)}", text(operation)))
    return table(("type", "request", "answer", ""), rows)


def main():
    """Writes or checks the tables."""
    if sys.argv[1:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    spec = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    before = DOCUMENT.read_text(encoding="utf-8")

    def replaced(match):
        made = operations(spec) if match[2] == "operations" else attributes(match[2], spec)
        return match[1] + made + match[3]

    after = PLACE.sub(replaced, before)
    missing = {entry["name"] for entry in spec["attribute-sets"]} | {"operations"}
    missing -= {match[2] for match in PLACE.finditer(before)}
    if missing:
        sys.exit(f"docs/protocol.md has no place for: {', '.join(sorted(missing))}; add the comments "
                 '"<!-- spec: NAME -->" and "<!-- /spec -->"')
    if not sys.argv[1:]:
        DOCUMENT.write_text(after, encoding="utf-8")
    elif after != before:
        sys.exit("docs/protocol.md differs from specs/nldemo.yaml; to write its tables again:"
                 " scripts/enter -- python3 scripts/protocol.py")


if __name__ == "__main__":
    main()
