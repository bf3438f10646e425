# SPDX-License-Identifier: GPL-2.0

"""The specification: valid, and of one mind with the header. It asks nothing of the module."""

import shutil

import uapi
import ynl
from test_ynl import HOOKS, SPEC


def numbered(entries, first):
    """Names of what YNL counts through from `first`, or numbers by itself."""
    numbers, following = {}, first
    for entry in entries:
        entry = entry if isinstance(entry, dict) else {"name": entry}
        following = entry.get("value", following)
        numbers[entry["name"]] = following
        following += 1
    return numbers


def test_specification_is_valid():
    """By the schema for raw netlink of the kernel tree."""
    done = ynl.validate()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_schema_finds_fault(tmp_path, monkeypatch):
    """The validation above can fail."""
    spec = tmp_path / "nldemo.yaml"
    shutil.copy(ynl.SPEC, spec)
    with spec.open("a", encoding="ascii") as file:
        file.write("nonesuch: 1\n")
    monkeypatch.setattr(ynl, "SPEC", spec)
    done = ynl.validate()
    assert done.returncode != 0 and "nonesuch" in done.stderr


def test_specification_and_header_have_the_same_attributes():
    """By name and number, none more and none less."""
    sets = {spec["name"]: numbered(spec["attributes"], 1) for spec in SPEC["attribute-sets"]}
    assert sets == {name: uapi.members(f"NLDEMO_{name.upper()}_A_") for name in sets}
    in_header = {name.split("_")[1].lower() for name in uapi.NUMBERS if "_A_" in name}
    assert in_header == set(sets)


def test_specification_and_header_have_the_same_messages():
    """Requests and notifications under their name; replies under that of what they hold."""
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
    # YNL has no word for payloads that are no attributes.
    in_header = uapi.members("NLDEMO_MSG_")
    assert {**in_spec, "echo": 16, "hello-reply": 23} == in_header
    assert len(set(in_header.values())) == len(in_header)


def test_specification_and_header_have_the_same_numbers():
    """The protocol, its group, enumerations and constants."""
    definitions = {definition["name"]: definition for definition in SPEC["definitions"]}
    assert SPEC["protonum"] == uapi.NUMBERS["NLDEMO_PROTOCOL_DEFAULT"]
    groups = {group["name"]: group["value"] for group in SPEC["mcast-groups"]["list"]}
    assert groups == uapi.members("NLDEMO_GROUP_")
    assert numbered(definitions["spread"]["entries"], 0) == uapi.members("NLDEMO_SPREAD_")
    assert definitions["types-len"]["value"] == uapi.NUMBERS["NLDEMO_TYPES_LEN"]
    assert definitions["hooks"]["entries"] == HOOKS
