# SPDX-License-Identifier: GPL-2.0

"""The example counter: a family of generic netlink, with do, dump, events and policies."""

import errno
import json
import os
import struct
from pathlib import Path

import pytest

import genetlink
import module as modules
import ynl
from checkout import CHECKOUT
from control import Refused
from faults import Faults
from genetlink import Family, message, taken_apart
from netlink import (
    HEADER,
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_EXT_ACK,
    NLA_F_NESTED,
    NLA_F_NET_BYTEORDER,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    Client,
    Message,
    ack,
    attribute,
    pack,
)
from network import run
from users import NOBODY

pytestmark = pytest.mark.all_cpus

# The names and numbers of counter.h and counter.rs.
FAMILY, GROUP = "counter", "changes"
GET, ADD, ADD_NTF = 1, 2, 3
NUMBER, VALUE, BY = 1, 2, 3
COUNT = 256

SPEC = CHECKOUT / "examples" / "counter" / "counter.yaml"
# tests/scripts/run vm_example_works_with_a_client_in_c makes this program.
YNL_IN_C = CHECKOUT / "build" / "ynl" / f"counter-ynl-{os.uname().machine}"
# For more loads: NLDEMO_LOADS=200 make test T=test_counter.py::test_loads_and_unloads_under_requests
LOADS = int(os.environ.get("NLDEMO_LOADS", 20))
# The name of a copy of the module. The copy differs from the module only in this name.
TWIN = "countex"


def module_path():
    return Path(os.environ["NLDEMO_EXAMPLES"], "counter", "build", os.uname().release, "counter.ko")


def genetlink_client():
    return Client(genetlink.PROTOCOL)


def u32(kind, value):
    return attribute(kind, struct.pack("=I", value))


def told(answer):
    """Returns the command, the number of the counter and its value from a message."""
    command, version, found = taken_apart(answer) if isinstance(answer, Message) else answer
    assert version == 1 and found.keys() == {NUMBER, VALUE}
    return command, int.from_bytes(found[NUMBER], "little"), int.from_bytes(found[VALUE], "little")


def request(family, command, payload=b"", **options):
    """Sends a request that must succeed. Returns the messages before its acknowledgement."""
    family.send(command, payload, flags=NLM_F_REQUEST | NLM_F_ACK, **options)
    answers = family.client.drain()
    last = ack(answers.pop())
    if last.errno:
        raise Refused(last)
    return answers


def add(family, number, by):
    assert request(family, ADD, u32(NUMBER, number) + u32(BY, by)) == []


@pytest.fixture
def counter(example, loopback):
    """Loads the example. Returns a client of the example's family, in the namespace of `loopback`."""
    example("counter")
    with loopback.near.client(genetlink.PROTOCOL) as client:
        client.option(NETLINK_EXT_ACK)
        yield Family(client, FAMILY)


def test_counts_and_tells_one_and_all(counter):
    add(counter, 3, 5)
    add(counter, 3, 2)
    (answer,) = request(counter, GET, u32(NUMBER, 3), seq=7)
    assert (answer.kind, answer.seq, answer.flags, answer.pid) == (counter.number, 7, 0, counter.client.portid)
    assert told(answer) == (GET, 3, 7)
    assert [told(part) for part in counter.dump(GET)] == [
        (GET, number, 7 if number == 3 else 0) for number in range(COUNT)]


def test_counters_of_namespaces_are_their_own(counter, namespaces):
    add(counter, 0, 1)
    with namespaces().client(genetlink.PROTOCOL) as client:
        assert {value for _, _, value in map(told, Family(client, FAMILY).dump(GET))} == {0}


def test_changes_are_told_to_those_who_listen(counter, loopback, namespaces):
    """Listeners get events of their own namespace. Without listeners, a change is no error."""
    add(counter, 1, 1)
    # Only sockets with an address get events, so these sockets are bound (portid=0).
    with loopback.near.client(genetlink.PROTOCOL, portid=0) as listener, \
            namespaces().client(genetlink.PROTOCOL, portid=0) as other:
        for client in (listener, other):
            client.option(NETLINK_ADD_MEMBERSHIP, counter.groups[GROUP])
        add(counter, 1, 2)
        event = listener.receive()
        assert (event.kind, event.seq, event.pid) == (counter.number, 0, 0)
        assert told(event) == (ADD_NTF, 1, 3)
        assert not other.waiting() and not listener.waiting()


