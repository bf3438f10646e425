# SPDX-License-Identifier: GPL-2.0

"""Functions that workers run: clients, pings and listeners that continue when the module is unloaded."""

import errno
import os
import random
import re
import socket

from netlink import HELLO, HELLO_REPLY, Client
from network import Pinger
from nfqueue import ACCEPT, Listener


class Here:
    """The namespace of the calling thread, for functions that need a `Namespace`."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    socket = staticmethod(socket.socket)


def ping_and_echo(size=100):
    """Sends echo messages to the module, and a ping, in the namespace of the calling thread. The module must be
    loaded."""
    with Client() as client:
        payload = os.urandom(size)
        assert client.echo(payload).payload == payload
        reply = client.echo(payload, kind=HELLO, flags=0)
        assert (reply.kind, reply.payload) == (HELLO_REPLY, payload)
    with Here() as here, Pinger(here, "127.0.0.1") as pinger:
        pinger.ping()


def keep_echoing(seed, stop):
    """Opens a socket and lets the module echo a message, again and again. While the module is not loaded, each
    attempt counts as refused."""
    source = random.Random(seed)
    done = refused = 0
    while not stop.is_set():
        try:
            client = Client()
        except OSError as error:
            assert error.errno == errno.EPROTONOSUPPORT, error
            refused += 1
            continue
        with client:
            payload = source.randbytes(source.randrange(5000))
            try:
                assert client.echo(payload).payload == payload
                done += 1
            except ConnectionRefusedError:
                # The module has registered its netlink protocol, but this namespace has no kernel socket yet, or
                # no longer has it.
                refused += 1
        # While this process has a socket, the module cannot be unloaded. Here this process has no socket. So it lets
        # a process run that waits to unload the module.
        os.sched_yield()
    return done, refused


def keep_pinging(stop, namespace=None):
    """Sends pings while no program listens to the queue. Each ping must be answered, whether the module is loaded
    or not."""
    if namespace:
        os.setns(namespace.fd, os.CLONE_NEWNET)
    done = 0
    with Pinger(Here(), "127.0.0.1") as pinger:
        while not stop.is_set():
            pinger.ping(done & 0x7FFF, size=done % 3000)
            done += 1
    return done


def keep_flooding(namespace, stop):
    """Sends pings as fast as possible. Some may be lost. Returns the number of pings and the number
    of replies."""
    os.setns(namespace.fd, os.CLONE_NEWNET)
    sent = received = 0
    with Pinger(Here(), "127.0.0.1") as pinger:
        pinger.socket.setblocking(False)
        while not stop.is_set():
            for _ in range(20):
                sent += 1
                try:
                    pinger.send(sent & 0xFFFF)
                except (BlockingIOError, OSError) as error:
                    assert error.errno in (errno.EAGAIN, errno.ENOBUFS, errno.EPERM), error
            received += len(pinger.replies())
    return sent, received


def keep_accepting(namespace, stop):
    """Listens to a queue and accepts its packets. Returns the number of accepted packets and the number of errors."""
    os.setns(namespace.fd, os.CLONE_NEWNET)
    decided = gone = 0
    with Listener() as listener:
        while not stop.is_set():
            try:
                packet = listener.receive(timeout=0.05)
            except TimeoutError:
                continue
            except OSError as error:
                # ENOENT: the kernel dropped the packet when the module removed the hook. ENOBUFS: the packet had
                # no room in the socket's buffer.
                assert error.errno in (errno.ENOENT, errno.ENOBUFS), error
                gone += 1
                continue
            listener.decide(packet, ACCEPT)
            decided += 1
    return decided, gone


def counts(worker):
    return [int(number) for number in re.findall(r"\d+", worker.result())]
