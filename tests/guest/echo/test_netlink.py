# SPDX-License-Identifier: GPL-2.0

"""The echo service. The client checks everything that it receives."""

import errno
import os
import random
import select
import socket
import struct
import threading
import time
from mmap import PAGESIZE

import pytest

import netlink
from control import DEFAULTS, NO_COUNTERS, STATS, decode_config, decode_stats, told
from netlink import (
    DEADLINE,
    ECHO,
    HELLO,
    HELLO_REPLY,
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_DUMP,
    NLM_F_ECHO,
    NLM_F_MULTI,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_MIN_TYPE,
    NLMSG_NOOP,
    NLMSG_OVERRUN,
    NLMSGERR_ATTR_MSG,
    Client,
    pack,
)
from uapi import NLDEMO_MSG_CONFIG, NLDEMO_MSG_STATS

pytestmark = pytest.mark.usefixtures("module")

# No message will ever have this type.
UNKNOWN = 0xFFF0
BIG = 8 << 20


@pytest.fixture
def client(module):
    with Client(buffers=BIG) as client:
        yield client


def assert_works(client):
    """Checks that the socket gets an echo, and that no other message waits in it."""
    reply = client.echo(b"still there?", seq=0xFFFFFFFF)
    assert (reply.kind, reply.seq, reply.payload) == (ECHO, 0xFFFFFFFF, b"still there?")
    assert not client.waiting()


# These tests check who gets the reply.


@pytest.mark.smoke
def test_reply_goes_to_the_sender_not_to_nlmsg_pid(client):
    """Bug: the reply goes to `nlmsg_pid`. The sender can write any number there."""
    with Client() as victim:
        victim.socket.bind((0, 0))
        assert victim.portid not in (0, client.portid)
        for pid in (victim.portid, 0, 1, 0xFFFFFFFF):
            client.send(pack(ECHO, b"mine", pid=pid))
            (reply,) = client.drain()
            assert reply.payload == b"mine"
            assert reply.pid == client.portid
        assert not victim.waiting()


def test_errors_and_acks_go_to_the_sender_too(client):
    """Bug: an error or an acknowledgement goes to `nlmsg_pid`."""
    with Client() as victim:
        victim.echo(b"gets an address")
        for kind, flags, code in ((UNKNOWN, NLM_F_REQUEST, errno.EOPNOTSUPP),
                                  (NLMSG_NOOP, NLM_F_ACK, 0)):
            client.send(pack(kind, flags=flags, pid=victim.portid))
            ack = client.ack()
            assert (ack.pid, ack.errno) == (client.portid, code)
        assert not victim.waiting()


def test_replies_find_bound_and_unbound_and_datagram_sockets(client):
    """Bug: the module finds the client by its process ID. A socket's portid is often another number."""
    others = [Client(portid=portid, kind=kind)
              for portid, kind in ((None, socket.SOCK_RAW), (None, socket.SOCK_DGRAM),
                                   (0x7FFF0001, socket.SOCK_RAW), (0xFFFFFFF0, socket.SOCK_DGRAM))]
    for everybody in (client, *others):
        assert everybody.echo(b"x").pid == everybody.portid
    assert len({everybody.portid for everybody in (client, *others)}) == 5
    assert [other.portid for other in others[2:]] == [0x7FFF0001, 0xFFFFFFF0]
    for other in others:
        other.close()


def test_connected_socket_gets_its_reply():
    """A client may connect() to the kernel and use plain send and recv."""
    with Client() as client:
        client.socket.connect((0, 0))
        client.socket.send(pack(ECHO, b"connected"))
        assert client.receive().payload == b"connected"


# These tests check the content of the reply.


# The longest reply in one piece of memory (31 KiB with pages of 4 KiB).
BOUNDARY = 8 * PAGESIZE - 1024
SIZES = sorted({*range(0, 65), 1023, 1024, 1025, 4079, 4080, 4081, 16 << 10,
                *range(BOUNDARY - 24, BOUNDARY + 9), (32 << 10) - 16, 64 << 10, 65535, 200_000})