# This test needs a kernel that can make allocations fail.
@pytest.mark.needs("/proc/self/fail-nth")
def test_event_without_memory_is_told_as_lost(counter, loopback):
    """Bug: a listener misses an event because there is no memory, and gets no error."""
    value = lost = 0

    def check(error):
        nonlocal value, lost
        assert error is None, error
        value += 1
        try:
            assert told(listener.receive()) == (ADD_NTF, 0, value)
        except OSError as failure:
            assert failure.errno == errno.ENOBUFS
            lost += 1

    with loopback.near.client(genetlink.PROTOCOL, portid=0) as listener:
        listener.option(NETLINK_ADD_MEMBERSHIP, counter.groups[GROUP])
        with Faults() as faults:
            failed = faults.one_by_one(lambda: add(counter, 0, 1), check)
        # Some failed allocations lose no event, because netlink then tries another way.
        assert failed >= lost >= 1


def test_policies_are_told(counter):
    operations, policies = counter.policies()
    assert operations.keys() == {GET, ADD}
    # The operation GET has a do and a dump, the operation ADD has only a do.
    assert {number: len(found) for number, found in operations.items()} == {GET: 2, ADD: 1}
    rules = policies[operations[ADD][min(operations[ADD])]]
    assert rules.keys() == {NUMBER, BY}
    # Each rule has a type (4 is NL_ATTR_TYPE_U32), the smallest value and the largest value.
    limits = {number: tuple(int.from_bytes(rule[kind], "little") for kind in (1, 4, 5))
              for number, rule in rules.items()}
    assert limits == {NUMBER: (4, 0, COUNT - 1), BY: (4, 1, (1 << 32) - 1)}


def test_users_may_look_and_not_change(counter):
    os.seteuid(NOBODY)
    try:
        assert told(request(counter, GET, u32(NUMBER, 0))[0]) == (GET, 0, 0)
        with pytest.raises(Refused) as refused:
            add(counter, 0, 1)
    finally:
        os.seteuid(0)
    assert refused.value.errno == errno.EPERM and "CAP_NET_ADMIN" in refused.value.text


BAD = [
    (GET, b"", errno.EINVAL),
    (GET, u32(NUMBER, COUNT), errno.ERANGE),
    (GET, u32(NUMBER, 0xFFFFFFFF), errno.ERANGE),
    (GET, attribute(NUMBER, b""), errno.EINVAL),
    (GET, attribute(NUMBER, b"\0"), errno.EINVAL),
    (GET, attribute(NUMBER, bytes(3)), errno.EINVAL),
    (GET, attribute(NUMBER, bytes(8)), errno.EINVAL),
    (GET, attribute(NUMBER | NLA_F_NESTED, bytes(4)), errno.EINVAL),
    (GET, attribute(NUMBER | NLA_F_NET_BYTEORDER, bytes(4)), errno.EINVAL),
    (GET, u32(NUMBER, 0) * 2, errno.EINVAL),
    (GET, u32(0, 0), errno.EINVAL),
    (GET, u32(VALUE, 0), errno.EINVAL),
    (GET, u32(4, 0), errno.EINVAL),
    (GET, u32(0x3FFF, 0), errno.EINVAL),
    (GET, u32(NUMBER, 0) + b"\0", errno.EINVAL),
    (GET, u32(NUMBER, 0) + b"\0\0\0\0", errno.EINVAL),
    (GET, struct.pack("=HHI", 3, NUMBER, 0), errno.EINVAL),
    (GET, struct.pack("=HHI", 9, NUMBER, 0), errno.EINVAL),
    (GET, struct.pack("=HHI", 0xFFFF, NUMBER, 0), errno.EINVAL),
    (GET, b"\0", errno.EINVAL),
    (GET, bytes(1 << 16), errno.EINVAL),
    (ADD, b"", errno.EINVAL),
    (ADD, u32(NUMBER, 0), errno.EINVAL),
    (ADD, u32(BY, 1), errno.EINVAL),
    (ADD, u32(NUMBER, 0) + u32(BY, 0), errno.ERANGE),
    (ADD, u32(NUMBER, COUNT) + u32(BY, 1), errno.ERANGE),
    (ADD_NTF, b"", errno.EOPNOTSUPP),
    (0, b"", errno.EOPNOTSUPP),
    (4, u32(NUMBER, 0), errno.EOPNOTSUPP),
    (255, b"", errno.EOPNOTSUPP),
]


