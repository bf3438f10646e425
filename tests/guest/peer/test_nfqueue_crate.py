# SPDX-License-Identifier: GPL-2.0

"""The examples of the crate nfnetlink-queue read the module's queue. They are programs as users of the crate
would write them."""

import os
import re
import select
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

import nfqueue
from checkout import CHECKOUT
from control import Control
from netlink import DEADLINE, SO_SNDBUFFORCE, wait_until
from network import ICMP_ECHO_REQUEST, icmp
from program import Program

pytestmark = pytest.mark.all_cpus

EXAMPLES = Path(os.environ.get("NLDEMO", CHECKOUT / "build" / "nldemo")).parent / "examples"

# The first byte of an echo request's data is its sequence number. Each byte is one higher than the byte
# before. So the data is "abcdefgh" (with the secret word) or "ABCDEFGH" (without it).
SECRET = "efgh"
SECRET_SEQ, OTHER_SEQ, SIZE = ord("a"), ord("A"), 8


class Example(Program):
    """A running example. Its output is kept."""

    def __init__(self, name, *arguments, **environment):
        program = EXAMPLES / name
        assert program.exists(), f"{program}: not built"
        super().__init__([program, *arguments], stderr=subprocess.STDOUT,
                         env={**os.environ, **environment})

    def says(self, words):
        """Waits until the program has printed these words."""
        self.wait_for(words.encode())

    def interrupt(self):
        """Ends the program by SIGINT. The program must exit with success. Returns its output. A paused program
        has got the signal when it goes on."""
        self.signal(signal.SIGINT)
        self.go_on()
        output, _ = self.process.communicate(timeout=DEADLINE)
        said = (self._output + output).decode()
        assert self.process.returncode == 0, said
        return said


@pytest.fixture
def example(load):
    """Starts an example in a network namespace, and waits until it has bound queue 0."""
    running = []

    def example(namespace, *arguments, **environment):
        with namespace:
            running.append(Example(*arguments, **environment))

            def is_ready():
                assert running[-1].process.poll() is None, running[-1].process.stdout.read()
                return nfqueue.copy_modes().get(0) == nfqueue.NFQNL_COPY_PACKET

            wait_until(is_ready)
        return running[-1]

    yield example
    for program in running:
        program.close()


@pytest.fixture
def no_buffers(preloaded, tmp_path):
    """Returns an environment in which two of three sends of verdicts fail. After the test, at least one send
    must have failed."""
    failed = tmp_path / "failed"
    yield {**preloaded("no_buffers"), "NO_BUFFERS_FAILED": str(failed)}
    assert failed.exists(), "no send has failed"


def drops_the_secret_alone(link, rounds):
    """Pings without the secret word get their replies, each once and in order. Pings with the secret word get
    none."""
    with link.pinger() as pinger:
        for _ in range(rounds):
            pinger.send(SECRET_SEQ, SIZE)
            pinger.ping(OTHER_SEQ, SIZE)
            link.settle()
            assert not pinger.replies()
    with link.far:
        assert nfqueue.statistics()[0] == (0, 0, 0)
        # All packets went through the example's queue.
        assert nfqueue.last_ids()[0] >= 2 * rounds


def test_example_of_nfq_ported(module, link, example):
    """The example accepts every packet."""
    program = example(link.far, "nfq_readme")
    with link.pinger() as pinger:
        for seq in range(5):
            pinger.ping(seq, seq * 300)
    assert program.process.poll() is None
    with link.far:
        assert nfqueue.last_ids()[0] == 5


def test_print(module, link, example):
    program = example(link.far, "print")
    with link.pinger() as pinger:
        pinger.ping(7, 100)
    program.says("#1 prerouting 192.0.2.1 > 192.0.2.2 icmp, 128 bytes")
    program.says("link_header: None")


@pytest.mark.parametrize("name", ["drop_by_content", "async"])
def test_drop_by_content(module, link, example, name):
    program = example(link.far, name, SECRET)
    drops_the_secret_alone(link, 20)
    assert program.process.poll() is None


@pytest.mark.parametrize("name", ["drop_by_content", "async"])
def test_no_text_at_all(module, link, example, name):
    """Bug: with an empty text as its argument, the program panics at the first packet."""
    program = example(link.far, name, "")
    with link.pinger() as pinger:
        pinger.ping(1, 100)
    assert program.process.poll() is None