def test_payload_comes_back_byte_for_byte(client):
    """Bug: the module uses `strlen` on a payload, or has another wrong length."""
    source = random.Random(1)
    for size in SIZES:
        payload = source.randbytes(size)
        reply = client.echo(payload, seq=size)
        assert (reply.kind, reply.seq, reply.length) == (ECHO, size, 16 + size)
        assert reply.payload == payload
        assert not reply.padding.strip(b"\0")
    assert not client.waiting()


def test_payload_of_200_kilobytes_with_default_buffers():
    """Bug: the module needs contiguous memory for a reply, or limits a reply to one page."""
    with Client() as client:
        payload = random.Random(2).randbytes(200_000)
        assert client.echo(payload).payload == payload


@pytest.mark.smoke
def test_payload_of_megabytes(client):
    """A message of any size that fits the sender's send buffer gets its reply."""
    payload = random.Random(3).randbytes((4 << 20) + 5)
    assert client.echo(payload).payload == payload
    assert_works(client)


def test_message_too_big_to_be_answered_is_refused():
    """Bug: the module does not check whether an allocation succeeded."""
    # A reply has at most 17 fragments of at most 2^10 pages. The payload is one such fragment, 20 times.
    fragment = bytes(PAGESIZE << 10)
    with Client(buffers=24 * len(fragment)) as client:
        client.socket.sendmsg([pack(ECHO, length=16 + 20 * len(fragment)), *[fragment] * 20])
        # A refusal quotes the whole message, so there may be no memory for the refusal either. Then only the
        # socket reports an error.
        assert client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ENOBUFS
        assert_works(client)


@pytest.mark.parametrize("payload", [
    b"\0", b"\0\0\0\0", b"\0text", b"a\0b\0c", b"no end", b"\xff" * 7, b"text\0", "häß".encode(),
], ids=repr)
def test_payload_is_bytes_not_text(client, payload):
    """Bug: the module uses `strlen` on a payload that has NUL bytes inside, or no NUL byte at its end."""
    assert client.echo(payload).payload == payload


@pytest.mark.parametrize("others", [b"", pack(ECHO)], ids=["alone", "batch"])
def test_padding_is_zero(client, others):
    """Bug: the module does not clear the padding of a reply. To find this, the test first gets a longer reply
    of 0xff bytes. The kernel may use the memory of this reply again for the next one.

    A kernel that clears all memory at allocation, as Debian's does, hides the bug. With init_on_alloc=0 on the
    kernel's command line, the test can find it.
    """
    for size in list(range(1, 64)) * 4 + [BOUNDARY - 15, BOUNDARY + 1, 50_001]:
        if size % 4 == 0:
            continue
        dirt = client.echo(b"\xff" * (size + 64))
        assert dirt.payload == b"\xff" * (size + 64)
        client.send(pack(ECHO, b"\xff" * size) + others)
        reply, *_ = client.drain()
        assert reply.payload == b"\xff" * size
        assert reply.padding == bytes(-size % 4)


def test_sequence_numbers_and_flags(client):
    """Bug: a reply has sequence number 0, type DONE, or the flags of a request."""
    for seq in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        reply = client.echo(b"seq", seq=seq)
        assert (reply.kind, reply.seq, reply.flags) == (ECHO, seq, 0)
    for flags in (NLM_F_ECHO, NLM_F_MULTI, NLM_F_DUMP, 0x8000):
        reply = client.echo(b"flags", flags=NLM_F_REQUEST | flags)
        assert (reply.kind, reply.payload, reply.flags) == (ECHO, b"flags", 0)
    assert not client.waiting()


# Several messages in one buffer.


def test_batch_of_1000_messages(client):
    """Bug: only the first message of a buffer is served."""
    batch = b"".join(pack(ECHO, struct.pack("=I", i) * (i % 9), seq=i) for i in range(1000))
    client.send(batch)
    for i in range(1000):
        reply = client.receive()
        assert (reply.kind, reply.seq, reply.payload) == (ECHO, i, struct.pack("=I", i) * (i % 9))
    assert not client.waiting()


def test_batch_with_acks_keeps_its_order(client):
    """Bug: an acknowledgement overtakes the reply to another message."""
    client.send(b"".join(pack(ECHO, b"x", seq=i, flags=NLM_F_REQUEST | NLM_F_ACK)
                         for i in range(50)))
    for i in range(50):
        assert client.receive()[1:4] == (ECHO, 0, i)
        assert client.ack()[:4:3] == (i, 0)
    assert not client.waiting()


