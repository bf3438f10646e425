# SPDX-License-Identifier: GPL-2.0

"""Dumps that take several buffers. A dump is that long only if the machine can have many CPUs."""

import itertools
import os
from mmap import PAGESIZE

import pytest

import module as modules
import ynl
from control import Control, Monitor, decode_stats
from netlink import HEADER, NLM_F_DUMP_INTR, NLM_F_MULTI, NLMSG_DONE, align
from network import Namespace
from uapi import NLDEMO_MSG_STATS

CPUS = list(range(os.sysconf("SC_NPROCESSORS_CONF")))


@pytest.fixture
def control(module):
    with Control() as control:
        yield control


def buffers(control):
    """Reads a dump to its end. Returns a list for each buffer, with the (type, flags) of the buffer's messages."""
    found = []
    while True:
        data = control.socket.recv(1 << 16)
        found.append([])
        while data:
            length, kind, flags, _, _ = HEADER.unpack_from(data)
            found[-1].append((kind, flags))
            data = data[align(length):]
        if found[-1][-1][0] == NLMSG_DONE:
            return found


def test_dump_takes_several_buffers_and_is_whole(control):
    """Bug: the dump ends with the first buffer, or repeats messages that did not fit."""
    assert [row["cpu"] for row in control.per_cpu()] == CPUS
    control.start_dump()
    messages = buffers(control)
    assert len(messages) > 1
    assert [*itertools.chain(*messages)] == (
        [(NLDEMO_MSG_STATS, NLM_F_MULTI)] * len(CPUS) + [(NLMSG_DONE, NLM_F_MULTI)])


def test_change_of_the_configuration_in_the_middle_is_told(control):
    """If the configuration changes during a dump, only the next message of the dump has NLM_F_DUMP_INTR."""
    with Control() as other:
        control.start_dump()
        other.set(queue=1)
        first, *others = buffers(control)
        assert {flags for _, flags in first} == {NLM_F_MULTI}
        flags = [flags for _, flags in itertools.chain(*others)]
        assert flags[0] == NLM_F_MULTI | NLM_F_DUMP_INTR
        assert set(flags[1:]) == {NLM_F_MULTI}
        # A request that changes nothing does not cause NLM_F_DUMP_INTR.
        control.start_dump()
        other.set(queue=1)
        assert {flags for _, flags in itertools.chain(*buffers(control))} == {NLM_F_MULTI}


def test_reader_with_the_smallest_buffers(module):
    """Even if the receive buffer has room for only one message, the dump is complete. It takes as many
    buffers as it needs."""
    with Control(buffers=1) as control:
        for _ in range(3):
            assert [row["cpu"] for row in control.per_cpu()] == CPUS


def test_reader_that_stops_half_way(control):
    """A reader that has stopped can continue the dump, or close its socket. The module cannot be unloaded while
    a dump is open."""
    control.start_dump()
    first = control.receive()
    assert decode_stats(first.payload)["cpu"] == 0
    with Control() as other:
        assert [row["cpu"] for row in other.per_cpu()] == CPUS
    assert [decode_stats(answer.payload)["cpu"] for answer in control.answers()] == CPUS[1:]
    control.start_dump()
    control.receive()
    with pytest.raises(BlockingIOError):
        modules.remove()
    control.close()
    modules.remove_when_unused()


@pytest.mark.parametrize("reads", [True, False])
def test_namespace_that_dies_in_the_middle(module, reads):
    """The open socket keeps the namespace alive, whether its dump is read or not."""
    with Monitor() as monitor:
        mortal = Namespace()
        with mortal:
            control = Control()
        control.start_dump()
        control.receive()
        mortal.close()
        if reads:
            assert len(control.answers()) == len(CPUS) - 1
        assert not monitor.waiting()
        control.close()
        assert monitor.event()[0] == "netns"


def test_client_of_the_kernel_tree_reads_all(module):
    """YNL's client reads the whole dump, with its usual buffer and with the smallest buffer that loses nothing:
    the kernel's buffers have up to a page, but at most 8 KiB (NLMSG_GOODSIZE)."""
    small = min(PAGESIZE, 8192)
    for options in ((), ("--dbg-small-recv", str(small))):
        rows = ynl.request(*options, "--dump", "stats-get")
        assert [row["cpu"] for row in rows] == CPUS
