# SPDX-License-Identifier: GPL-2.0

"""A client of the control plane. To find mistakes in nldemo and in YNL, it shares no code with these two."""

import functools
import os
import struct

import netlink
from netlink import (
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_EXT_ACK,
    NLA_F_NESTED,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSGERR_ATTR_MISS_NEST,
    NLMSGERR_ATTR_MISS_TYPE,
    NLMSGERR_ATTR_MSG,
    NLMSGERR_ATTR_OFFS,
    Client,
    attribute,
    attributes,
    pack,
)
from uapi import (
    NLDEMO_FAMILY_A_TYPES,
    NLDEMO_GROUP_EVENTS,
    NLDEMO_MSG_CONFIG,
    NLDEMO_MSG_CONFIG_GET,
    NLDEMO_MSG_CONFIG_NTF,
    NLDEMO_MSG_CONFIG_SET,
    NLDEMO_MSG_NETNS_NTF,
    NLDEMO_MSG_STATS,
    NLDEMO_MSG_STATS_GET,
    NLDEMO_TYPES_LEN,
    members,
)

CONFIG = members("NLDEMO_CONFIG_A_")
STATS = members("NLDEMO_STATS_A_")
PACKETS = members("NLDEMO_PACKETS_A_")
NETNS = members("NLDEMO_NETNS_A_")

# The formats of integers. Counters are not listed, because their length depends on their value.
FORMATS = {"enabled": "=B", "queue": "=H", "queues": "=H", "spread": "=B", "bypass": "=B",
           "hooks": "=B", "priority": "=i", "skip-mark": "=I", "event": "=I", "hooked": "=B",
           "cpu": "=I", "cookie": "=Q"}

# The attributes in the statistics that are not counters.
NO_COUNTERS = {"cpu", "hooked"}

ALL_TYPES = frozenset(range(8 * NLDEMO_TYPES_LEN))
# The configuration of a module that was loaded without parameters.
DEFAULTS = {"enabled": 1, "queue": 0, "queues": 1, "spread": 0, "bypass": 1, "hooks": 1,
            "priority": 0, "skip-mark": 0, "ipv4": ALL_TYPES, "ipv6": frozenset({128, 129})}


def told(event, hooked=1):
    """Returns the attributes of a configuration that only answers and events have."""
    return {"event": event, "hooked": hooked}


class Refused(OSError):
    """An error that the kernel has sent as the answer to a request."""

    def __init__(self, ack):
        def number(kind):
            return int.from_bytes(found[kind], "little") if kind in found else None

        found = ack.attributes
        self.text = found.get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode()
        # The offset of the wrong attribute from the start of the request.
        self.offset = number(NLMSGERR_ATTR_OFFS)
        # The number of an attribute that is missing, and the offset of the nest that lacks it.
        self.missing, self.nest = number(NLMSGERR_ATTR_MISS_TYPE), number(NLMSGERR_ATTR_MISS_NEST)
        super().__init__(ack.errno, f"{os.strerror(ack.errno)}: {self.text}")


def type_set(types):
    """Returns a set of ICMP types as the bytes of an attribute."""
    return sum(1 << kind for kind in types).to_bytes(NLDEMO_TYPES_LEN, "little")


def encode(name, value):
    """Returns an attribute of a configuration. A set of types is given as a set of numbers."""
    if name in ("ipv4", "ipv6"):
        types = value if isinstance(value, bytes) else type_set(value)
        return attribute(CONFIG[name] | NLA_F_NESTED, attribute(NLDEMO_FAMILY_A_TYPES, types))
    return attribute(CONFIG[name], struct.pack(FORMATS[name], value))


def encode_all(values):
    return b"".join(encode(name, value) for name, value in values.items())


def _decode(numbers, payload):
    """Returns the attributes by their names. An attribute without a name is an error."""
    names = {number: name for name, number in numbers.items()}
    return {names[kind]: value for kind, value in attributes(payload).items()}


@functools.cache
def _members(types):
    """The members of a type set."""
    types = int.from_bytes(types, "little")
    return frozenset(kind for kind in ALL_TYPES if types >> kind & 1)


def decode_config(payload):
    def value(name, raw):
        if name not in ("ipv4", "ipv6"):
            return struct.unpack(FORMATS[name], raw)[0]
        ((kind, types),) = attributes(raw).items()
        assert (kind, len(types)) == (NLDEMO_FAMILY_A_TYPES, NLDEMO_TYPES_LEN)
        return _members(types)

    return {name: value(name, raw) for name, raw in _decode(CONFIG, payload).items()}