@pytest.mark.smoke
def test_mixed_batch(client):
    """Bug: after a message that fails or is ignored, the rest of the buffer is not served."""
    client.send(b"".join([
        pack(ECHO, b"one", seq=1),
        pack(UNKNOWN, b"bad", seq=2),
        pack(ECHO, b"no request", seq=3, flags=0),
        pack(NLMSG_NOOP, seq=4),
        pack(NLMSG_ERROR, bytes(20), seq=5, flags=NLM_F_ACK),
        pack(HELLO, b"hello", seq=6, flags=0),
        pack(UNKNOWN, b"", seq=7, flags=NLM_F_REQUEST | NLM_F_ACK),
        pack(ECHO, b"eight", seq=8, flags=NLM_F_REQUEST | NLM_F_ACK),
    ]))
    replies = client.drain()
    assert [(reply.kind, reply.seq) for reply in replies] == [
        (ECHO, 1), (NLMSG_ERROR, 2), (HELLO_REPLY, 6), (NLMSG_ERROR, 7), (ECHO, 8),
        (NLMSG_ERROR, 8)]
    assert [netlink.ack(reply).errno for reply in replies if reply.kind == NLMSG_ERROR] == [
        errno.EOPNOTSUPP, errno.EOPNOTSUPP, 0]


# Wrong lengths.


@pytest.mark.parametrize("length", [0, 1, 4, 8, 15])
def test_length_below_a_header_ends_the_walk(client, length):
    """Bug: the module trusts `nlmsg_len`. With 0 its walk through the buffer never ends. With other values
    the length of the payload becomes negative."""
    client.send(pack(ECHO, b"before", seq=1)
                + pack(ECHO, b"short!", seq=2, length=length, flags=NLM_F_REQUEST | NLM_F_ACK)
                + pack(ECHO, b"behind", seq=3))
    assert client.receive().payload == b"before"
    assert not client.waiting()
    assert_works(client)


@pytest.mark.parametrize("length", [16 + 8 + 16 + 1, 1 << 16, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0,
                                    0xFFFFFFFC, 0xFFFFFFFD, 0xFFFFFFFF], ids=hex)
def test_length_beyond_the_buffer_ends_the_walk(client, length):
    """Bug: the module trusts `nlmsg_len`, and its walk reads beyond the buffer, or an integer wraps."""
    client.send(pack(ECHO, b"before", seq=1)
                + pack(ECHO, b"too long", seq=2, length=length, flags=NLM_F_REQUEST | NLM_F_ACK)
                + pack(ECHO, b"", seq=3))
    assert client.receive().payload == b"before"
    assert not client.waiting()
    assert_works(client)


def test_length_one_beyond_the_last_byte(client):
    """Bug: the module serves a message that is one byte longer than the buffer, and so reads a byte behind
    the buffer."""
    for size in range(9):
        client.send(pack(ECHO, b"x" * size, length=16 + size + 1, pad=False))
        assert not client.waiting()
    assert_works(client)


def test_length_short_of_the_payload_counts(client):
    """A message ends where the length in its header says. The bytes behind this place are the next
    message."""
    inner = pack(ECHO, b"inner", seq=2)
    client.send(pack(ECHO, b"head" + inner, seq=1, length=16 + 4))
    assert [(reply.seq, reply.payload) for reply in client.drain()] == [(1, b"head"), (2, b"inner")]


def test_last_message_needs_no_padding(client):
    """Bug: the module's walk fails if the buffer ends before the aligned length of the last message."""
    for size in range(1, 8):
        client.send(pack(ECHO, b"first", seq=1) + pack(ECHO, b"y" * size, seq=2, pad=False))
        assert [reply.payload for reply in client.drain()] == [b"first", b"y" * size]


def test_trailing_garbage_is_ignored(client):
    """Bug: the module reads an incomplete header after the last message of a buffer."""
    for size in range(1, 16):
        client.send(pack(ECHO, b"good") + b"\xff" * size)
        assert client.receive().payload == b"good"
        assert not client.waiting()


