# SPDX-License-Identifier: GPL-2.0

"""The specification is valid, agrees with uapi/nldemo.h, and suits the kernel tree's generator of C."""

import re
import shutil
import subprocess
import sys

import pytest

import uapi
import ynl
from netlink import DEADLINE

SPEC = ynl.specification()


def numbered(entries, first):
    """Returns the number of each entry, by the entry's name. As in YNL, an entry without a number gets the
    number of the entry before it plus one, and the first entry gets `first`."""
    numbers, following = {}, first
    for entry in entries:
        entry = entry if isinstance(entry, dict) else {"name": entry}
        following = entry.get("value", following)
        numbers[entry["name"]] = following
        following += 1
    return numbers


def test_specification_is_valid():
    """The kernel tree's schema for raw netlink accepts the specification."""
    done = ynl.validate()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_schema_finds_fault(tmp_path, monkeypatch):
    """The validation that the test above uses notices a mistake."""
    spec = tmp_path / "nldemo.yaml"
    shutil.copy(ynl.SPEC, spec)
    with spec.open("a", encoding="ascii") as file:
        file.write("nonesuch: 1\n")
    monkeypatch.setattr(ynl, "SPEC", spec)
    done = ynl.validate()
    assert done.returncode != 0 and "nonesuch" in done.stderr


def test_specification_and_header_have_the_same_attributes():
    """The specification and the header have exactly the same names and numbers of attributes."""
    sets = {spec["name"]: numbered(spec["attributes"], 1) for spec in SPEC["attribute-sets"]}
    for name, attributes in sets.items():
        prefix = f"NLDEMO_{name.upper()}_A_"
        assert uapi.members(prefix) == attributes
        assert uapi.NUMBERS[f"{prefix}MAX"] == max(attributes.values())
    in_header = {name.split("_")[1].lower() for name in uapi.NUMBERS if "_A_" in name}
    assert in_header == set(sets)


def test_specification_and_header_have_the_same_messages():
    """The specification and the header have the same names for requests and events. In the header, a reply
    has the name of its request without "-get"."""
    in_spec = {}
    for operation in SPEC["operations"]["list"]:
        name = operation["name"]
        if "value" in operation:
            in_spec[name] = operation["value"]
        for mode in ("do", "dump"):
            if mode in operation:
                in_spec[name] = operation[mode]["request"]["value"]
                if "reply" in operation[mode]:
                    in_spec[name.removesuffix("-get")] = operation[mode]["reply"]["value"]
    # YNL cannot describe payloads without attributes, so only the header has "echo" and "hello-reply".
    in_header = uapi.members("NLDEMO_MSG_")
    assert {**in_spec, "echo": 16, "hello-reply": 23} == in_header
    assert len(set(in_header.values())) == len(in_header)


def test_specification_and_header_have_the_same_numbers():
    """The specification and the header have the same protocol number, group, enumerations and constants."""
    definitions = {definition["name"]: definition for definition in SPEC["definitions"]}
    assert SPEC["protonum"] == uapi.NUMBERS["NLDEMO_PROTOCOL_DEFAULT"]
    groups = {group["name"]: group["value"] for group in SPEC["mcast-groups"]["list"]}
    assert groups == uapi.members("NLDEMO_GROUP_")
    assert numbered(definitions["spread"]["entries"], 0) == uapi.members("NLDEMO_SPREAD_")
    assert definitions["types-len"]["value"] == uapi.NUMBERS["NLDEMO_TYPES_LEN"]
    assert definitions["hooks"]["entries"] == ynl.HOOKS
    assert {name: 1 << place for place, name in enumerate(ynl.HOOKS)} == uapi.members("NLDEMO_HOOKS_")


def generated(directory, part, *arguments):
    """Makes a file for programs in C from the specification, with the kernel tree's generator. Returns the
    result of the generator, and the file."""
    file = directory / f"nldemo-user.{part[0]}"
    # The generator searches upwards from the specification for a directory with MAINTAINERS. Without this
    # file, the search never ends.
    (directory / "MAINTAINERS").touch()
    specs = directory / "specs"
    specs.mkdir(exist_ok=True)
    shutil.copy(ynl.SPEC, specs)
    shutil.copy(ynl.SCHEMA, directory)
    done = subprocess.run(
        [sys.executable, ynl.CLI.with_name("ynl_gen_c.py"), "--spec", specs / ynl.SPEC.name, "--mode", "user",
         f"--{part}", "-o", file, *arguments],
        capture_output=True, text=True, check=False, timeout=6 * DEADLINE)
    return done, file


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """The code that the generator makes of all operations that it knows: {part: file}."""
    files = {}
    for part in ("header", "source"):
        done, files[part] = generated(tmp_path_factory.mktemp(part), part, "--exclude-op", ".*-(get|ntf)")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), part
    return files


def test_generator_of_c_takes_the_specification(code):
    for file in code.values():
        named = set(re.findall(r"\bNLDEMO_\w+", file.read_text(encoding="ascii")))
        assert named and named <= set(uapi.NUMBERS)


def test_generated_code_compiles(code):
    """It compiles with uapi/nldemo.h."""
    done = subprocess.run(["gcc", "-Wall", "-Werror", "-fsyntax-only", "-x", "c", "-I", uapi.HEADER.parent,
                           code["header"]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_generator_of_c_does_not_know_events_of_raw_netlink(tmp_path):
    """As docs/protocol.md says, the generator fails at events, because it looks for a request with the
    event's number."""
    done, _ = generated(tmp_path, "source")
    assert done.returncode and "KeyError: 20" in done.stderr
