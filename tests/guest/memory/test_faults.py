# SPDX-License-Identifier: GPL-2.0

"""Each allocation of the module fails once. Then the module must report an error and leave nothing behind,
and the next attempt must work."""

import contextlib
import ctypes
import errno
import os
import signal
import socket
import struct
import time

import pytest

import module as modules
from control import Control, Monitor, Refused
from drop_monitor import DropMonitor
from faults import ANYWHERE, Faults, contiguous_pages
from module import is_loaded, remove
from netlink import (
    ECHO,
    HELLO,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    SO_RCVBUFFORCE,
    SO_SNDBUFFORCE,
    Client,
    ack,
    has_kernel_socket,
    pack,
    sockets,
    wait_until,
)
from network import Namespace, Pinger, pinned
from uapi import NLDEMO_MSG_STATS_GET
from workers import TIME_LIMIT, Stop, Worker

# The errors that a client can get if an allocation for its request fails. An error is in the answer, or if
# there is no answer, a call of the client's socket returns it.
NO_MEMORY = (errno.ENOMEM, errno.ENOBUFS)
BIG = 8 << 20
SO_ATTACH_FILTER, BPF_RET = 26, 6


@pytest.fixture
def faults():
    with Faults() as faults:
        yield faults


@pytest.fixture
def client(module):
    with Client(buffers=BIG) as client:
        yield client


@pytest.mark.parametrize("size, kind, flags, count, least", [
    (64, ECHO, NLM_F_REQUEST, 1, 1),
    (64, ECHO, NLM_F_REQUEST | NLM_F_ACK, 1, 3),
    (64, HELLO, 0, 1, 1),
    (200_000, ECHO, NLM_F_REQUEST | NLM_F_ACK, 1, 4),
    (100, ECHO, NLM_F_REQUEST, 20, 40),
    (10, 0x7FFF, NLM_F_REQUEST, 1, 2),
], ids=["echo", "acknowledged", "hello", "large", "batch", "refused"])
def test_echo(client, faults, size, kind, flags, count, least):
    """Bug: the module uses a reply that it could not allocate, or the client waits for a reply that never
    comes."""
    payload = os.urandom(size)
    requests = [pack(kind, payload, flags=flags, seq=seq) for seq in range(1, count + 1)]
    answers_of_one = 2 if flags & NLM_F_ACK else 1

    def attempt():
        client.send(b"".join(requests))

    def check(error):
        assert error is None, error
        answers, told = [], 0
        while client.waiting():
            try:
                answers.append(client.receive())
            except OSError as failure:
                assert failure.errno in NO_MEMORY, failure
                told += 1
        failed = 0
        for answer in answers:
            assert 1 <= answer.seq <= count
            if answer.kind == NLMSG_ERROR and (code := ack(answer).errno):
                assert code in NO_MEMORY or kind == 0x7FFF and code == errno.EOPNOTSUPP
                failed += code in NO_MEMORY
            elif answer.kind != NLMSG_ERROR:
                assert answer.payload == payload
        # A client that misses a reply gets an error. Only HELLO is an exception: the old "hello kernel"
        # clients send HELLO, and expect no errors.
        missing = count * answers_of_one - len(answers)
        assert missing <= 1 and failed + told <= 1
        assert not missing or failed + told == 1 or kind == HELLO
        assert client.echo(b"next").payload == b"next"

    assert faults.one_by_one(attempt, check) >= least


