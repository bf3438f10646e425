# SPDX-License-Identifier: GPL-2.0

"""The control plane: rights, and invalid requests."""

import errno
import os
import struct

import pytest

import module as modules
from control import (
    ALL_TYPES,
    CONFIG,
    DEFAULTS,
    FORMATS,
    Control,
    Monitor,
    Refused,
    encode,
    encode_all,
    told,
)
from netlink import (
    NETLINK_EXT_ACK,
    NLA_F_NESTED,
    NLA_F_NET_BYTEORDER,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    SLOW,
    align,
    attribute,
    pack,
    wait_until,
)
from uapi import (
    NLDEMO_CONFIG_A_EVENT,
    NLDEMO_CONFIG_A_HOOKED,
    NLDEMO_FAMILY_A_TYPES,
    NLDEMO_MSG_CONFIG,
    NLDEMO_MSG_CONFIG_GET,
    NLDEMO_MSG_CONFIG_NTF,
    NLDEMO_MSG_CONFIG_SET,
    NLDEMO_MSG_NETNS_NTF,
    NLDEMO_MSG_STATS,
    NLDEMO_MSG_STATS_GET,
)
from users import NOBODY, become, enter_new_namespaces

# The offset of the attributes in a message.
PAYLOAD = 16
HEADER = 4
INTEGERS = [name for name in FORMATS if name in DEFAULTS]
FAMILIES = ["ipv4", "ipv6"]
OTHERS = {"enabled": 0, "queue": 1234, "queues": 9, "spread": 1, "bypass": 0, "hooks": 0b11110,
          "priority": -(2**31), "skip-mark": 2**32 - 1, "ipv4": frozenset({0, 8, 255}),
          "ipv6": ALL_TYPES}
# Valid attributes, which some requests have before (AHEAD) or after (BEHIND) an invalid attribute.
AHEAD = {"queue": 4321, "ipv4": frozenset({8})}
BEHIND = {"bypass": 0, "ipv6": frozenset({128})}


@pytest.fixture
def control(module):
    with Control() as control:
        yield control


@pytest.fixture
def monitor(module):
    with Monitor() as monitor:
        yield monitor


# These tests read and change the configuration.


@pytest.mark.smoke
def test_starts_with_the_defaults(control, namespaces):
    """Every namespace starts with the defaults, whether it was made before or after the module was loaded."""
    namespace = namespaces()
    with namespace, Control() as other:
        assert control.config() == other.config() == {**DEFAULTS, **told(0)}


@pytest.mark.parametrize("parameters, expected", [
    ({"queue": 700}, {"queue": 700}),
    ({"queues": 65535}, {"queues": 65535}),
    ({"queue": 65000, "queues": 536}, {"queue": 65000, "queues": 536}),
    ({"bypass": 0}, {"bypass": 0}),
    ({"ipv6": 0}, {"ipv6": frozenset()}),
    ({"hooks": 31}, {"hooks": 31}),
    ({"priority": -(2**31)}, {"priority": -(2**31)}),
    ({"skip_mark": 2**32 - 1}, {"skip-mark": 2**32 - 1}),
])
def test_parameters_are_what_it_starts_with(load, namespaces, parameters, expected):
    """Bug: a parameter is checked, but then not used, or its value is cut to fewer bits."""
    before = namespaces()
    load(**parameters)
    after = namespaces()
    for namespace in (before, after):
        with namespace, Control() as control:
            assert control.settings() == {**DEFAULTS, **expected}


def test_protocol_number_is_that_of_the_parameter(load):
    """The parameter `protocol` also sets the protocol number of the control plane."""
    load(protocol=31)
    with Control(31) as control:
        control.set(queue=7)
        assert control.settings() == {**DEFAULTS, "queue": 7}


@pytest.mark.parametrize("name", list(OTHERS))
def test_what_is_set_is_got_and_told(control, monitor, name):
    """Sets each attribute alone. The other attributes keep their values, and an event has the new
    configuration."""
    control.set(**{name.replace("-", "_"): OTHERS[name]})
    assert control.config() == {**DEFAULTS, name: OTHERS[name], **told(1)}
    assert monitor.events() == [("config", control.config())]


@pytest.mark.smoke
def test_all_at_once_in_any_order(control, monitor):
    """A request with all attributes is one change, and causes one event."""
    control.set_raw(encode_all(dict(reversed(OTHERS.items()))))
    assert control.config() == {**OTHERS, **told(1)}
    assert monitor.events() == [("config", {**OTHERS, **told(1)})]