def test_buffers_without_a_whole_header(client):
    """Bug: the module reads the header of a message, although the buffer is shorter than a header."""
    for size in range(1, 16):
        client.send(pack(ECHO, flags=NLM_F_REQUEST | NLM_F_ACK, length=size)[:size])
        client.send(b"\0" * size)
        assert not client.waiting()
    assert_works(client)


def assert_makes_sense(reply):
    """Checks that the reply has a type that clients can get, and has all that this type needs."""
    if reply.kind == NLMSG_ERROR:
        assert 0 <= netlink.ack(reply).errno < 4096
    elif reply.kind == NLMSG_DONE:
        assert reply.payload == bytes(4) and reply.flags & NLM_F_MULTI
    elif reply.kind == NLDEMO_MSG_CONFIG:
        assert set(decode_config(reply.payload)) == {*DEFAULTS, *told(0)}
    elif reply.kind == NLDEMO_MSG_STATS:
        assert set(decode_stats(reply.payload)) - NO_COUNTERS == set(STATS) - NO_COUNTERS
    else:
        assert reply.kind in (ECHO, HELLO_REPLY)
    assert not reply.padding.strip(b"\0")


def test_garbage_of_every_kind(client):
    """Bug: the module trusts a value in a message. All answers must be well-formed, and addressed to this
    client."""
    source = random.Random(4)
    kinds = set()
    for _ in range(1000):
        data = bytearray(source.randbytes(source.randrange(1, 200)))
        for at in range(0, len(data) - 16, source.choice((4, 16, 20, 24))):
            struct.pack_into("=IHH", data, at, source.choice((16, 16, source.randrange(14, 40))),
                             source.choice((0, 1, 2, 3, *range(NLMSG_MIN_TYPE, 25))),
                             source.choice((0, 1, 4, 5, 1 | NLM_F_DUMP)))
        client.send(bytes(data))
        for reply in client.drain():
            assert reply.pid == client.portid
            assert_makes_sense(reply)
            kinds.add(reply.kind)
    assert kinds == {
        ECHO, HELLO_REPLY, NLMSG_ERROR, NLMSG_DONE, NLDEMO_MSG_CONFIG, NLDEMO_MSG_STATS}
    assert_works(client)


# Messages that get no answer, or only an acknowledgement.


def test_never_answers_an_error(client):
    """Bug: the module answers an ERROR. Then the module and a client could answer each other for ever."""
    for flags in (0, NLM_F_REQUEST, NLM_F_ACK, NLM_F_REQUEST | NLM_F_ACK, 0xFFFF):
        client.send(pack(NLMSG_ERROR, struct.pack("=i", -errno.EINVAL) + bytes(16), flags=flags))
        client.send(pack(NLMSG_ERROR, flags=flags) * 1000)
        assert not client.waiting()
    assert_works(client)


@pytest.mark.parametrize("kind", [NLMSG_NOOP, NLMSG_DONE, NLMSG_OVERRUN])
def test_control_messages_are_acknowledged_at_most(client, kind):
    """Bug: the module answers NOOP, DONE or OVERRUN. The only permitted answer is an acknowledgement, if
    the client asks for one."""
    for flags in (0, NLM_F_REQUEST, NLM_F_REQUEST | NLM_F_MULTI, NLM_F_DUMP):
        client.send(pack(kind, b"data", flags=flags) * 100)
        assert not client.waiting()
    for flags in (NLM_F_ACK, NLM_F_REQUEST | NLM_F_ACK):
        client.send(pack(kind, b"data", seq=8, flags=flags))
        assert client.ack()[:4:3] == (8, 0)
        assert not client.waiting()


def test_types_below_16_are_never_echoed(client):
    """Of the types below 16, only type 0 without flags is served, because old "hello kernel" clients send
    it."""
    for kind in range(1, NLMSG_MIN_TYPE):
        for flags in (0, NLM_F_REQUEST, NLM_F_ECHO, NLM_F_REQUEST | NLM_F_DUMP):
            client.send(pack(kind, b"payload", flags=flags))
            assert not client.waiting(), (kind, flags)
        client.send(pack(kind, b"payload", seq=kind, flags=NLM_F_REQUEST | NLM_F_ACK))
        answers = [netlink.ack(reply)[:4:3] for reply in client.drain()]
        assert answers == ([] if kind == NLMSG_ERROR else [(kind, 0)])


