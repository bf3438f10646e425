# SPDX-License-Identifier: GPL-2.0

"""The module's parameters: their effects, and values out of range."""

import errno
import functools
import re
from pathlib import Path

import pytest

import module as modules
from control import DEFAULTS, Control
from netlink import ECHO, Client, has_kernel_socket
from network import Pinger, run
from nfqueue import PRE_ROUTING, Listener

RANGES = {"protocol": (23, 31), "queue": (0, 65535), "hooks": (1, 31)}
BOOLS = {"enabled", "bypass", "ipv6"}
# The values that sysfs shows if no parameter is given.
SHOWN = {"protocol": "23", "enabled": "Y", "queue": "0", "queues": "1", "bypass": "Y", "ipv6": "Y",
         "hooks": "1", "priority": "0", "skip_mark": "0"}
SYSFS = Path("/sys/module", modules.NAME, "parameters")


def shown():
    """Returns the value that sysfs shows for each parameter."""
    return {file.name: file.read_text(encoding="ascii").removesuffix("\n")
            for file in SYSFS.iterdir()}


@pytest.fixture
def insert(ko, load):
    """Returns a function that loads the module with parameters in one text, as insmod gives them to the
    kernel."""
    return functools.partial(modules.insert, ko)


def assert_nothing_left(loopback):
    """Checks that the module is not loaded, and that there is no netlink socket and no hook."""
    assert not modules.is_loaded()
    assert not has_kernel_socket(23)
    with pytest.raises(OSError) as failure:
        Client(23)
    assert failure.value.errno == errno.EPROTONOSUPPORT
    with loopback.near, Listener() as listener:
        with loopback.pinger() as pinger:
            pinger.ping()
        assert not listener.waiting()


@pytest.mark.parametrize("name, value", [
    (name, value)
    for name, (low, high) in RANGES.items()
    for value in (low - 1, high + 1, -2, 3 * 65536 + low, 2**31, 2**32 + low, 2**40, -(2**63),
                  2**63 - 1)
])
def test_out_of_range_is_refused_and_named(load, kernel_log, loopback, name, value):
    """Bug: the module accepts a value out of range, or cuts it to a narrower integer."""
    with pytest.raises(OSError) as failure:
        load(**{name: value})
    assert failure.value.errno == errno.EINVAL
    (line,) = kernel_log.of_module()
    low, high = RANGES[name]
    for word in (name, str(value), str(low), str(high)):
        assert word in line.replace("=", " ").replace(",", " ").split(), line
    assert_nothing_left(loopback)


@pytest.mark.parametrize("name, value", [
    *((name, value) for name in RANGES for value in ("", "x", "23x", "23,24", 2**64)),
    *((name, value) for name in sorted(BOOLS) for value in ("", "2", "maybe")),
])
def test_values_that_are_none_are_refused(load, loopback, name, value):
    """The kernel's parser refuses a value that does not fit the parameter's type."""
    with pytest.raises(OSError) as failure:
        load(**{name: value})
    assert failure.value.errno in (errno.EINVAL, errno.ERANGE)
    assert_nothing_left(loopback)


@pytest.mark.smoke
def test_first_bad_parameter_of_several_is_named_once(load, kernel_log):
    """Bug: the module logs a bad parameter once for every network namespace."""
    with pytest.raises(OSError):
        load(protocol=22, queue=65536, hooks=0)
    (line,) = kernel_log.of_module()
    assert "protocol" in line


@pytest.mark.parametrize("name, given", [("prottocol", "prottocol=24"), ("nobypass", "nobypass")])
def test_unknown_parameter_is_reported(insert, kernel_log, name, given):
    """The kernel ignores an unknown parameter, and logs that it does."""
    insert(given)
    assert any(f"'{name}' ignored" in line for line in kernel_log.lines)
    assert shown() == SHOWN
    with Client() as client:
        assert client.echo(b"default").payload == b"default"


@pytest.mark.parametrize("protocol", [23, 24, 31])
def test_protocol_number(load, protocol):
    """The lowest and the highest protocol number work, and the module serves only the given number."""
    load(protocol=protocol)
    assert [number for number in range(23, 32) if has_kernel_socket(number)] == [protocol]
    with Client(protocol) as client:
        assert client.echo(b"payload").kind == ECHO
    for other in {23, 31} - {protocol}:
        with pytest.raises(OSError) as failure:
            Client(other)
        assert failure.value.errno == errno.EPROTONOSUPPORT


def test_hexadecimal_numbers(load):
    """The kernel's parser accepts hexadecimal numbers."""
    load(protocol="0x1f")
    assert has_kernel_socket(31)


@pytest.mark.parametrize("queue", [0, 1, 256, 65535])
def test_queue_number(load, loopback, queue):
    """Bug: the queue's number in the hook's verdict is cut to fewer bits."""
    load(queue=queue)
    others = {0, 1, 255, 256, 32767, 65534, 65535} - {queue}
    with loopback.near:
        listeners = [Listener(other) for other in others]
        listener = Listener(queue)
    with listener, loopback.pinger() as pinger:
        pinger.send()
        assert listener.receive().hook == PRE_ROUTING
        loopback.settle()
        assert not any(other.waiting() for other in listeners)
    for other in listeners:
        other.close()