@pytest.mark.parametrize("name, values", [
    ("enabled", (0, 1)), ("queue", (0, 65535)), ("queues", (1, 65535)), ("spread", (0, 1)),
    ("bypass", (0, 1)), ("hooks", (1, 31)), ("priority", (-(2**31), -1, 2**31 - 1)),
    ("skip-mark", (1, 2**31, 2**32 - 1, 0)),
])
def test_ends_of_the_ranges(control, name, values):
    """Bug: a value at an end of its range is refused or changed, for example by a lost sign."""
    for value in values:
        control.set_raw(encode(name, value))
        assert control.config()[name] == value


def test_every_type_has_its_bit(control):
    """Bug: in a set of types, the bits of a byte are counted in the opposite order."""
    for kind in ALL_TYPES:
        control.set(ipv4={kind}, ipv6=ALL_TYPES - {kind})
        config = control.config()
        assert (config["ipv4"], config["ipv6"]) == ({kind}, ALL_TYPES - {kind})


def test_answer_is_laid_out_as_netlink_asks(control):
    """In the answer, nests have the flag NLA_F_NESTED, padding is zero, and no attribute comes twice."""
    control.set_raw(encode_all(OTHERS))
    (answer,) = control.request(NLDEMO_MSG_CONFIG_GET)
    event = attribute(NLDEMO_CONFIG_A_EVENT, struct.pack("=I", 1))
    hooked = attribute(NLDEMO_CONFIG_A_HOOKED, b"\1")
    assert answer.payload == encode_all(OTHERS) + event + hooked


def _change_one(name, count):
    with Control() as control:
        for value in range(1, count + 1):
            control.set(**{name: value})
            assert control.settings()[name] == value


def test_changes_of_two_lose_nothing(control, start):
    """Bug: a change starts from a configuration that another change has replaced meanwhile."""
    workers = [start(_change_one, name, int(200 / SLOW)) for name in ("queue", "priority")]
    for worker in workers:
        worker.result()


def test_same_values_again_change_nothing(control, monitor):
    """A request that sets the current values succeeds, and causes no event."""
    control.set_raw(encode_all(DEFAULTS))
    control.set(queue=0)
    assert control.config() == {**DEFAULTS, **told(0)}
    control.set(queue=1)
    control.set(queue=1)
    assert [values["event"] for _, values in monitor.events()] == [1]


def test_last_attribute_needs_no_padding(control):
    """As everywhere in netlink, the padding after a message's last attribute may be missing."""
    control.set_raw(encode("queue", 77)[:6])
    assert control.config()["queue"] == 77


def test_several_requests_in_one_buffer(control, monitor):
    """A request that fails does not undo the requests before it in the buffer, and does not stop those after
    it."""
    messages = [encode("queue", 1), encode("queues", 0), encode("bypass", 0)]
    control.send(b"".join(pack(NLDEMO_MSG_CONFIG_SET, payload, seq=number,
                               flags=NLM_F_REQUEST | NLM_F_ACK)
                          for number, payload in enumerate(messages)))
    assert [(ack.seq, ack.errno) for ack in (control.ack() for _ in messages)] == [
        (0, 0), (1, errno.ERANGE), (2, 0)]
    assert control.config() == {**DEFAULTS, "queue": 1, "bypass": 0, **told(2)}
    assert [values["event"] for _, values in monitor.events()] == [1, 2]


def test_answers_without_an_ack_unless_asked_for(control):
    """Bug: the module sends acknowledgements that the client has not asked for."""
    control.send(pack(NLDEMO_MSG_CONFIG_GET))
    assert control.receive().kind == NLDEMO_MSG_CONFIG
    control.send(pack(NLDEMO_MSG_CONFIG_SET, encode("queue", 5)))
    control.send(pack(NLDEMO_MSG_STATS_GET))
    assert control.receive().kind == NLDEMO_MSG_STATS
    assert not control.waiting()


# Invalid requests. Each request must be refused with the right error and the right offset, wherever its
# mistake is. The configuration does not change, and there is no event.


def named_in(payload):
    """Returns the names of the attributes in `payload`."""
    numbers = set()
    while len(payload) >= HEADER:
        length, kind = struct.unpack_from("=HH", payload)
        numbers.add(kind & ~(NLA_F_NESTED | NLA_F_NET_BYTEORDER))
        payload = payload[align(length):] if length else b""
    return {name for name, number in CONFIG.items() if number in numbers}


