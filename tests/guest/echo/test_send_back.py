# SPDX-License-Identifier: GPL-2.0

"""The module sends an echo back in the buffer of its request. These tests check that no client can notice
this."""

import errno
import socket

import pytest

from netlink import (
    ECHO,
    HEADER,
    HELLO,
    HELLO_REPLY,
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_CAP_ACK,
    NLM_F_ACK,
    NLM_F_ECHO,
    NLM_F_REQUEST,
    Client,
    pack,
)
from uapi import NLDEMO_GROUP_EVENTS

pytestmark = pytest.mark.usefixtures("module")

NETLINK_NO_ENOBUFS = 5
# Sizes for each kind of memory: the smallest slab, a larger slab, pages.
SIZES = [0, 5, 64, 1021, 16 << 10, 60_001]


@pytest.fixture
def client(module):
    with Client(buffers=1 << 20) as client:
        yield client


@pytest.mark.parametrize("size", SIZES)
def test_group_gets_the_request_as_it_was_sent(client, size):
    """Bug: the reply's header overwrites the request's header, although other sockets got this request,
    too."""
    with Client(buffers=1 << 20) as member:
        member.option(NETLINK_ADD_MEMBERSHIP, NLDEMO_GROUP_EVENTS)
        member.echo(b"gets an address, or the kernel takes it for the one to leave out")
        request = pack(ECHO, b"\xa5" * size, seq=8, pid=0x1234, pad=False)
        client.socket.sendto(request, (0, 1 << NLDEMO_GROUP_EVENTS - 1))
        assert client.receive().payload == b"\xa5" * size
        assert member.socket.recv(1 << 17) == request


@pytest.mark.parametrize("size", SIZES)
def test_ack_quotes_the_request_that_went_back(client, size):
    """Bug: the ack after the reply quotes the reply's header."""
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO
    request = pack(ECHO, bytes(size), seq=9, flags=flags, pid=0x1234)
    client.send(request)
    assert client.receive().payload == bytes(size)
    assert client.ack().request == request[:HEADER.size]


@pytest.mark.parametrize("capped", [True, False])
def test_error_quotes_the_request_that_could_not_go_back(capped):
    """Bug: the error after a reply that failed quotes the reply's header."""
    flags = NLM_F_REQUEST | NLM_F_ECHO
    with Client() as client:
        client.option(NETLINK_NO_ENOBUFS)
        client.option(NETLINK_CAP_ACK, int(capped))
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        # The first reply fits, because an empty receive buffer takes a message of any size. The second reply
        # does not fit. The error for the second request fits only if it is capped, because a capped error does
        # not quote the payload.
        client.send(pack(ECHO, bytes(30_000)))
        request = pack(ECHO, bytes(20_000), seq=10, flags=flags, pid=0x1234)
        client.send(request)
        assert len(client.receive().payload) == 30_000
        if capped:
            ack = client.ack()
            assert (ack.errno, ack.request) == (errno.EAGAIN, request[:HEADER.size])
        assert not client.waiting()
        assert client.echo(b"goes on").payload == b"goes on"


@pytest.mark.parametrize("kind,reply_kind", [(ECHO, ECHO), (HELLO, HELLO_REPLY)])
@pytest.mark.parametrize("padding", [None, b"\xee"])
def test_padding_is_zero_whatever_the_request_had(client, kind, reply_kind, padding):
    """Bug: a reply in the request's buffer has the client's padding, or no padding."""
    flags = 0 if kind == HELLO else NLM_F_REQUEST
    for size in range(9):
        request = pack(kind, b"\xff" * size, flags=flags, pad=False)
        if padding:
            request += padding * (-len(request) % 4)
        client.send(request)
        reply = client.receive()
        assert (reply.kind, reply.payload) == (reply_kind, b"\xff" * size)
        assert reply.padding == bytes(-size % 4)


def test_message_with_others_in_its_buffer_is_answered_alone(client):
    """Bug: the reply also has bytes of other messages in the buffer, from before or after its own message."""
    for rest in (b"\0", b"\0" * 15, pack(ECHO, b"second", seq=2), b"\xff" * 40):
        client.send(pack(ECHO, b"first!", seq=1) + rest)
        assert client.receive().payload == b"first!"
        if len(rest) == 24:
            assert client.receive().payload == b"second"
        assert not client.waiting()


def test_batch_is_charged_by_its_replies(client):
    """Bug: each reply to a batch holds the whole buffer, so that few replies fill the receive buffer."""
    free = client.room()
    client.send(b"".join(pack(ECHO, bytes(64), seq=number) for number in range(200)))
    assert free - client.room() < 200 * 1024
    assert [reply.seq for reply in client.drain()] == list(range(200))
    assert client.room() == free
