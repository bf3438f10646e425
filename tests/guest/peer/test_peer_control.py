# SPDX-License-Identifier: GPL-2.0

"""The commands config, stats and monitor of nldemo (the peer), with the kernel."""

import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from netlink import DEADLINE, NLM_F_REQUEST, Client, pack
from network import NO_CROWD, Namespace, crowd, run
from nfqueue import attribute
from program import as_nobody
from uapi import NLDEMO_GROUP_EVENTS

DONE, NO, ERROR = 0, 1, 2
SO_NETNS_COOKIE = 71
CONFIG_SET = 19
CONFIG_A_QUEUE = 2

# A value for each key, as it is on the command line and as it is in JSON. No value is the key's default.
SETTINGS = {
    "enabled=off": ("enabled", False),
    "queue=40": ("queue", 40),
    "queues=4": ("queues", 4),
    "spread=cpu": ("spread", "cpu"),
    "bypass=off": ("bypass", False),
    "hooks=LOCAL_IN,post-routing": ("hooks", ["input", "postrouting"]),
    "priority=mangle": ("priority", -150),
    "skip-mark=0x10": ("skip_mark", 16),
    "ipv4-types=0,3-5,echo-request": ("ipv4_types", "0,3-5,8"),
    "ipv6-types=none": ("ipv6_types", "none"),
}


@pytest.fixture
def config(peer):
    """Returns the configuration that nldemo shows as JSON. `options` come before the command."""
    def config(*options):
        status, output, errors = peer(*options, "-j", "config", "show")
        assert (status, errors) == (DONE, "")
        return json.loads(output)

    return config


@pytest.fixture
def monitor(running, module):
    """A running `nldemo -j monitor` in the initial network namespace, which already listens."""
    monitor = running("monitor")
    monitor.ready = monitor.event()
    assert monitor.ready["event"] == "ready"
    return monitor


# The command `nldemo config`.


@pytest.mark.parametrize("setting", SETTINGS)
def test_config_each_key_is_set_alone(module, peer, config, setting):
    """Each value reaches the kernel, `config show` returns it, and no other value changes."""
    before = config()
    key, value = SETTINGS[setting]
    assert before[key] != value
    status, output, errors = peer("-j", "config", "set", setting)
    assert (status, errors) == (DONE, "")
    assert json.loads(output) == config() == before | {key: value, "event": before["event"] + 1}


@pytest.mark.smoke
def test_config_all_keys_at_once(module, peer, config):
    """All keys are sent in one request, which causes one event."""
    before = config()
    status, _, errors = peer("config", "set", *SETTINGS)
    assert (status, errors) == (DONE, "")
    assert config() == dict(SETTINGS.values()) | {"event": before["event"] + 1, "hooked": True}


def test_config_plain_table(module, peer):
    """The table has a line for each key, with the meaning of its value. `config set` accepts the values of
    the table."""
    assert peer("config", "set", *SETTINGS)[0] == DONE
    status, output, errors = peer("config", "show")
    assert (status, errors) == (DONE, "") and "\x1b" not in output
    lines = [line.split(maxsplit=2) for line in output.splitlines()]
    table = {line[0]: line[1:] for line in lines}
    assert [setting.split("=")[0] for setting in SETTINGS] + ["event", "hooked"] == list(table)
    assert table["queues"] == ["4", "queues 40 to 43"]
    assert table["priority"] == ["-150", "mangle"]
    assert table["ipv4-types"] == ["0,3-5,8", "5 ICMP types"]
    del table["event"], table["hooked"]
    assert peer("config", "set", *(f"{key}={row[0]}" for key, row in table.items()))[0] == DONE
    assert peer("config", "show")[1].splitlines()[:-2] == output.splitlines()[:-2]


def test_namespace_without_hooks_is_told(load, peer, blue):
    """While a namespace has no hooks, the output says that the module does not see its packets, why, and what
    to do. After the user has done this, the output no longer says so."""
    def nft(ruleset):
        run("ip", "netns", "exec", blue, "nft", "-f", "-", input=ruleset)

    def hooked():
        return [json.loads(peer("-N", blue, "-j", *command)[1])["hooked"]
                for command in (("config", "show"), ("stats",))]

    def texts():
        return [" ".join(peer("-N", blue, *command)[1].split())
                for command in (("config", "show"), ("stats",))]

    nft(crowd("prerouting"))
    load()
    assert hooked() == [False, False]
    assert all("too many hooks" in text and "nldemo config set enabled=on" in text for text in texts())
    status, _, errors = peer("-N", blue, "config", "set", "enabled=on")
    assert status == ERROR and "too many hooks" in errors and "nft list hooks" in errors
    nft(NO_CROWD)
    assert peer("-N", blue, "config", "set", "enabled=on")[0] == DONE
    assert hooked() == [True, True]
    assert not any("too many hooks" in text for text in texts())