@pytest.mark.parametrize("kind", [ECHO, 17, HELLO_REPLY, UNKNOWN])
def test_what_is_no_request_is_ignored(client, kind):
    """Bug: the module answers a message that is not a request, for example a reply."""
    for flags in (0, NLM_F_MULTI, NLM_F_ECHO, NLM_F_DUMP):
        client.send(pack(kind, b"payload", flags=flags))
        assert not client.waiting(), flags
    client.send(pack(kind, b"payload", seq=9, flags=NLM_F_ACK))
    assert client.ack()[:4:3] == (9, 0)
    assert not client.waiting()


def test_ack_follows_the_echo(client):
    """Bug: there is no ack, or the ack has a wrong sequence number, address or error, or quotes a wrong
    request."""
    request = pack(ECHO, b"payload", seq=0xABCD, flags=NLM_F_REQUEST | NLM_F_ACK, pid=77)
    client.send(request)
    assert client.receive().payload == b"payload"
    ack = client.ack()
    assert (ack.seq, ack.pid, ack.errno) == (0xABCD, client.portid, 0)
    assert ack.flags == NLM_F_CAPPED and ack.request == request[:16]
    assert not client.waiting()


def test_no_ack_unless_asked_for(client):
    """Bug: an ack that was not asked for fills the receive buffer."""
    assert client.echo(b"payload").kind == ECHO
    assert not client.waiting()


# Errors.


@pytest.mark.parametrize("kind", [HELLO_REPLY, 0x7FFF, UNKNOWN, 0xFFFF])
def test_unknown_type_is_refused(client, kind):
    """Bug: the module sends no error, or its error does not quote the request."""
    for flags in (NLM_F_REQUEST, NLM_F_REQUEST | NLM_F_ACK, NLM_F_REQUEST | NLM_F_DUMP):
        request = pack(kind, b"what is this", seq=5, flags=flags)
        client.send(request)
        ack = client.ack()
        assert (ack.seq, ack.pid, ack.errno) == (5, client.portid, errno.EOPNOTSUPP)
        assert ack.request == request and not ack.attributes
        assert not client.waiting()


@pytest.mark.smoke
def test_extended_ack_names_the_trouble_if_enabled(client):
    """Bug: a client that has enabled extended acks gets none, or a client that has not enabled them gets
    one."""
    request = pack(UNKNOWN, b"what is this", seq=5)
    for on in (1, 0, 1):
        client.option(NETLINK_EXT_ACK, on)
        client.send(request)
        ack = client.ack()
        assert (ack.errno, ack.request) == (errno.EOPNOTSUPP, request)
        assert bool(ack.flags & NLM_F_ACK_TLVS) == bool(on)
        if on:
            text = ack.attributes[NLMSGERR_ATTR_MSG]
            assert text.endswith(b"\0") and b"type" in text
        else:
            assert ack.attributes == {}


def test_capped_errors_leave_the_request_out(client):
    """With NETLINK_CAP_ACK, an error quotes only the header of the request, with and without an extended
    ack."""
    client.option(NETLINK_CAP_ACK)
    for extended in (0, 1):
        client.option(NETLINK_EXT_ACK, extended)
        request = pack(UNKNOWN, b"long" * 100, seq=6)
        client.send(request)
        ack = client.ack()
        assert ack.flags & NLM_F_CAPPED and ack.request == request[:16]
        assert bool(ack.attributes.get(NLMSGERR_ATTR_MSG)) == bool(extended)


def test_each_message_has_its_own_extended_ack(client):
    """Bug: the extended ack of one message appears in the answer to another."""
    client.option(NETLINK_EXT_ACK)
    client.send(pack(UNKNOWN, seq=1) + pack(ECHO, seq=2, flags=NLM_F_REQUEST | NLM_F_ACK))
    assert client.ack().attributes[NLMSGERR_ATTR_MSG]
    assert client.receive().kind == ECHO
    assert client.ack().attributes == {}


# Clients of the old netlink demo ("hello kernel").