HEADERS = [
    (b"", 0, errno.EINVAL),
    (b"\1", 0, errno.EINVAL),
    (b"\1\1\0", 0, errno.EINVAL),
    (message(GET, reserved=1), 0, errno.EINVAL),
    (message(GET), 0x100, errno.EINVAL),
    (message(ADD), NLM_F_DUMP, errno.EOPNOTSUPP),
]


def test_malformed_requests_are_refused(counter):
    """Each malformed request is refused, and the next request is served."""
    for number, (command, payload, code) in enumerate(BAD, 1):
        with pytest.raises(Refused) as refused:
            request(counter, command, payload)
        assert refused.value.errno == code, (number, command, payload[:20])
        add(counter, 0, 1)
        assert told(request(counter, GET, u32(NUMBER, 0))[0])[2] == number


def test_malformed_headers_are_refused(counter):
    for payload, flags, code in HEADERS:
        counter.client.send(pack(counter.number, payload, flags=NLM_F_REQUEST | NLM_F_ACK | flags))
        assert counter.client.ack().errno == code, (payload, flags)


def test_several_requests_in_one_buffer_are_served(counter):
    numbers = range(128)
    counter.client.send(b"".join(
        pack(counter.number, message(GET, u32(NUMBER, number)), seq=number) for number in numbers))
    answers = counter.client.drain()
    assert [(answer.seq, told(answer)) for answer in answers] == [
        (number, (GET, number, 0)) for number in numbers]


def test_refusal_points_at_the_attribute_or_names_what_is_missing(counter):
    with pytest.raises(Refused) as refused:
        request(counter, GET, u32(NUMBER, 0) * 2)
    assert refused.value.text == "Attribute is given twice"
    assert refused.value.offset == HEADER.size + genetlink.HEAD.size + 8
    with pytest.raises(Refused) as refused:
        request(counter, ADD, u32(NUMBER, 0))
    assert (refused.value.missing, refused.value.nest) == (BY, None)


def test_ynl_knows_it(example):
    example("counter")
    with genetlink_client() as client:
        add(Family(client, FAMILY), 2, 9)

    def cli(*arguments):
        text = run("python3", str(ynl.CLI), "--spec", str(SPEC), "--schema",
                   str(ynl.SCHEMA.with_name("genetlink.yaml")), "--output-json", *arguments)
        return json.loads(text)

    assert cli("--do", "get", "--json", '{"number": 2}') == {"number": 2, "value": 9}
    assert [row["number"] for row in cli("--dump", "get")] == list(range(COUNT))


@pytest.mark.needs(YNL_IN_C)
def test_ynl_in_c_drives_it(example):
    example("counter")
    assert run(str(YNL_IN_C), "2", "9").splitlines() == ["event 2: 9", "counter 2: 9", f"all {COUNT}: 9"]
    run(str(YNL_IN_C), "3", "1")
    assert run(str(YNL_IN_C), "2", "5").splitlines() == ["event 2: 14", "counter 2: 14", f"all {COUNT}: 15"]
    with pytest.raises(AssertionError, match="ERANGE|out of range"):
        run(str(YNL_IN_C), str(COUNT), "1")


def test_genl_lists_it(example):
    example("counter")
    text = run("genl", "ctrl", "get", "name", FAMILY)
    assert f"Name: {FAMILY}" in text and GROUP in text