def test_configuration(module, namespaces, faults):
    """Bug: if an allocation fails while the configuration is set, only some of the hook points change, or a
    listener gets neither the event nor an error."""
    place = namespaces()
    with place:
        control, monitor = Control(), Monitor(buffers=BIG)
    values = {"hooks": 2, "priority": 5, "queue": 7}
    usual = control.settings()
    hooks = place.hooks(modules.NAME)
    missed = refused = 0

    def attempt():
        control.set(**values)

    def check(error):
        nonlocal missed, refused
        if error:
            # If only the acknowledgement could not be allocated, the configuration has changed in spite of
            # the error.
            assert error.errno in NO_MEMORY, error
            if isinstance(error, Refused):
                refused += 1
                assert control.settings() == usual
                assert place.hooks(modules.NAME) == hooks
        changed = control.config()
        if changed["queue"] == 7:
            assert len(place.hooks(modules.NAME)) == 2
            try:
                (event,) = monitor.events()
                assert event == ("config", changed)
            except OSError as lost:
                assert lost.errno == errno.ENOBUFS
                missed += 1
        else:
            assert not monitor.waiting()
        control.set(**{name: usual[name] for name in values})
        monitor.events()

    assert faults.one_by_one(attempt, check) >= 5
    assert missed >= 1 and refused >= 4
    for client in (control, monitor):
        client.close()


def test_dump(module, faults):
    """Bug: a dump that failed to start keeps its references to the module's objects."""
    with Control(buffers=BIG) as control:
        rows = control.per_cpu()

        def check(error):
            if error:
                assert error.errno in NO_MEMORY, error
            while control.waiting():
                control.receive()
            assert len(control.per_cpu()) == len(rows)

        assert faults.one_by_one(control.per_cpu, check) >= 2


def test_network_namespace(module, faults, namespaces):
    """Bug: if an allocation for a new namespace fails, the module does not free the memory that it has
    already allocated for this namespace."""
    namespaces()

    def check(error):
        if error:
            assert error.errno == errno.ENOMEM, error
        namespace = made.pop() if made else Namespace()
        with namespace, Client() as client, Pinger(namespace, "127.0.0.1") as pinger:
            assert client.echo(b"next").payload == b"next"
            pinger.ping()
        namespace.close()

    made = []
    assert faults.one_by_one(lambda: made.append(Namespace()), check) >= 5


def test_loading(load, faults, namespaces):
    """Bug: if memory is missing for one namespace, the module's registrations in other namespaces stay. They
    would make the next attempt to load fail earlier, but each attempt must get further than the one
    before."""
    place = namespaces()
    taken = 0

    def check(error):
        nonlocal taken
        if error:
            # If the first kernel socket cannot be made, the kernel does not say why, and the module reports
            # EADDRINUSE.
            assert error.errno in (errno.ENOMEM, errno.EADDRINUSE), error
            taken += error.errno == errno.EADDRINUSE
            assert not is_loaded()
        with place, Pinger(place, "127.0.0.1") as pinger:
            assert has_kernel_socket() == (not error)
            # If a hook were left, it would run code that is unloaded.
            pinger.ping()
            if not error:
                with Client() as client:
                    assert client.echo(b"loaded").payload == b"loaded"
        if not error:
            remove()

    failed = faults.one_by_one(load, check)
    assert failed >= 20 and taken < failed // 3


def test_packets_need_no_memory_of_ours(load, faults, loopback):
    """Bug: the module allocates memory for each packet, so packets are lost if an allocation fails."""
    load(hooks=31, bypass=0)
    with loopback.near, socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        packets = [b"\x08\0\xf7\xff" + bytes(4)] * 3

        def attempt():
            for packet in packets:
                raw.sendto(packet, ("127.0.0.1", 0))

        assert faults.one_by_one(attempt, lambda error: None) == 0


@contextlib.contextmanager
def before_kernel_threads():
    """Keeps the calling thread on one CPU, with real-time priority. Kernel threads on this CPU run only while the
    calling thread sleeps."""
    with pinned():
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        try:
            yield
        finally:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.mark.parametrize("size", [16_000, 30_000, 60_000])
def test_replies_need_no_contiguous_memory(client, size):
    """Bug: a reply needs contiguous pages. If memory is fragmented, their allocation fails, or the kernel
    kills a process to get them."""
    payload = os.urandom(size)
    with Faults(100, kinds=contiguous_pages()):
        # The unread replies need more memory than the allocator holds free in advance.
        for seq in range(0, 40, 2):
            # Two requests are in one buffer, so the module cannot send this buffer back, and must allocate
            # both replies.
            client.send(pack(ECHO, payload, seq=seq) + pack(ECHO, payload, seq=seq + 1))
        for seq in range(40):
            reply = client.receive()
            assert (reply.kind, reply.seq, reply.payload) == (ECHO, seq, payload)