@pytest.mark.smoke
def test_hello_of_the_old_demo():
    """The old client sends text in a zeroed buffer of 1024 bytes, with type 0 and flags 0. The message comes
    back with type 23."""
    with Client(portid=os.getpid()) as client:
        payload = b"Hello you!\0".ljust(1024, b"\0")
        client.send(pack(HELLO, payload, flags=0, seq=0, pid=os.getpid()))
        reply = client.receive()
        assert (reply.kind, reply.seq, reply.flags) == (HELLO_REPLY, 0, 0)
        assert reply.payload == payload
        assert not client.waiting()


def test_hello_keeps_payload_and_sequence_number(client):
    """Bug: the reply has type DONE and sequence number 0."""
    for size in (0, 1, 5, 1024, BOUNDARY, 100_001):
        payload = random.Random(size).randbytes(size)
        reply = client.echo(payload, kind=HELLO, flags=0, seq=size + 3, pid=1)
        assert (reply.kind, reply.seq, reply.payload) == (HELLO_REPLY, size + 3, payload)
        assert reply.pid == client.portid
        assert not client.waiting()


def test_type_0_with_any_flag_is_not_echoed(client):
    """Types below 16 belong to netlink. So the module answers type 0 only in the form of the old demo,
    without flags."""
    for bit in range(16):
        client.send(pack(HELLO, b"hello", seq=7, flags=1 << bit))
        answers = [netlink.ack(reply)[:4:3] for reply in client.drain()]
        assert answers == ([(7, 0)] if 1 << bit == NLM_F_ACK else []), f"flag {1 << bit:#x}"


# Clients that behave badly, and many clients at the same time.


@pytest.mark.parametrize("request_", [
    pack(ECHO, b"x" * 4000),
    pack(ECHO, b"x" * 60_000),
    pack(ECHO, b"x" * 100, flags=NLM_F_REQUEST | NLM_F_ACK) * 100,
    pack(HELLO, b"x" * 4000, flags=0),
    pack(UNKNOWN, b"x" * 4000),
    pack(NLMSG_NOOP, flags=NLM_F_ACK) * 100,
], ids=["echo", "big", "batch-ack", "hello", "error", "ack"])
def test_client_that_never_reads(client, request_):
    """Bug: the module sends a reply with a blocking unicast. The module runs within the client's send(), so a
    client that does not read would wait for itself for ever."""
    with Client() as deaf:
        poll = select.poll()
        poll.register(deaf.socket, select.POLLERR)
        slowest = 0.0
        sends = 0
        while not poll.poll(0):
            assert sends < 20_000, "its receive buffer never fills"
            sends += 1
            start = time.monotonic()
            deaf.send(request_)
            slowest = max(slowest, time.monotonic() - start)
        for _ in range(20):
            start = time.monotonic()
            deaf.send(request_)
            slowest = max(slowest, time.monotonic() - start)
        assert slowest < DEADLINE, "sending waits for the reader"

        assert_works(client)

        # The client gets the error ENOBUFS once. When it has read the replies that arrived, it is served
        # again.
        with pytest.raises(OSError) as failure:
            deaf.socket.recv(1 << 17)
        assert failure.value.errno == errno.ENOBUFS
        assert deaf.drain()
        assert_works(deaf)


def test_batch_that_overflows_the_receive_buffer():
    """If the receive buffer gets full during a batch, the replies that fit arrive in order, and nothing
    hangs."""
    with Client() as client:
        client.send(b"".join(pack(ECHO, bytes(80), seq=i) for i in range(2000)))
        with pytest.raises(OSError) as failure:
            client.socket.recv(1 << 17)
        assert failure.value.errno == errno.ENOBUFS
        numbers = [reply.seq for reply in client.drain()]
        assert numbers == list(range(len(numbers))) and 0 < len(numbers) < 2000
        assert_works(client)


def _available():
    with open("/proc/meminfo", encoding="ascii") as table:
        return {line.split(":")[0]: int(line.split()[1]) << 10 for line in table}["MemAvailable"]


@pytest.mark.parametrize("reads", [True, False])
def test_memory_is_given_back(reads):
    """Bug: a reply is freed twice, or never, after it was sent or could not be sent."""
    request = pack(ECHO, bytes(60_000))
    with Client() as client:
        before = _available()
        for _ in range(2000):
            client.send(request)
            if reads:
                client.receive()
    # If no reply were freed, at least 120 MB would be missing.
    assert before - _available() < 40 << 20