def test_dump_that_is_not_read_keeps_the_module(counter):
    """The dump continues when its client reads again. The module cannot be unloaded while the dump is open."""
    counter.send(GET, flags=NLM_F_REQUEST | NLM_F_DUMP)
    with pytest.raises(BlockingIOError):
        modules.remove("counter")
    found = []
    while (part := counter.client.receive()).kind != NLMSG_DONE:
        found.append(told(part))
    assert found == [(GET, number, 0) for number in range(COUNT)]
    modules.remove("counter")
    assert not genetlink.is_there(FAMILY)
    modules.insert(module_path())


def test_dump_ends_with_its_client(counter):
    counter.send(GET, flags=NLM_F_REQUEST | NLM_F_DUMP)
    counter.client.close()
    modules.remove_when_unused("counter")
    modules.insert(module_path())


def test_loads_and_unloads_under_requests(example, start, stop):
    """Clients send requests and listen all the time. The module can still be unloaded."""
    def keep_asking():
        os.sched_setaffinity(0, range(os.cpu_count()))
        served = 0
        while not stop.is_set():
            with genetlink_client() as client, Client(genetlink.PROTOCOL, portid=0) as listener:
                try:
                    family = Family(client, FAMILY)
                    listener.option(NETLINK_ADD_MEMBERSHIP, family.groups[GROUP])
                    while not stop.is_set():
                        add(family, 1, 1)
                        request(family, GET, u32(NUMBER, 1))
                        served += 1
                except (LookupError, Refused):
                    # The module is not loaded, or is being unloaded.
                    pass
        return served

    example("counter")
    workers = [start(keep_asking) for _ in range(2)]
    for _ in range(LOADS):
        modules.remove_when_unused("counter")
        modules.insert(module_path())
    stop.set()
    assert sum(int(worker.result()) for worker in workers) > 0


def section(image, name):
    """Returns the offset and the size of a section in an ELF file (64 bits, little endian)."""
    table, = struct.unpack_from("<Q", image, 0x28)
    length, count, strings = struct.unpack_from("<HHH", image, 0x3A)
    # Each header has name, type, flags, address, offset and size.
    headers = [struct.unpack_from("<IIQQQQ", image, table + n * length) for n in range(count)]
    _, _, _, _, strings, _ = headers[strings]
    return next((offset, size) for string, _, _, _, offset, size in headers
                if image.startswith(name + b"\0", strings + string))


def make_twin(directory):
    """Makes a copy of the module with another name. The copy has a family with the same name as the module's
    family."""
    image, copy = bytearray(module_path().read_bytes()), Path(directory, f"{TWIN}.ko")
    # The module's name is in .modinfo and in struct module. The name of the family, in another section, is
    # the same text, and must stay.
    for where, before, behind in ((b".modinfo", b"name=", b"\0"), (b".gnu.linkonce.this_module", b"", bytes(40))):
        old, new = (before + name.encode() + behind for name in (FAMILY, TWIN))
        offset, size = section(image, where)
        place = slice(offset, offset + size)
        assert image[place].count(old) == 1
        image[place] = image[place].replace(old, new)
    copy.write_bytes(image)
    return copy


def test_name_that_is_taken_fails_the_load(counter, tmp_path, kernel_log):
    """Bug: when the copy fails to load, its registrations in namespaces stay, or the module's family is
    unregistered."""
    twin = make_twin(tmp_path)
    for _ in range(3):
        with pytest.raises(OSError) as error:
            modules.insert(twin)
        assert error.value.errno == errno.EADDRINUSE
        assert not modules.is_loaded(TWIN)
    assert any("another module has a generic netlink family of the same name" in line for line in kernel_log.lines)
    add(counter, 3, 5)
    assert told(request(counter, GET, u32(NUMBER, 3))[0]) == (GET, 3, 5)
    # When the family's name is free, the copy can be loaded.
    counter.client.close()
    modules.remove_when_unused("counter")
    modules.insert(twin)
    assert genetlink.is_there(FAMILY)
    modules.remove_when_unused(TWIN)
    modules.insert(module_path())