@pytest.fixture
def refused(control, monitor):
    """Returns a function. It checks that a change of the configuration with the invalid bytes `bad` is
    refused, also if valid attributes are before or after these bytes."""
    config = control.config()

    def refused(bad, error, word, at=0, *, missing=None):
        """`at` is the offset of the offending attribute in `bad`."""
        named = named_in(bad)
        for ahead, behind in (({}, {}), ({}, BEHIND), (AHEAD, {}), (AHEAD, BEHIND)):
            # If the last attribute in `bad` is not whole, no other attribute may follow it: the module would
            # take the first bytes of the other attribute for a part of `bad`.
            if len(bad) % 4 and behind:
                continue
            ahead, behind = (encode_all({name: value for name, value in some.items()
                                         if name not in named}) for some in (ahead, behind))
            start = PAYLOAD + len(ahead)
            with pytest.raises(Refused) as failure:
                control.set_raw(ahead + bad + behind)
            refusal = failure.value
            assert refusal.errno == error and word in refusal.text, refusal
            expected = (start + at, None, None) if missing is None else (None, missing, start + at)
            assert (refusal.offset, refusal.missing, refusal.nest) == expected
            assert control.config() == config
            assert not monitor.waiting()

    return refused


def test_wrong_length(refused):
    """An attribute whose value is too short, too long, or empty is refused."""
    for name in INTEGERS:
        size = struct.calcsize(FORMATS[name])
        for length in {0, 1, 2, 3, 4, 5, 8, 64} - {size}:
            refused(attribute(CONFIG[name], b"\1" + bytes(length - 1) if length else b""),
                    errno.EINVAL, "length")


def test_wrong_length_of_types(refused):
    """A set of types always has the full length. A shorter or longer set is refused."""
    for name in FAMILIES:
        for length in (0, 1, 4, 31, 33, 64, 256):
            refused(encode(name, b"\1" * length), errno.EINVAL, "length", at=HEADER)


def test_wrong_type(refused):
    """The module refuses a plain attribute with the flag NLA_F_NESTED, a nest without this flag, and any
    attribute with NLA_F_NET_BYTEORDER."""
    for name in INTEGERS:
        value = struct.pack(FORMATS[name], 1)
        refused(attribute(CONFIG[name] | NLA_F_NESTED, value), errno.EINVAL, "nest")
        refused(attribute(CONFIG[name] | NLA_F_NET_BYTEORDER, value), errno.EINVAL, "byte order")
    types = attribute(NLDEMO_FAMILY_A_TYPES, bytes(32))
    for name in FAMILIES:
        refused(attribute(CONFIG[name], types), errno.EINVAL, "NLA_F_NESTED")
        refused(attribute(CONFIG[name] | NLA_F_NET_BYTEORDER | NLA_F_NESTED, types), errno.EINVAL,
                "byte order")
        for flag, word in ((NLA_F_NESTED, "nest"), (NLA_F_NET_BYTEORDER, "byte order")):
            refused(attribute(CONFIG[name] | NLA_F_NESTED,
                              attribute(NLDEMO_FAMILY_A_TYPES | flag, bytes(32))),
                    errno.EINVAL, word, at=HEADER)


@pytest.mark.parametrize("name, values", [
    ("enabled", (2, 255)), ("queues", (0,)), ("spread", (2, 255)), ("bypass", (2, 128, 255)),
    ("hooks", (0, 32, 33, 255)),
])
def test_out_of_range(refused, name, values):
    """Values just outside of the range, and far outside of it, are refused."""
    for value in values:
        refused(encode(name, value), errno.ERANGE, "range")


def test_queues_beyond_the_last(control, monitor, refused):
    """The first queue and the number of queues are each valid, but together the last queue would be above
    65535. The refusal points at one of these two attributes. If the request has only one of the two, the
    refusal points at this attribute."""
    for queue, queues in ((65535, 2), (2, 65535), (65535, 65535), (32768, 32769)):
        refused(encode("queues", queues) + encode("queue", queue), errno.ERANGE, "65535")
        refused(encode("queue", queue) + encode("queues", queues), errno.ERANGE, "65535", at=8)
    control.set(queues=65535)
    with pytest.raises(Refused) as failure:
        control.set(bypass=0, queue=2)
    assert (failure.value.errno, failure.value.offset) == (errno.ERANGE, PAYLOAD + 8)
    control.set(queue=65535, queues=1)
    with pytest.raises(Refused) as failure:
        control.set(bypass=0, queues=2)
    assert (failure.value.errno, failure.value.offset) == (errno.ERANGE, PAYLOAD + 8)
    assert control.config() == {**DEFAULTS, "queue": 65535, **told(2)}
    assert len(monitor.events()) == 2