def decode_stats(payload):
    def value(name, raw):
        if name in ("ipv4", "ipv6"):
            return {what: count(counter) for what, counter in _decode(PACKETS, raw).items()}
        return struct.unpack(FORMATS[name], raw)[0] if name in FORMATS else count(raw)

    def count(raw):
        number = int.from_bytes(raw, "little")
        # The module must send a counter in 4 bytes if its value fits.
        assert len(raw) == (4 if number < 1 << 32 else 8)
        return number

    return {name: value(name, raw) for name, raw in _decode(STATS, payload).items()}


def decode_event(message):
    """Decodes an event. Returns its kind, "config" or "netns", and its attributes."""
    assert (message.pid, message.flags, message.seq) == (0, 0, 0), message
    if message.kind == NLDEMO_MSG_CONFIG_NTF:
        name, values = "config", decode_config(message.payload)
    else:
        assert message.kind == NLDEMO_MSG_NETNS_NTF, message
        name, values = "netns", {name: struct.unpack(FORMATS[name], raw)[0]
                                 for name, raw in _decode(NETNS, message.payload).items()}
    return name, values


def difference(before, after):
    """Returns how much each counter has risen between two readings of the statistics."""
    return {name: difference(before[name], count) if isinstance(count, dict)
            else count - before[name] for name, count in after.items() if name not in NO_COUNTERS}


def total(rows):
    """Returns the sums of the counters of all CPUs."""
    first, *others = rows
    return {name: total([row[name] for row in rows]) if isinstance(count, dict)
            else sum(row[name] for row in rows)
            for name, count in first.items() if name not in NO_COUNTERS}


class Control(Client):
    """A client that sends requests to the module, in the network namespace in which its socket was made."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.option(NETLINK_EXT_ACK)
        self._seq = 0

    def request(self, kind, payload=b"", flags=NLM_F_ACK, **options):
        """Sends a request and returns the answers. Raises Refused if the kernel answers with an error."""
        self._seq += 1
        self.send(pack(kind, payload, flags=NLM_F_REQUEST | flags, seq=self._seq, **options))
        return self.answers()

    def answers(self):
        """Returns the answers to the latest request, up to its acknowledgement or the end of its dump."""
        answers = []
        while True:
            message = self.receive()
            assert (message.seq, message.pid) == (self._seq, self.portid), message
            if message.kind == NLMSG_ERROR:
                ack = netlink.ack(message)
                if ack.errno:
                    raise Refused(ack)
                return answers
            if message.kind == NLMSG_DONE:
                assert message.payload[:4] == bytes(4), message
                self.done = message
                return answers
            answers.append(message)

    def config(self):
        (answer,) = self.request(NLDEMO_MSG_CONFIG_GET)
        assert (answer.kind, answer.flags) == (NLDEMO_MSG_CONFIG, 0)
        return decode_config(answer.payload)

    def settings(self):
        """Returns the values of the attributes that can be set."""
        return {name: value for name, value in self.config().items() if name not in told(0)}

    def set(self, **values):
        """Changes the configuration."""
        self.set_raw(encode_all({name.replace("_", "-"): value for name, value in values.items()}))

    def set_raw(self, payload):
        assert self.request(NLDEMO_MSG_CONFIG_SET, payload) == []

    def stats(self):
        (answer,) = self.request(NLDEMO_MSG_STATS_GET)
        assert (answer.kind, answer.flags) == (NLDEMO_MSG_STATS, 0)
        return decode_stats(answer.payload)

    def start_dump(self):
        """Sends the request for the statistics of each CPU. `answers()` returns the answers."""
        self._seq += 1
        self.send(pack(NLDEMO_MSG_STATS_GET, flags=NLM_F_REQUEST | NLM_F_DUMP, seq=self._seq))

    def per_cpu(self):
        """Returns the statistics of each CPU."""
        self.start_dump()
        return [decode_stats(answer.payload) for answer in self.answers()]


class Monitor(Client):
    """A client that listens to the events of its network namespace."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        # Only a bound socket gets events.
        self.socket.bind((0, 0))
        self.option(NETLINK_ADD_MEMBERSHIP, NLDEMO_GROUP_EVENTS)

    def event(self):
        return decode_event(self.receive())

    def events(self):
        """Returns the events that wait in the socket."""
        return [decode_event(message) for message in self.drain()]
