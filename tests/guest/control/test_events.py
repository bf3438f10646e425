# SPDX-License-Identifier: GPL-2.0

"""Events: which listeners get them, in which order, and how a listener sees that it missed some."""

import errno
import struct

import pytest

from control import DEFAULTS, Control, Monitor, told
from netlink import HEADER, SLOW, SOL_NETLINK
from network import Namespace
from uapi import NLDEMO_GROUP_EVENTS, NLDEMO_MSG_CONFIG_NTF

BIG = 8 << 20
NETLINK_PKTINFO = 3


@pytest.fixture
def control(module):
    with Control() as control:
        yield control


def test_numbers_rise_by_one(control):
    """Each change causes an event with the next number. Requests that change nothing cause no event."""
    with Monitor() as monitor:
        for number in range(1, 101):
            control.set(queue=number)
            control.set(queue=number)
            assert monitor.events() == [("config", {**DEFAULTS, **told(number), "queue": number})]
            assert control.config()["event"] == number


def test_listeners_are_told_the_group(control):
    """Bug: an event names no group, as if it had been sent to this listener alone. Then a client library
    drops the event.

    Bug: an event has a sequence number, as if it answered a request. Then a client library reports an
    error."""
    with Monitor() as monitor:
        monitor.option(NETLINK_PKTINFO)
        control.set(queue=1)
        data, ancillary, _, (portid, groups) = monitor.socket.recvmsg(1 << 14, 64)
        assert (portid, groups) == (0, 1 << NLDEMO_GROUP_EVENTS - 1)
        assert ancillary == [(SOL_NETLINK, NETLINK_PKTINFO, struct.pack("=I", NLDEMO_GROUP_EVENTS))]
        assert HEADER.unpack_from(data)[1:] == (NLDEMO_MSG_CONFIG_NTF, 0, 0, 0)


def test_events_that_nobody_heard_are_counted(control):
    """Events are numbered even if nobody listens. So the number of the first event that a listener gets shows
    that there were earlier events."""
    control.set(queue=1)
    control.set(queue=2)
    with Monitor() as monitor:
        control.set(queue=3)
        assert [values["event"] for _, values in monitor.events()] == [3]


def test_all_listeners_hear_the_same(control):
    """All listeners get all events, in the same order."""
    monitors = [Monitor(buffers=BIG) for _ in range(5)]
    for queue in range(1, 21):
        control.set(queue=queue)
    heard = [monitor.events() for monitor in monitors]
    assert [values["queue"] for _, values in heard[0]] == list(range(1, 21))
    assert all(events == heard[0] for events in heard)
    for monitor in monitors:
        monitor.close()


def test_listener_that_does_not_read_is_told_of_its_loss(control):
    """Bug: the module waits for a listener that does not read, or the listener cannot see that it lost events.

    The listener's socket reports ENOBUFS, and the numbers of the events show how many are missing. Other
    listeners, and the client that makes the changes, notice nothing.
    """
    with Monitor(buffers=4096) as deaf, Monitor(buffers=BIG) as monitor:
        for queue in range(1, 201):
            control.set(queue=queue)
        with pytest.raises(OSError) as failure:
            deaf.socket.recv(1 << 16)
        assert failure.value.errno == errno.ENOBUFS
        heard = [values["event"] for _, values in deaf.events()]
        assert heard == list(range(1, len(heard) + 1)) and 0 < len(heard) < 200
        control.set(queue=201)
        assert deaf.events() == [("config", {**DEFAULTS, **told(201), "queue": 201})]
        assert [values["event"] for _, values in monitor.events()] == list(range(1, 202))


def test_namespaces_hear_their_own_events_only(control, namespaces):
    """Bug: an event goes to the listeners of all namespaces."""
    with Monitor() as outside, namespaces(), Control() as other, Monitor() as inside:
        control.set(queue=1)
        assert not inside.waiting()
        assert outside.events() == [("config", {**DEFAULTS, **told(1), "queue": 1})]
        other.set(queue=2)
        assert not outside.waiting()
        assert inside.events() == [("config", {**DEFAULTS, **told(1), "queue": 2})]


def test_end_of_a_namespace_is_told_in_the_initial_one(control, namespaces):
    """When a namespace is deleted, listeners in the initial namespace get an event. The event has the cookie
    that the deleted namespace had, and the next event number of the initial namespace.

    No other namespace gets the event, because namespaces must not learn of each other.
    """
    with Monitor() as monitor, namespaces(), Monitor() as bystander:
        for number in range(1, 8, 2):
            mortal = Namespace()
            with mortal, Control() as inside:
                inside.set(queue=5)
                name = inside.cookie
            mortal.close()
            assert monitor.event() == ("netns", {"cookie": name, "event": number})
            control.set(queue=number)
            assert monitor.event()[1]["event"] == number + 1
        assert not bystander.waiting()


def test_namespace_lives_as_long_as_its_sockets(control):
    """An open socket keeps its namespace alive, and so it also keeps the namespace's configuration."""
    with Monitor() as monitor:
        mortal = Namespace()
        with mortal:
            inside = Control()
        name = inside.cookie
        mortal.close()
        inside.set(queue=6)
        assert inside.settings() == {**DEFAULTS, "queue": 6}
        assert not monitor.waiting()
        inside.close()
        assert monitor.event() == ("netns", {"cookie": name, "event": 1})


def _change(first, count):
    with Control() as control:
        for number in range(count):
            control.set(queue=first + number)


def test_changes_of_many_are_told_in_their_order(control, start):
    """Bug: an event overtakes another, so that listeners end with a wrong configuration."""
    count = int(200 / SLOW)
    with Monitor(buffers=BIG) as monitor:
        workers = [start(_change, 1000 * number, count) for number in range(1, 5)]
        for worker in workers:
            worker.result()
        events = [values for _, values in monitor.events()]
        assert [values["event"] for values in events] == list(range(1, 4 * count + 1))
        assert events[-1] == control.config()
        # The changes of each process are in order.
        for number in range(1, 5):
            queues = [values["queue"] for values in events if values["queue"] // 1000 == number]
            assert queues == list(range(1000 * number, 1000 * number + count))