def test_missing_types(refused):
    """A family without its set of types is refused. The refusal names the missing attribute and the nest that
    lacks it."""
    for name in FAMILIES:
        refused(attribute(CONFIG[name] | NLA_F_NESTED, b""), errno.EINVAL, "missing",
                missing=NLDEMO_FAMILY_A_TYPES)


def test_given_twice(refused):
    """Two values for one attribute are refused, even if they are equal: the client's intention is unclear."""
    for name in (*INTEGERS, *FAMILIES):
        once = encode(name, DEFAULTS[name])
        refused(once + once, errno.EINVAL, "twice", at=len(once))
        refused(once + encode("hooks" if name == "priority" else "priority", 1)
                + encode(name, OTHERS[name]), errno.EINVAL, "twice", at=len(once) + 8)
    types = attribute(NLDEMO_FAMILY_A_TYPES, bytes(32))
    for name in FAMILIES:
        refused(attribute(CONFIG[name] | NLA_F_NESTED, types + types), errno.EINVAL, "twice",
                at=HEADER + len(types))


def test_unknown(refused):
    """Bug: unknown attributes are ignored. The module must refuse them, and also attributes that only answers
    have."""
    for number in (0, NLDEMO_CONFIG_A_EVENT, NLDEMO_CONFIG_A_HOOKED, max(CONFIG.values()) + 1,
                   64, 65, 255, 0x3FFF):
        for payload in (b"", bytes(4), bytes(100)):
            refused(attribute(number, payload), errno.EINVAL, "Unknown")
        refused(attribute(number | NLA_F_NESTED, b""), errno.EINVAL, "Unknown")
    types = attribute(NLDEMO_FAMILY_A_TYPES, bytes(32))
    for name in FAMILIES:
        for number in (0, NLDEMO_FAMILY_A_TYPES + 1, CONFIG["queue"], 0x3FFF):
            unknown = attribute(number, bytes(2))
            for inner, at in ((unknown, 0), (unknown + types, 0), (types + unknown, len(types))):
                refused(attribute(CONFIG[name] | NLA_F_NESTED, inner), errno.EINVAL, "Unknown",
                        at=HEADER + at)


def test_nested_too_deep(refused):
    """Bug: the module walks nested attributes by recursion without a limit. Nests of any depth must be
    refused."""
    for name in FAMILIES:
        for depth in (1, 2, 10, 11, 1000, 10_000):
            inner = b""
            for _ in range(depth):
                inner = attribute(NLDEMO_FAMILY_A_TYPES | NLA_F_NESTED, inner)
            refused(attribute(CONFIG[name] | NLA_F_NESTED, inner), errno.EINVAL, "nest", at=HEADER)


def test_nested_in_itself(refused):
    """A nest `ipv4` in a nest `ipv4` is refused. The same is true of `ipv6`."""
    for name in FAMILIES:
        inner = encode(name, {1})
        refused(attribute(CONFIG[name] | NLA_F_NESTED, inner), errno.EINVAL, "Unknown", at=HEADER)


def test_trailing_bytes(refused):
    """Bug: bytes that are not an attribute are ignored, or cause a read beyond the end of the message."""
    whole = encode("hooks", 3)
    for size in (1, 2, 3):
        refused(whole + b"\xff" * size, errno.EINVAL, "cut short", at=len(whole))
        refused(b"\xff" * size, errno.EINVAL, "cut short")


def test_lengths_that_lie(refused):
    """Bug: the module trusts `nla_len`. With 0 its walk never ends, and with a large value it reads out of
    bounds."""
    for length in (0, 1, 2, 3):
        refused(struct.pack("=HH", length, CONFIG["hooks"]) + bytes(4), errno.EINVAL, "cut short")
    for length in (0x1000, 0x7FFF, 0x8000, 0xFFFC, 0xFFFF):
        refused(struct.pack("=HH", length, CONFIG["hooks"]) + bytes(4), errno.EINVAL, "cut short")
    # In a nest, the length must be checked against the end of the nest, which is before the end of the
    # message.
    for name in FAMILIES:
        for length in (0, 3, 37, 40, 0xFFFF):
            inner = struct.pack("=HH", length, NLDEMO_FAMILY_A_TYPES) + bytes(32)
            refused(attribute(CONFIG[name] | NLA_F_NESTED, inner), errno.EINVAL, "cut short",
                    at=HEADER)