@pytest.mark.parametrize("value, passes", [
    *((value, True) for value in ("1", "Y", "y", "on")),
    *((value, False) for value in ("0", "N", "n", "off")),
])
def test_bypass(load, loopback, value, passes):
    """Without a listener, packets pass with bypass, and are dropped without it. The kernel accepts all these
    spellings of the parameter's value."""
    load(bypass=value)
    with loopback.pinger() as pinger:
        pinger.send()
        loopback.settle()
        assert pinger.replies() == ([1] if passes else [])


def test_defaults(module, loopback):
    """The defaults are protocol 23, queue 0, bypass, and hooks at PRE_ROUTING only."""
    assert [number for number in range(23, 32) if has_kernel_socket(number)] == [23]
    with loopback.pinger() as pinger:
        pinger.ping()
        with loopback.near, Listener(0) as listener:
            pinger.send()
            loopback.settle()
            packet = listener.receive()
            assert packet.hook == PRE_ROUTING and not listener.waiting()


@pytest.mark.parametrize("given, last", [
    ("queue=1 queue=2", {"queue": "2"}),
    ("queue=7 hooks=3 queue=7", {"queue": "7", "hooks": "3"}),
    ("skip-mark=1 skip_mark=2", {"skip_mark": "2"}),
    ("bypass=1 bypass=0", {"bypass": "N"}),
    ("bypass=0 bypass", {"bypass": "Y"}),
])
def test_last_value_given_counts(insert, given, last):
    """Bug: if modprobe.d and the command line both set a parameter, the module does not load."""
    insert(given)
    assert shown() == SHOWN | last
    with Control() as control:
        config = control.config()
    for name, value in last.items():
        assert config[name.replace("_", "-")] == {"N": 0, "Y": 1}.get(value) or int(value)


def test_only_the_last_value_must_be_in_range(insert):
    """The module checks the ranges after the kernel has set all parameters."""
    insert("protocol=5 protocol=24")
    assert has_kernel_socket(24)


@pytest.mark.parametrize("name", sorted(BOOLS))
def test_bool_without_a_value_is_true(insert, name):
    """A boolean parameter without a value is true, as in modules written in C."""
    insert(f"{name}=0 {name}")
    assert shown() == SHOWN
    with Control() as control:
        assert control.settings() == DEFAULTS


@pytest.mark.parametrize("name", sorted(set(SHOWN) - BOOLS))
def test_number_without_a_value_is_refused(insert, loopback, name):
    """With a numeric parameter without a value, the load fails, as with modules written in C."""
    with pytest.raises(OSError) as failure:
        insert(name)
    assert failure.value.errno == errno.EINVAL
    assert_nothing_left(loopback)


def test_sysfs_shows_what_was_given(load):
    """Every user can read the values in sysfs, but nobody can write them, because the module reads them
    without a lock."""
    given = {"protocol": "31", "enabled": "N", "queue": "65535", "queues": "1", "bypass": "N",
             "ipv6": "N", "hooks": "31", "priority": "-2147483648", "skip_mark": "4294967295"}
    load(**given)
    assert shown() == given
    for file in SYSFS.iterdir():
        assert file.stat().st_mode & 0o7777 == 0o444
        file.chmod(0o644)
        with pytest.raises(OSError) as failure:
            file.write_text("1", encoding="ascii")
        assert failure.value.errno == errno.EIO
    assert shown() == given


def test_version_is_that_of_the_peer(ko, module, peer):
    status, said, _ = peer("--version")
    version = said.removeprefix("nldemo ").strip()
    assert status == 0 and version
    assert run("modinfo", "-F", "version", ko).strip() == version
    assert Path("/sys/module/rust_nldemo/version").read_text(encoding="ascii").strip() == version


def test_modinfo_tells_of_all(ko):
    """modinfo shows each parameter with its type in C, a description, and the same default as sysfs."""
    told = {}
    for line in run("modinfo", "-p", ko).splitlines():
        name, default, kind = re.fullmatch(
            r"(\w+):[A-Z].*\(default (\w+)(?:, \w+)?\) \((\w+)\)", line).groups()
        assert kind == ("bool" if name in BOOLS else "long")
        told[name] = {"true": "Y"}.get(default, default)
    assert told == SHOWN


def test_namespaces_start_disabled(load, namespaces):
    """With enabled=0, all namespaces start disabled: those that exist before the module is loaded, and later
    ones. Each namespace is enabled separately."""
    before = namespaces()
    load(enabled=0, bypass=0)
    places = before, namespaces()
    for place in places:
        with place, Control() as control:
            assert control.settings() == DEFAULTS | {"enabled": 0, "bypass": 0}
            assert place.hooks(modules.NAME) == set()
            with Pinger(place, "127.0.0.1") as pinger:
                pinger.ping()
    for number, place in enumerate(places):
        with place, Control() as control, Listener() as listener:
            control.set(enabled=1)
            assert place.hooks(modules.NAME) == {
                (family, "prerouting", 0) for family in ("ip", "ip6")}
            with Pinger(place, "127.0.0.1") as pinger:
                pinger.send()
                assert listener.receive().hook == PRE_ROUTING
        assert all(other.hooks(modules.NAME) == set() for other in places[number + 1:])
