# SPDX-License-Identifier: GPL-2.0

"""The specification is right, and has all that the kernel tree's own YNL client needs.

The client prints each attribute by its name in the specification. The client fails if the kernel sends an
attribute that the specification lacks.
"""

import json

import pytest

import uapi
import ynl
from control import ALL_TYPES, DEFAULTS, Control, Monitor, told
from netlink import sockets, wait_until
from network import run

SPEC = ynl.specification()
# The names that nldemo uses for the hook points of ynl.HOOKS, in the same order. nftables uses these names, too.
HOOKS_OF_PEER = ["prerouting", "input", "forward", "output", "postrouting"]


def as_ynl(config):
    """Returns a configuration in the form in which YNL shows it."""
    shown = {}
    for name, value in config.items():
        if name in ("ipv4", "ipv6"):
            octets = sum(1 << kind for kind in value).to_bytes(32, "little")
            value = {"types": octets.hex(" ")}
        elif name == "hooks":
            value = [hook for number, hook in enumerate(ynl.HOOKS) if value >> number & 1]
        elif name == "spread":
            value = ["flow", "cpu"][value]
        shown[name] = value
    return shown


def test_kernel_sends_all_attributes_of_the_specification(module):
    """The kernel sends exactly the attributes that the specification lists, no others."""
    replies = {operation["name"]: operation["do"]["reply"]["attributes"]
               for operation in SPEC["operations"]["list"] if "reply" in operation.get("do", {})}
    for name, attributes in replies.items():
        assert set(ynl.request("--do", name)) == set(attributes), name
    for row in ynl.request("--dump", "stats-get"):
        assert set(row) == {"cpu", *replies["stats-get"]} - {"hooked"}
        for family in ("ipv4", "ipv6"):
            assert set(row[family]) == set(uapi.members("NLDEMO_PACKETS_A_"))


def test_do_and_dump_and_set_and_subscribe(module):
    """The YNL client reads and changes the configuration, and gets events. The tests' own client sees the
    same values."""
    with Control() as control, Monitor() as monitor, ynl.Subscriber("events") as subscriber:
        assert ynl.request("--do", "config-get") == as_ynl({**DEFAULTS, **told(0)})

        def subscribed():
            return [row["Groups"] for row in sockets().values()].count("00000001") == 2

        wait_until(subscribed)
        changes = {"enabled": 0, "queue": 300, "queues": 7, "spread": "cpu", "bypass": 0,
                   "hooks": ["local-in", "post-routing"], "priority": -150,
                   "skip-mark": 0xDEADBEEF, "ipv4": {"types": "01" + 31 * "00"},
                   "ipv6": {"types": 32 * "ff"}}
        assert ynl.request("--do", "config-set", **changes) is None
        expected = {"enabled": 0, "queue": 300, "queues": 7, "spread": 1, "bypass": 0,
                    "hooks": 0b10010, "priority": -150, "skip-mark": 0xDEADBEEF,
                    "ipv4": frozenset({0}), "ipv6": ALL_TYPES, **told(1)}
        assert control.config() == expected
        assert monitor.event() == ("config", expected)
        assert subscriber.event() == {"name": "config-ntf", "msg": as_ynl(expected)}

        # Now the tests' own client changes the values, and the YNL client sees them.
        control.set(queue=5, spread=0, ipv6=set())
        expected |= {"queue": 5, "spread": 0, "ipv6": frozenset(), "event": 2}
        assert ynl.request("--do", "config-get") == as_ynl(expected)
        assert subscriber.event() == {"name": "config-ntf", "msg": as_ynl(expected)}
        assert monitor.event() == ("config", expected)
        assert not monitor.waiting()


def test_statistics_are_the_same(module):
    """The YNL client shows the same totals and the same counts of each CPU as the tests' own client. Requests
    for statistics are counted, too."""
    with Control() as control:
        first = control.stats()
        shown = ynl.request("--do", "stats-get")
        assert shown["messages"] == first["messages"] + 1
        assert shown["bytes"] == first["bytes"] + 16
        rows = ynl.request("--dump", "stats-get")
        assert [row["cpu"] for row in rows] == [row["cpu"] for row in control.per_cpu()]
        assert sum(row["messages"] for row in rows) == shown["messages"] + 1


def from_peer(shown):
    """Converts a configuration from nldemo's JSON to the names and values of the attributes."""
    def types(text):
        if text in ("all", "none"):
            return ALL_TYPES if text == "all" else frozenset()
        ranges = (part.partition("-")[::2] for part in text.split(","))
        return frozenset(kind for first, last in ranges
                         for kind in range(int(first), int(last or first) + 1))

    return {"enabled": int(shown["enabled"]), "queue": shown["queue"], "queues": shown["queues"],
            "spread": ["flow", "cpu"].index(shown["spread"]), "bypass": int(shown["bypass"]),
            "hooks": sum(1 << HOOKS_OF_PEER.index(hook) for hook in shown["hooks"]),
            "priority": shown["priority"], "skip-mark": shown["skip_mark"],
            "ipv4": types(shown["ipv4_types"]), "ipv6": types(shown["ipv6_types"]),
            **told(shown["event"], int(shown["hooked"]))}


def test_peer_and_client_agree(module, peer_program):
    """nldemo and the YNL client show the same values, whether nldemo or the YNL client has set them. A
    monitor gets an event with these values."""
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
    # The totals that the YNL client gets also count the request by which nldemo got its totals.
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
    """The YNL client finds the name of the wrong attribute from the offset in the kernel's answer."""
    done = ynl.run("--no-schema", "--do", "config-set", "--json", json.dumps(values))
    assert done.returncode == 1
    for word in words:
        assert word in done.stdout, done