def test_one_byte_too_long_at_the_end(control):
    """Bug: the module accepts an attribute that ends one byte after its message. At this place the buffer has
    the message's padding."""
    for size in (2, 3):
        payload = struct.pack("=HH", 4 + size + 1, CONFIG["queue"]) + b"\1" * size
        with pytest.raises(Refused) as failure:
            control.set_raw(payload)
        assert (failure.value.errno, failure.value.offset) == (errno.EINVAL, PAYLOAD)
    assert control.config() == {**DEFAULTS, **told(0)}


def test_empty_request(control, monitor):
    """A change without attributes is refused, because it is probably a mistake."""
    with pytest.raises(Refused) as failure:
        control.set_raw(b"")
    assert (failure.value.errno, failure.value.offset) == (errno.EINVAL, None)
    assert failure.value.text
    assert control.config() == {**DEFAULTS, **told(0)} and not monitor.waiting()


def test_all_or_nothing(control, monitor):
    """Bug: valid attributes change the configuration before the module finds the invalid attribute."""
    good = {name: value for name, value in OTHERS.items() if name != "hooks"}
    for number in range(len(good) + 1):
        parts = [encode(name, value) for name, value in good.items()]
        parts.insert(number, encode("hooks", 32))
        with pytest.raises(Refused) as failure:
            control.set_raw(b"".join(parts))
        assert failure.value.errno == errno.ERANGE
        assert failure.value.offset == PAYLOAD + sum(map(len, parts[:number]))
    assert control.config() == {**DEFAULTS, **told(0)} and not monitor.waiting()


def test_requests_for_answers_take_no_attributes(control):
    """Bug: a request that takes no attributes is served although it has some. Then a later version of the
    module could not give such attributes a meaning."""
    for kind, flags in ((NLDEMO_MSG_CONFIG_GET, NLM_F_ACK), (NLDEMO_MSG_STATS_GET, NLM_F_ACK),
                        (NLDEMO_MSG_STATS_GET, NLM_F_DUMP)):
        for payload, word in ((attribute(1, bytes(1)), "Unknown"), (bytes(2), "cut short")):
            with pytest.raises(Refused) as failure:
                control.request(kind, payload, flags)
            assert (failure.value.errno, failure.value.offset) == (errno.EINVAL, PAYLOAD)
            assert word in failure.value.text
        assert control.request(kind, flags=flags)


def test_dump_of_what_has_none(control):
    """Only statistics have a dump. The configuration is a single message, and a change returns no list."""
    for kind, payload in ((NLDEMO_MSG_CONFIG_GET, b""),
                          (NLDEMO_MSG_CONFIG_SET, encode("queue", 1))):
        with pytest.raises(Refused) as failure:
            control.request(kind, payload, NLM_F_DUMP | NLM_F_ACK)
        assert failure.value.errno == errno.EOPNOTSUPP and "dump" in failure.value.text
    assert control.config() == {**DEFAULTS, **told(0)}


def test_what_the_kernel_says_is_nothing_to_ask_for(control):
    """A request with the message type of an answer or an event is refused, as with any unknown type."""
    for kind in (NLDEMO_MSG_CONFIG, NLDEMO_MSG_CONFIG_NTF, NLDEMO_MSG_STATS, NLDEMO_MSG_NETNS_NTF):
        with pytest.raises(Refused) as failure:
            control.request(kind, encode("queue", 1))
        assert failure.value.errno == errno.EOPNOTSUPP
    assert control.config() == {**DEFAULTS, **told(0)}


def test_refusals_are_plain_for_clients_that_know_no_more(control):
    """Without NETLINK_EXT_ACK the client gets only the error."""
    control.option(NETLINK_EXT_ACK, 0)
    for payload, error in ((encode("queues", 0), errno.ERANGE), (attribute(99, b""), errno.EINVAL),
                           (attribute(CONFIG["ipv4"] | NLA_F_NESTED, b""), errno.EINVAL)):
        with pytest.raises(Refused) as failure:
            control.set_raw(payload)
        assert (failure.value.errno, failure.value.text, failure.value.offset) == (error, "", None)


# These tests check which rights a client needs.


