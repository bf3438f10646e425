# SPDX-License-Identifier: GPL-2.0

"""The specification: valid, true, and all that the kernel tree's own YNL client needs."""

import json
import shutil

import pytest
import yaml

import uapi
import ynl
from control import ALL_TYPES, DEFAULTS, Control, Monitor
from netlink import wait_until
from network import run

SPEC = yaml.safe_load(ynl.SPEC.read_text(encoding="ascii"))
HOOKS = ["pre-routing", "local-in", "forward", "local-out", "post-routing"]


def numbered(entries, first):
    """Names of what YNL counts through from `first`, or numbers by itself."""
    numbers, following = {}, first
    for entry in entries:
        entry = entry if isinstance(entry, dict) else {"name": entry}
        following = entry.get("value", following)
        numbers[entry["name"]] = following
        following += 1
    return numbers


def as_ynl(config):
    """A configuration as YNL shows it."""
    shown = {}
    for name, value in config.items():
        if name in ("ipv4", "ipv6"):
            octets = sum(1 << kind for kind in value).to_bytes(32, "little")
            value = {"types": octets.hex(" ")}
        elif name == "hooks":
            value = [hook for number, hook in enumerate(HOOKS) if value >> number & 1]
        elif name == "spread":
            value = ["flow", "cpu"][value]
        shown[name] = value
    return shown


# What is written.


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


# What is sent. In the client's own words it knows what it prints by name: an attribute that the
# specification lacks makes it fail.


def test_kernel_sends_all_attributes_of_the_specification(module):
    """And no others."""
    replies = {operation["name"]: operation["do"]["reply"]["attributes"]
               for operation in SPEC["operations"]["list"] if "reply" in operation.get("do", {})}
    for name, attributes in replies.items():
        assert set(ynl.request("--do", name)) == set(attributes), name
    for row in ynl.request("--dump", "stats-get"):
        assert set(row) == {"cpu", *replies["stats-get"]}
        for family in ("ipv4", "ipv6"):
            assert set(row[family]) == set(uapi.members("NLDEMO_PACKETS_A_"))


def test_do_and_dump_and_set_and_subscribe(module):
    """Everything the client can do, and a plain client sees the same."""
    with Control() as control, Monitor() as monitor, ynl.Subscriber("events") as subscriber:
        assert ynl.request("--do", "config-get") == as_ynl({**DEFAULTS, "event": 0})

        def subscribed():
            with open("/proc/net/netlink", encoding="ascii") as table:
                return sum(line.split()[1:4:2] == ["23", "00000001"] for line in table) == 2

        wait_until(subscribed)
        changes = {"enabled": 0, "queue": 300, "queues": 7, "spread": "cpu", "bypass": 0,
                   "hooks": ["local-in", "post-routing"], "priority": -150,
                   "skip-mark": 0xDEADBEEF, "ipv4": {"types": "01" + 31 * "00"},
                   "ipv6": {"types": 32 * "ff"}}
        assert ynl.request("--do", "config-set", **changes) is None
        expected = {"enabled": 0, "queue": 300, "queues": 7, "spread": 1, "bypass": 0,
                    "hooks": 0b10010, "priority": -150, "skip-mark": 0xDEADBEEF,
                    "ipv4": frozenset({0}), "ipv6": ALL_TYPES, "event": 1}
        assert control.config() == expected
        assert monitor.event() == ("config", expected)
        assert subscriber.event() == {"name": "config-ntf", "msg": as_ynl(expected)}

        # And the other way round.
        control.set(queue=5, spread=0, ipv6=set())
        expected |= {"queue": 5, "spread": 0, "ipv6": frozenset(), "event": 2}
        assert ynl.request("--do", "config-get") == as_ynl(expected)
        assert subscriber.event() == {"name": "config-ntf", "msg": as_ynl(expected)}
        assert monitor.event() == ("config", expected)
        assert not monitor.waiting()


def test_statistics_are_the_same(module):
    """The totals, and those of each CPU; asking counts too."""
    with Control() as control:
        first = control.stats()
        shown = ynl.request("--do", "stats-get")
        assert shown["messages"] == first["messages"] + 1
        assert shown["bytes"] == first["bytes"] + 16
        rows = ynl.request("--dump", "stats-get")
        assert [row["cpu"] for row in rows] == [row["cpu"] for row in control.per_cpu()]
        assert sum(row["messages"] for row in rows) == shown["messages"] + 1


def from_peer(shown):
    """A configuration as the peer shows it, by the names and in the values of the attributes."""
    def types(text):
        if text in ("all", "none"):
            return ALL_TYPES if text == "all" else frozenset()
        ranges = (part.partition("-")[::2] for part in text.split(","))
        return frozenset(kind for first, last in ranges
                         for kind in range(int(first), int(last or first) + 1))

    return {"enabled": int(shown["enabled"]), "queue": shown["queue"], "queues": shown["queues"],
            "spread": ["flow", "cpu"].index(shown["spread"]), "bypass": int(shown["bypass"]),
            "hooks": sum(1 << HOOKS.index(hook) for hook in shown["hooks"]),
            "priority": shown["priority"], "skip-mark": shown["skip_mark"],
            "ipv4": types(shown["ipv4_types"]), "ipv6": types(shown["ipv6_types"]),
            "event": shown["event"]}


def test_peer_and_client_agree(module, peer_program):
    """On values that were set by one and are seen by the other, and are announced to a monitor."""
    def peer(*arguments):
        return json.loads(run(peer_program, "-j", *arguments))

    with Monitor() as monitor:
        assert as_ynl(from_peer(peer("config", "show"))) == ynl.request("--do", "config-get")
        ynl.request("--do", "config-set", queue=70, spread="cpu", bypass=0, hooks=["forward"],
                    priority=-5, ipv4={"types": "03" + 31 * "00"})
        shown = from_peer(peer("config", "show"))
        assert as_ynl(shown) == ynl.request("--do", "config-get")
        assert monitor.event() == ("config", shown)
        shown = from_peer(peer("config", "set", "enabled=off", "queues=3", "skip-mark=0xffffffff",
                               "hooks=input,output", "ipv6-types=1-3,200"))
        assert as_ynl(shown) == ynl.request("--do", "config-get")
        assert monitor.event() == ("config", shown)
    # Both ask, which counts.
    totals = peer("stats")
    assert ynl.request("--do", "stats-get")["messages"] == totals["messages"] + 1
    assert [row["cpu"] for row in peer("stats", "--per-cpu")["cpus"]] == [
        row["cpu"] for row in ynl.request("--dump", "stats-get")]


@pytest.mark.parametrize("values, words", [
    ({"queue": 3, "queues": 0}, ("Numerical result out of range", "'bad-attr': '.queues'")),
    ({"ipv6": {"types": "00"}}, ("Invalid argument", "'bad-attr': '.ipv6.types'")),
    ({"ipv4": {}}, ("Invalid argument", "'miss-type': 1", "'miss-nest': 16")),
])
def test_client_tells_what_is_wrong(module, values, words):
    """By the offset that the kernel answers with, it finds the attribute."""
    done = ynl.run("--no-schema", "--do", "config-set", "--json", json.dumps(values))
    assert done.returncode == 1
    for word in words:
        assert word in done.stdout, done