def _echo_much(seed, count):
    source = random.Random(seed)
    with Client(buffers=BIG) as client:
        for number in range(count):
            size = source.choice((source.randrange(64), source.randrange(4096),
                                  source.randrange(70_000)))
            payload = source.randbytes(size)
            reply = client.echo(payload, seq=number, pid=source.randrange(1 << 32))
            assert (reply.kind, reply.seq, reply.pid) == (ECHO, number, client.portid)
            assert reply.payload == payload
        assert not client.waiting()
    return count


def test_8_processes_echo_at_once(start):
    """Bug: requests of several processes use shared state without a lock. Every byte of their replies is
    checked."""
    workers = [start(_echo_much, seed, 100) for seed in range(8)]
    assert [worker.result() for worker in workers] == ["100"] * 8


@pytest.mark.all_cpus
def test_8_threads_echo_at_once():
    """Bug: requests of several threads use shared state without a lock. Each thread has a socket and a portid
    of its own."""
    failures = []

    def work(seed):
        try:
            _echo_much(seed, 40)
        except BaseException as failure:  # pylint: disable=broad-exception-caught
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


@pytest.mark.all_cpus
def test_8_threads_share_one_socket(client):
    """Bug: requests that several threads send through one socket use shared state without a lock."""
    def work(first):
        for number in range(first, first + 50):
            client.send(pack(ECHO, struct.pack("=I", number) * (number % 50), seq=number))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    replies = client.drain()
    assert sorted(reply.seq for reply in replies) == list(range(400))
    for reply in replies:
        assert reply.payload == struct.pack("=I", reply.seq) * (reply.seq % 50)


# Namespaces and privilege.


def test_every_namespace_has_its_socket(client, namespaces):
    """Bug: only `init_net` is served, or a reply goes to another namespace's socket with the same portid."""
    one, two = namespaces(), namespaces()
    portid = 0x12345678
    with one.client(portid=portid) as first, two.client(portid=portid) as second, \
            Client(portid=portid) as third:
        everybody = (first, second, third)
        for sender in everybody:
            sender.send(pack(ECHO, b"mine"))
            assert [one for one in everybody if one.waiting()] == [sender]
            assert sender.receive().payload == b"mine"
        assert_works(first)
        assert_works(second)


def test_socket_serves_its_own_namespace_wherever_it_is_used(client, namespaces):
    """Bug: the module uses the namespace of the sending process instead of the socket's namespace."""
    namespace = namespaces()
    with namespace.client() as inside:
        assert_works(inside)
        with namespace:
            assert_works(client)


def _as_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    assert os.getuid() != 0
    with Client() as client:
        payload = random.Random(5).randbytes(100_000)
        assert client.echo(payload).payload == payload
        client.send(pack(UNKNOWN))
        assert client.ack().errno == errno.EOPNOTSUPP
        assert client.echo(b"hello", kind=HELLO, flags=0).kind == HELLO_REPLY
        # The kernel refuses messages from unprivileged users to the sockets of clients. Clients rely on this
        # rule when they trust a sender's address.
        with pytest.raises(PermissionError):
            client.socket.sendto(pack(ECHO), (client.portid, 0))


def test_unprivileged_user_can_echo(start):
    """Echo needs no capability. A user without capabilities cannot write to sockets of other users."""
    start(_as_nobody).result()


def test_messages_of_other_users_show_where_they_come_from(client):
    """Bug: a client mistakes a message of another user for an answer. Only messages from the kernel have
    source portid 0."""
    assert_works(client)
    with Client() as forger:
        forged = pack(ECHO, b"forged", seq=1, pid=client.portid)
        forger.socket.sendto(forged, (client.portid, 0))
        data, source = client.socket.recvfrom(1 << 16)
        assert data == forged and source[0] == forger.portid != 0
        assert_works(client)


def test_broadcast_is_refused_or_harmless(client):
    """A message to a multicast group also reaches the kernel, and is served once."""
    client.socket.sendto(pack(ECHO, b"to a group"), (0, 1))
    assert client.receive().payload == b"to a group"
    assert_works(client)