def _assert_may_only_look(control):
    def settings():
        # The number of the latest event is left out: namespaces of earlier tests may be deleted meanwhile,
        # and each deletion causes an event, too.
        return {name: value for name, value in control.config().items() if name != "event"}

    before = settings()
    # A client without the right to change gets EPERM for every request to change, even for an invalid one.
    for payload in (encode("queue", 1), encode("queues", 0), attribute(99, b""), b""):
        with pytest.raises(Refused) as failure:
            control.set_raw(payload)
        assert failure.value.errno == errno.EPERM and failure.value.offset is None
        assert "CAP_NET_ADMIN" in failure.value.text
    assert settings() == before
    assert control.stats() and control.per_cpu()


def _as_nobody():
    become(NOBODY)
    with Control() as control:
        _assert_may_only_look(control)


def test_unprivileged_user_may_only_look(control, start):
    """Bug: the capability check is missing, or it also refuses requests that only read."""
    start(_as_nobody).result()
    assert control.config() == {**DEFAULTS, **told(0)}


def _listen_as_nobody(ready):
    become(NOBODY)
    with Monitor() as monitor:
        ready.set()
        assert monitor.event() == ("config", {**DEFAULTS, "queue": 3, **told(1)})


def test_unprivileged_user_may_listen(control, start, stop):
    """Every user may listen to events."""
    worker = start(_listen_as_nobody, stop)
    wait_until(stop.is_set)
    control.set(queue=3)
    worker.result()


def _as_root_of_user_namespaces():
    become(NOBODY)
    with Control() as outside:
        enter_new_namespaces()
        with Control() as inside:
            inside.set(queue=9)
            assert inside.settings() == {**DEFAULTS, "queue": 9}
            _assert_may_only_look(outside)
            # Root of a child user namespace has no rights on network namespaces of the parent.
            enter_new_namespaces()
            with Control() as child:
                child.set(queue=10)
                _assert_may_only_look(inside)
                assert child.settings() == {**DEFAULTS, "queue": 10}
        _assert_may_only_look(outside)


def test_root_of_a_user_namespace_may_change_its_own(control, start):
    """Bug: the capability is checked in the initial user namespace, or in the sender's own user namespace. It
    must be checked in the user namespace that owns the network namespace."""
    start(_as_root_of_user_namespaces).result()
    assert control.settings() == DEFAULTS


def _with_borrowed_sockets():
    with Control() as of_root:
        os.seteuid(NOBODY)
        with Control() as of_nobody:
            # An unprivileged process uses a socket that root has opened. It can get such a socket as its
            # standard output.
            _assert_may_only_look(of_root)
            os.seteuid(0)
            # Root uses a socket that an unprivileged user has opened. A privileged program can get such a
            # socket as its standard output, and write to it without knowing what it is.
            of_nobody.socket.connect((0, 0))
            of_nobody.send = of_nobody.socket.send
            _assert_may_only_look(of_nobody)
        of_root.set(queue=4)


def test_sender_and_opener_must_both_be_allowed(control, start):
    """Bug: the module checks only the sender of a request, or only the process that opened the socket. Then a
    user could borrow the rights of another user."""
    start(_with_borrowed_sockets).result()
    assert control.config() == {**DEFAULTS, "queue": 4, **told(1)}


# Each namespace has its own configuration.


def test_namespaces_are_configured_independently(control, namespaces):
    """Bug: all namespaces share a configuration, or a new namespace inherits it."""
    namespace = namespaces()
    with namespace, Control() as other:
        other.set(queue=11, ipv4={8})
        control.set(queue=22, bypass=0)
        with namespaces(), Control() as later:
            assert later.config() == {**DEFAULTS, **told(0)}
        assert other.config() == {**DEFAULTS, "queue": 11, "ipv4": {8}, **told(1)}
        assert control.config() == {**DEFAULTS, "queue": 22, "bypass": 0, **told(1)}


def test_socket_configures_its_own_namespace_wherever_it_is_used(control, namespaces):
    """Bug: the module uses the namespace of the sending process instead of the socket's namespace."""
    with namespaces(), Control() as inside:
        control.set(queue=33)
        assert inside.config() == {**DEFAULTS, **told(0)}
    assert control.config() == {**DEFAULTS, "queue": 33, **told(1)}


def test_configuration_is_gone_with_the_module(load):
    """When the module is loaded again, its parameters set the configuration. Earlier changes are gone."""
    load()
    with Control() as control:
        control.set_raw(encode_all(OTHERS))
    modules.remove_when_unused()
    load(queue=5)
    with Control() as control:
        assert control.config() == {**DEFAULTS, "queue": 5, **told(0)}