def test_request_in_memory_of_vmalloc(client):
    """Bug: the module sends a request of a little more than a page back in its own buffer, although the
    buffer's memory comes from vmalloc(). When the last clone of the buffer is freed, the kernel frees this
    memory with kfree().

    The client's socket refuses the reply, and the drop monitor keeps a clone of it. A kernel thread frees
    this clone later than the kernel frees the request. So the clone is the last one.
    """
    refuse_all = ctypes.create_string_buffer(struct.pack("=HBBI", BPF_RET, 0, 0, 0))
    client.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                             struct.pack("HxxxxxxP", 1, ctypes.addressof(refuse_all)))
    survived = 0

    def check(error):
        nonlocal survived
        if error:
            assert error.errno in NO_MEMORY, error
        else:
            survived += 1

    for size in (3_800, 4_000, 8_000):
        request = pack(ECHO, bytes(size))
        with DropMonitor(), Faults(within=ANYWHERE) as faults, before_kernel_threads():
            # The allocation of the request's buffer by kmalloc() is one of those that fail. Then the kernel
            # uses vmalloc().
            assert faults.one_by_one(lambda: client.send(request), check) >= 2
    assert survived > 3
    assert not client.waiting()


# Loads that fail while a program has a socket open.

# The number of namespaces, and the number of the first allocation that may fail. Before this allocation many
# namespaces are set up, so a program has time to open a socket in the initial namespace. After it, the last
# namespace is set up.
MANY, LATE = 10, 250


def early(ready, function, *arguments):
    """Opens a client as soon as the module has a kernel socket, and calls `function(client, ready, ...)`.
    `function` sets `ready` when it is ready for the failure of the load. Then it waits until the test lets it go
    on: if it returned at once, the load could be over before the test has seen that it waits. Returns the result
    of `function`, or None if the kernel socket was gone before `function` had used it."""
    deadline = time.monotonic() + TIME_LIMIT
    while True:
        try:
            client = Client()
            break
        except OSError:
            assert time.monotonic() < deadline, "no socket before the load was over"
    with client:
        try:
            return function(client, ready, *arguments)
        except ConnectionRefusedError:
            return None


def load_with_fault(number):
    """Loads the module while one allocation fails. Returns the error. Returns None if the load succeeds,
    because the kernel can do without some allocations."""
    with Faults() as faults:
        faults.fail(number)
        try:
            modules.insert(os.environ["NLDEMO_KO"], "hooks=31")
        except OSError as error:
            return error.errno
        finally:
            faults.fail(0)
    return None


@pytest.fixture
def loading(load, namespaces, kernel_log):
    """Starts two workers. The first opens an early client and calls a function with it. The second loads the
    module, and the load fails. Returns both workers at the moment when the failed load waits for the client
    to close its socket."""
    def waits():
        # When the module logs this line, it has detached all namespaces.
        return sum("waiting for programs to close their sockets" in line for line in kernel_log.lines)

    def attempt(number, function, *arguments):
        before, ended = waits(), None
        with Stop() as ready:
            client = Worker(early, ready, function, *arguments)
            loader = Worker(load_with_fault, number)
            workers.extend((client, loader))

            def settled():
                nonlocal ended
                ended = ended or loader.check()
                return ended or waits() > before

            wait_until(settled)
            if not ended:
                wait_until(lambda: ready.is_set() or client.check())
                if ready.is_set():
                    return client, loader
        # On a busy machine the client came too late, or the load succeeded without this allocation.
        client.kill()
        if not ended:
            loader.result()
        if is_loaded():
            remove()
        return None

    def loading(function, *arguments):
        for _ in range(MANY):
            namespaces()
        for number in range(LATE, LATE + 100):
            if both := attempt(number, function, *arguments):
                return both
        raise AssertionError("no load failed in time")

    workers = []
    yield loading
    for worker in workers:
        worker.kill()