def test_rewrite(module, link, example):
    example(link.far, "rewrite", "other data")
    with link.far, Control() as control:
        control.set(ipv4={ICMP_ECHO_REQUEST})
    with link.pinger() as pinger:
        rest = struct.pack(">HH", pinger.ident, 1)
        pinger.socket.send(icmp(ICMP_ECHO_REQUEST, rest=rest, data=b"data"))
        assert select.select([pinger.socket], [], [], DEADLINE)[0]
        assert pinger.socket.recv(2000)[28:] == b"other data"


@pytest.mark.parametrize("failing", [False, True], ids=["sent", "failing"])
def test_stream_delays_packets_in_their_order(module, link, example, request, failing):
    """The example reads packets as a stream, delays each packet, and collects verdicts for some time before
    it sends them. After the last packets nothing else happens, so the end of this time alone must make the
    example send."""
    example(link.far, "delay", "200", **(request.getfixturevalue("no_buffers") if failing else {}))
    with link.pinger() as pinger:
        for burst in range(2):
            start = time.monotonic()
            for seq in range(100):
                pinger.send(burst * 100 + seq)
            assert [pinger.reply() for _ in range(100)] == [burst * 100 + seq for seq in range(100)]
            assert time.monotonic() - start >= 0.2
    with link.far:
        assert nfqueue.statistics()[0] == (0, 0, 0)


@pytest.mark.parametrize("name", ["drop_by_content", "async"])
def test_verdicts_survive_that_they_cannot_be_sent(module, link, example, no_buffers, name):
    """Bug: a consumer ends when it gets ENOBUFS, or a verdict is lost if its send fails."""
    program = example(link.far, name, SECRET, **no_buffers)
    drops_the_secret_alone(link, 10)
    assert program.process.poll() is None
    if name == "async":
        # "gone: 0": the kernel got no verdict on a packet that was gone. So no verdict was sent twice.
        said = program.interrupt()
        assert "flushed: 0, unsent: 0, gone: 0, refused: 0, malformed: 0" in said, said


def test_async_survives_a_full_socket(module, loopback, example):
    """Bug: a consumer ends when it gets ENOBUFS. Here the socket's receive buffer is full, but the queue is
    not."""
    with loopback.near, Control() as control:
        control.set(ipv4={ICMP_ECHO_REQUEST})
    program = example(loopback.near, "async", "what nobody sends")
    with loopback.pinger() as pinger:
        pinger.socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 64 << 20)
        program.pause()
        request = icmp(ICMP_ECHO_REQUEST, data=bytes(60_000))
        for _ in range(100):
            pinger.socket.send(request)
        loopback.settle()
        with loopback.near:
            waiting, full, lost = nfqueue.statistics()[0]
        assert 0 < waiting < 100 and (full, lost) == (0, 100 - waiting)
        program.go_on()
        pinger.ping(20)
    said = program.interrupt()
    assert f"lost: Some(KernelLosses {{ queue_full: 0, socket_full: {lost} }})" in said, said


def test_async_gives_the_queue_back_when_it_is_interrupted(module, link, example):
    """An interrupt before the first packet ends the program, and unbinds the queue."""
    program = example(link.far, "async", SECRET)
    said = program.interrupt()
    assert "flushed: 0" in said, said
    with link.far:
        assert not nfqueue.is_bound(0)


def test_async_counts_the_packets_that_it_leaves(module, link, example):
    """Bug: an `AsyncQueue` that is closed does not unbind its queue, or forgets the packets that wait in it."""
    program = example(link.far, "async", "what nobody sends")
    with link.pinger() as pinger:
        program.pause()
        for seq in range(100):
            pinger.send(seq)
        link.settle()
        with link.far:
            assert nfqueue.statistics()[0][0] == 100
        # The interrupt and the packets are there when the program goes on. The program takes them in a random
        # order, so it decides some packets before it ends.
        said = program.interrupt()
        assert "unsent: 0, gone: 0, refused: 0, malformed: 0" in said, said
        flushed = int(re.search(r"flushed: (\d+)", said)[1])
        assert flushed
        for seq in range(100 - flushed):
            assert pinger.reply() == seq
        link.settle()
        assert not pinger.replies()