@pytest.mark.parametrize("settings, wrong", [
    (("queue=5", "queues=0"), "queues=0"),
    (("queue=65535", "queues=2"), "queues=2"),
    (("hooks=0", "queue=5"), "hooks=0x0"),
    (("bypass=on", "hooks=0xff", "queue=5"), "hooks=0xff"),
    (("queue=5", "spread=7", "bypass=off"), "spread=7"),
], ids=str)
def test_config_refusal_names_the_key_and_changes_nothing(module, peer, config, settings, wrong):
    """The kernel points at an attribute of the request, and nldemo prints the key of this attribute."""
    before = config()
    status, output, errors = peer("config", "set", *settings)
    assert (status, output) == (ERROR, "")
    assert "EINVAL" in errors or "ERANGE" in errors
    assert "kernel: " in errors, "no extended acknowledgement"
    assert errors.startswith(f"error: set {wrong}: "), errors
    assert config() == before


def test_config_needs_rights_to_change_and_none_to_show(module, peer, config):
    """Bug: the module does not check the capability."""
    before = config()
    status, output, errors = peer("config", "set", "enabled=off", **as_nobody())
    assert (status, output) == (ERROR, "")
    for word in ("set enabled=off: EPERM", "CAP_NET_ADMIN", "root"):
        assert word in errors, errors
    status, output, _ = peer("-j", "config", "show", **as_nobody())
    assert (status, json.loads(output)) == (DONE, before)


def test_config_of_another_namespace(module, blue, peer, config):
    """Bug: the command uses the initial network namespace instead of the namespace of -N."""
    before = config()
    assert peer("-N", blue, "config", "set", "queue=7")[0] == DONE
    assert config("-N", blue)["queue"] == 7
    assert config() == before


# The command `nldemo stats`.


@pytest.mark.smoke
def test_stats_count_what_the_peer_does(module, peer):
    """The counts rise by the messages that nldemo has sent. A refused message also raises the count `refused`."""
    def stats():
        status, output, errors = peer("-j", "stats")
        assert (status, errors) == (DONE, "")
        return json.loads(output)

    before = stats()
    assert before["per_second"] is None
    assert peer("echo", "--count", "10", "--batch", "10")[0] == DONE
    assert peer("config", "set", "enabled=off", **as_nobody())[0] == ERROR
    after = stats()
    # The twelve are the ten echoes, the refused request, and the request for the first statistics.
    assert after["messages"] == before["messages"] + 12
    assert after["refused"] == before["refused"] + 1
    assert after["bytes"] > before["bytes"]


def test_stats_by_cpu_add_up(module, loopback, peer):
    """With --per-cpu there is a row for each CPU, and the sum of the rows is the total."""
    with loopback.pinger() as pinger:
        pinger.ping()
    with loopback.near:
        cpus = json.loads(peer("-j", "stats", "--per-cpu")[1])["cpus"]
        total = json.loads(peer("-j", "stats")[1])
    possible = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii")
    assert [row["cpu"] for row in cpus] == list(range(int(possible.split("-")[-1]) + 1))
    assert total["ipv4"]["seen"] > 0
    for key in ("seen", "matched", "skipped", "queued", "unparsable"):
        assert sum(row["ipv4"][key] for row in cpus) == total["ipv4"][key]
    with loopback.near:
        lines = peer("stats", "--per-cpu")[1].splitlines()
    assert [line.split()[0] for line in lines[2:]] == [str(row["cpu"]) for row in cpus]


def test_stats_watch_has_rates_and_ends(module, running):
    """With --watch, each reading of the statistics is a line. A signal or --count ends the command with
    success."""
    watch = running("stats", "--watch", "0.05")
    assert watch.event()["per_second"] is None
    # The command's own request for the statistics is a message, too.
    assert watch.event()["per_second"]["messages"] > 0
    watch.signal(signal.SIGINT)
    watch.rest()
    counted = running("stats", "--watch", "0.01", "--count", "3", "--per-cpu")
    assert len(counted.rest()) == 3