def has_open_dump(client):
    """Whether the kernel has begun a dump for the client and not ended it (`Dump` in /proc/net/netlink)."""
    return sockets()[client.portid]["Dump"] == "1"


def leave_a_dump_open(client, ready, going):
    """Starts a dump, and continues it when `going` is set.

    Unread replies fill the receive buffer, so the first part of the dump does not fit. The dump waits until
    the client reads.
    """
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for _ in range(3):
        client.send(pack(ECHO, bytes(1500)))
    try:
        client.send(pack(NLDEMO_MSG_STATS_GET, flags=NLM_F_REQUEST | NLM_F_DUMP))
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise
    # On a busy machine, the failed load may have ended the instance before the request came.
    if not has_open_dump(client):
        return None
    ready.set()
    assert going.wait(TIME_LIMIT)
    return read_the_rest(client)


def read_the_rest(client):
    """Reads all waiting messages, which continues the dump. Returns how the dump ended."""
    while client.waiting():
        try:
            message = client.receive()
        except OSError as error:
            # The socket reports ENOBUFS once, for messages that did not fit. Any other error is the end of
            # the dump.
            if error.errno != errno.ENOBUFS:
                return errno.errorcode[error.errno]
        else:
            if message.kind == NLMSG_DONE:
                return errno.errorcode[-struct.unpack_from("=i", message.payload)[0]]
    return None


def test_failed_load_with_a_dump_open(loading, load):
    """Bug: a dump continues after its instance is gone. Or the dump keeps its request, whose memory is
    charged to a kernel socket that is already freed.
    """
    with Stop() as going:
        client, loader = loading(leave_a_dump_open, going)
        going.set()
        assert client.result() == repr("ESHUTDOWN")
        assert loader.result() == repr(errno.ENOMEM)
    assert not is_loaded()
    load()
    with Client() as client:
        assert client.echo(b"loaded").payload == b"loaded"


def send_many(client, ready, going, count):
    """Sends `count` requests in one buffer, and keeps the socket open until `going` is set. Returns the number
    of answers, or None if the module answered nothing."""
    client.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 28)
    client.socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 28)
    client.send(pack(ECHO, b"") * count)
    # On a busy machine, the failed load may have ended the instance before the batch came.
    if not client.waiting():
        return None
    ready.set()
    assert going.wait(TIME_LIMIT)
    return len(client.drain())


def test_batch_ends_with_its_socket(loading):
    """Bug: after the module has taken its kernel socket down, it still replies to all requests in a client's
    buffer. Then the failed load waits for minutes until the last request is served.
    """
    count = 20_000
    with Stop() as going:
        client, loader = loading(send_many, going, count)
        going.set()
        assert 0 < int(client.result()) < count
        assert loader.result() == repr(errno.ENOMEM)
    assert not is_loaded()


def keep_open(_client, ready, going):
    ready.set()
    assert going.wait(TIME_LIMIT)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_signal_ends_the_wait_for_a_program(loading, load, kernel_log, signum):
    """Bug: no signal ends a loader that waits until a program closes its socket.

    After the signal the module stays loaded, because the program's socket uses its code, but it serves
    nothing.
    """
    with Stop() as going:
        client, loader = loading(keep_open, going)
        loader.kill(signum)
        assert is_loaded()
        assert any("serves nothing" in line for line in kernel_log.of_module())
        assert not has_kernel_socket()
        with pytest.raises(OSError) as failure:
            Client()
        assert failure.value.errno == errno.EPROTONOSUPPORT
        with pytest.raises(BlockingIOError):
            remove()
        going.set()
        client.result()
    remove()
    load()
    with Client() as client:
        assert client.echo(b"loaded").payload == b"loaded"