def test_stats_watch_on_a_terminal_draws_in_place(module, peer_program):
    """On a terminal, each new table replaces the old one. On other output, each new table comes below the old
    one."""
    command = [peer_program, "stats", "--watch", "0.01", "--count", "2", "--color", "never"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    output = b""
    while select.select([ours], [], [], DEADLINE)[0]:
        try:
            output += os.read(ours, 1 << 16)
        except OSError:  # The other end of the terminal is closed.
            break
    os.close(ours)
    assert process.wait(DEADLINE) == DONE
    assert output.count(b"netlink messages") == 2
    # A table has 17 lines: the time, a heading, and 15 counters.
    assert output.count(b"\x1b[17A\x1b[J") == 1
    elsewhere = subprocess.run(command, capture_output=True, check=True, timeout=DEADLINE).stdout
    assert elsewhere.count(b"netlink messages") == 2 and b"\x1b" not in elsewhere


# The command `nldemo monitor`.


def test_monitor_tells_what_changed(monitor, peer, config):
    """An event names the keys that changed, and also has the whole new configuration."""
    assert monitor.ready["config"] == config()
    assert peer("config", "set", "queue=9", "ipv6-types=echo-reply", "bypass=on")[0] == DONE
    event = monitor.event()
    assert event["event"] == "config" and event["number"] == monitor.ready["number"] + 1
    assert event["config"] == config()
    assert event["changed"]["queue"] == {"from": 0, "to": 9}
    assert set(event["changed"]) == {"queue", "ipv6_types"}
    monitor.signal(signal.SIGINT)
    assert monitor.rest() == []


def test_monitor_in_plain_words(module, peer, peer_program):
    """The command prints a line for each event. --count or --timeout ends it."""
    with subprocess.Popen([peer_program, "monitor", "--count", "1"], stdout=subprocess.PIPE,
                          text=True) as process:
        assert "listening after event" in process.stdout.readline()
        assert peer("config", "set", "queue=9")[0] == DONE
        line = process.stdout.readline()
        assert line.endswith("config queue 0 -> 9\n"), line
        assert process.wait(DEADLINE) == DONE
    status, output, errors = peer("monitor", "--timeout", "0.05", **as_nobody())
    assert (status, errors, len(output.splitlines())) == (DONE, "", 1)


def test_monitor_tells_of_namespaces_that_go(monitor):
    """The command prints a deleted namespace with the cookie that the namespace had."""
    namespace = Namespace()
    with namespace.socket() as probe:
        cookie = struct.unpack("=Q", probe.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0]
    namespace.close()
    event = monitor.event()
    assert (event["event"], event["cookie"]) == ("netns", cookie)
    assert event["number"] == monitor.ready["number"] + 1


def test_monitor_hears_of_its_own_namespace_only(module, blue, running, peer):
    """Bug: with -N, the command gets the events of the initial network namespace."""
    monitor = running("-N", blue, "monitor", "--count", "1")
    monitor.event()
    assert peer("config", "set", "queue=1")[0] == DONE
    assert peer("-N", blue, "config", "set", "queue=2")[0] == DONE
    [event] = monitor.rest()
    assert event["changed"] == {"queue": {"from": 0, "to": 2}}


def test_monitor_tells_how_much_it_lost(monitor, config):
    """When the receive buffer of the command has overflowed, the numbers of the events tell the command how
    many events it missed."""
    changes = 3000
    monitor.pause()
    with Client() as client:
        for queue in range(1, changes + 1):
            payload = attribute(CONFIG_A_QUEUE, struct.pack("=H", queue))
            client.send(pack(CONFIG_SET, payload, flags=NLM_F_REQUEST))
    assert config()["event"] == monitor.ready["number"] + changes
    monitor.go_on()
    heard = lost = 0
    while heard + lost < changes:
        event = monitor.event()
        if event["event"] == "lost":
            lost += event["events"]
        else:
            heard += 1
    assert lost > 0 and heard > 0
    # The next event is the configuration that the command has read after the loss. It has the last change.
    found = monitor.event()
    assert found["config"] == config()
    assert found["changed"]["queue"]["to"] == changes
    monitor.signal(signal.SIGINT)
    assert monitor.rest() == []


def test_monitor_takes_no_message_that_is_not_from_the_kernel(monitor, peer):
    """Bug: nldemo mistakes a message of another process for an event of the kernel."""
    forged = pack(24, attribute(1, struct.pack("=Q", 1)) + attribute(2, struct.pack("=I", 1)),
                  flags=0)
    with Client() as forger:
        with pytest.raises(ConnectionRefusedError):
            forger.socket.sendto(forged, (monitor.ready["portid"], 0))
        # This message goes to the group, and so also to nldemo. It goes to the kernel, too, which ignores
        # messages that are not requests.
        forger.socket.sendto(forged, (0, 1 << (NLDEMO_GROUP_EVENTS - 1)))
    assert peer("config", "set", "queue=3")[0] == DONE
    assert monitor.event()["event"] == "config"
