# SPDX-License-Identifier: GPL-2.0

"""Traffic that the module must not touch. Each test is named after its traffic. Most tests record the traffic
with and without the module, and compare both records. The module queues at all hook points, without bypass: a
packet that it queued by mistake would be lost."""

import contextlib
import errno
import select
import socket
import struct
import threading
from pathlib import Path

import pytest

from control import Control
from family import IPV6, Echo
from ipv6_headers import FRAGMENT, UDP, fragment
from netlink import DEADLINE, wait_until
from network import ICMP_UNREACHABLE, checksum, ipv6
from nfqueue import ACCEPT, LOCAL_IN, LOCAL_OUT, POST_ROUTING, PRE_ROUTING, Listener
from sock_diag import CLOSE_WAIT, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, SockDiag

EVERYWHERE = {"hooks": 31, "bypass": 0}
PACKET_OUTGOING = 4
ETH_P_ALL = 3
FLAGS = "FSRPAUEC"
UDP_CORK = 1
PORT_UNREACHABLE = 3
PARAMETER_PROBLEM, UNKNOWN_OPTION = 4, 2


def outcome(call, *arguments):
    """Returns the result of a call, or the name of its error."""
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


class Wire:
    """Records the TCP segments at the far end of a link."""

    def __init__(self, link):
        self._socket = link.far.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._socket.bind(("veth0", ETH_P_ALL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def segments(self):
        """Returns (sender, flags, bytes) of all segments except pure acknowledgements, whose times vary."""
        found = []
        while select.select([self._socket], [], [], 0)[0]:
            packet, (_, _, direction, *_) = self._socket.recvfrom(1 << 16)
            if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
                continue
            segment = packet[(packet[0] & 0xF) * 4:struct.unpack_from(">H", packet, 2)[0]]
            flags = "".join(flag for bit, flag in enumerate(FLAGS) if segment[13] & 1 << bit)
            size = len(segment) - (segment[12] >> 4) * 4
            if size or flags != "A":
                found.append(("far" if direction == PACKET_OUTGOING else "near", flags, size))
        return found


class Connection:
    """A TCP connection from the near end of a link to the far end."""

    def __init__(self, link):
        self.link = link
        self._listening = link.far.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listening.bind((link.far_address, 0))
        self._listening.listen()
        self.client = link.near.socket(socket.AF_INET, socket.SOCK_STREAM)
        for end in (self._listening, self.client):
            end.settimeout(DEADLINE)
        self.client.connect(self._listening.getsockname())
        self.server, _ = self._listening.accept()
        self.server.settimeout(DEADLINE)
        # The addresses of the client's end and of the server's end.
        self.ends = self.client.getsockname(), self.client.getpeername()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in (self._listening, self.client, self.server):
            end.close()

    def send(self, data):
        """Sends data to the client, and waits until it has arrived. The client need not read it."""
        self.server.sendall(data)
        assert select.select([self.client], [], [], DEADLINE)[0]

    def states(self):
        """The states of the client's end and of the server's end. None for an end that does not exist."""
        found = []
        for namespace, local in ((self.link.near, self.ends[0]), (self.link.far, self.ends[1])):
            with namespace, SockDiag() as diag:
                states = [entry.state for entry in diag.sockets()
                          if entry.local == local and entry.remote in self.ends]
            found.append(states[0] if states else None)
        return found

    def bind_again(self):
        """Binds another socket to the client's port. Returns None, or the name of the error."""
        with self.link.near.socket(socket.AF_INET, socket.SOCK_STREAM) as another:
            return outcome(another.bind, self.ends[0])

    def destroy(self):
        """Destroys the client's end (SOCK_DESTROY)."""
        with self.link.near, SockDiag() as diag:
            return diag.destroy(*self.ends)


def linger(end, seconds):
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, int(seconds)))


# Each of the next functions ends a connection in a way of its own, and checks what both sides see.


def close(tcp):
    """The side that closes first stays in TIME_WAIT, and its port stays in use."""
    tcp.client.sendall(b"request")
    assert tcp.server.recv(100) == b"request"
    tcp.client.close()
    assert tcp.server.recv(100) == b""
    wait_until(lambda: tcp.states() == [FIN_WAIT2, CLOSE_WAIT])
    tcp.server.close()
    wait_until(lambda: tcp.states() == [TIME_WAIT, None])
    assert tcp.bind_again() == "EADDRINUSE"


def close_with_unread_data(tcp):
    """The client closes without reading the server's data, so the server gets a reset."""
    tcp.send(b"unread")
    tcp.client.close()
    assert (outcome(tcp.server.recv, 100), tcp.states()) == ("ECONNRESET", [None, None])


def close_lingering_for_0_s(tcp):
    """With SO_LINGER of 0 s, close() resets the connection immediately, without a FIN."""
    linger(tcp.client, 0)
    tcp.client.close()
    assert (outcome(tcp.server.recv, 100), tcp.states()) == ("ECONNRESET", [None, None])


def close_lingering(tcp):
    """With SO_LINGER, close() returns when the other side has acknowledged all data. Here that happens
    immediately."""
    linger(tcp.client, DEADLINE)
    tcp.client.sendall(b"last words")
    tcp.client.close()
    assert tcp.states() == [FIN_WAIT2, CLOSE_WAIT]
    assert [tcp.server.recv(100), tcp.server.recv(100)] == [b"last words", b""]


def close_lingering_with_unread_data(tcp):
    """close() does not wait, because it resets a connection with unread data."""
    linger(tcp.client, DEADLINE)
    close_with_unread_data(tcp)


def shutdown(tcp):
    """The client shuts down its direction of the connection. The other direction still works."""
    tcp.client.shutdown(socket.SHUT_WR)
    assert tcp.server.recv(100) == b""
    tcp.server.sendall(b"answer")
    tcp.server.shutdown(socket.SHUT_WR)
    assert [tcp.client.recv(100), tcp.client.recv(100)] == [b"answer", b""]
    wait_until(lambda: tcp.states() == [TIME_WAIT, None])


def data_after_close(tcp):
    """The server sends data that no socket can receive any more."""
    tcp.client.close()
    assert tcp.server.recv(100) == b""
    tcp.server.sendall(b"too late")
    tcp.link.settle()
    assert outcome(tcp.server.send, b"again") == "EPIPE"


def destroy(tcp):
    """When the client's end is destroyed (SOCK_DESTROY), both sides get an error, each a different one."""
    assert tcp.states() == [ESTABLISHED, ESTABLISHED] and tcp.destroy() == 0
    assert outcome(tcp.client.recv, 100) == "ECONNABORTED"
    assert outcome(tcp.server.recv, 100) == "ECONNRESET"
    assert tcp.states() == [None, None] and tcp.destroy() == errno.ENOENT


def destroy_with_unread_data(tcp):
    """The client can still read the data that arrived before its end was destroyed."""
    tcp.send(b"unread")
    assert tcp.destroy() == 0
    assert tcp.client.recv(100) == b"unread"
    assert outcome(tcp.client.recv, 100) == "ECONNABORTED"
    assert outcome(tcp.server.recv, 100) == "ECONNRESET"


def destroy_after_shutdown(tcp):
    """The client has shut down its direction of the connection. When the client's end is then destroyed, the
    server can no longer write."""
    tcp.client.shutdown(socket.SHUT_WR)
    assert tcp.server.recv(100) == b""
    # The FIN must be acknowledged first: an acknowledgement after the destruction would cause another reset.
    wait_until(lambda: tcp.states() == [FIN_WAIT2, CLOSE_WAIT])
    assert tcp.destroy() == 0
    assert (outcome(tcp.server.send, b"answer"), tcp.states()) == ("EPIPE", [None, None])


def destroy_in_time_wait(tcp):
    """In TIME_WAIT, SOCK_DESTROY sends nothing, and makes the port free."""
    tcp.client.close()
    assert tcp.server.recv(100) == b""
    tcp.server.close()
    wait_until(lambda: tcp.states() == [TIME_WAIT, None])
    assert tcp.destroy() == 0 and tcp.states() == [None, None]
    assert tcp.bind_again() is None


# The segments that each function must cause, after the handshake.
COURSES = {
    close: [("near", "PA", 7), ("near", "FA", 0), ("far", "FA", 0)],
    close_with_unread_data: [("far", "PA", 6), ("near", "RA", 0)],
    close_lingering_for_0_s: [("near", "RA", 0)],
    close_lingering: [("near", "PA", 10), ("near", "FA", 0), ("far", "FA", 0)],
    close_lingering_with_unread_data: [("far", "PA", 6), ("near", "RA", 0)],
    shutdown: [("near", "FA", 0), ("far", "PA", 6), ("far", "FA", 0)],
    data_after_close: [("near", "FA", 0), ("far", "PA", 8), ("near", "R", 0)],
    destroy: [("near", "RA", 0)],
    destroy_with_unread_data: [("far", "PA", 6), ("near", "RA", 0)],
    destroy_after_shutdown: [("near", "FA", 0), ("near", "RA", 0)],
    destroy_in_time_wait: [("near", "FA", 0), ("far", "FA", 0)],
}


def segments(link, course):
    """Runs one function of COURSES. Returns all segments until both ends are closed."""
    with Wire(link) as wire:
        with Connection(link) as connection:
            course(connection)
        link.settle()
        return wire.segments()


def never_send_again(link):
    """Keeps TCP from sending a segment again if its acknowledgement is late, as it can be on a slow
    machine."""
    for end in (link.near, link.far):
        end.sysctl("ipv4/tcp_early_retrans", 0)
        end.sysctl("ipv4/tcp_rto_min_us", int(DEADLINE * 1e6))


def test_tcp(load, link):
    """However a connection ends, its segments are the same with and without the module."""
    never_send_again(link)
    handshake = [("near", "S", 0), ("far", "SA", 0)]
    expected = {course.__name__: handshake + rest for course, rest in COURSES.items()}
    assert {course.__name__: segments(link, course) for course in COURSES} == expected
    load(**EVERYWHERE)
    assert {course.__name__: segments(link, course) for course in COURSES} == expected
    for end in (link.near, link.far):
        with end, Control() as control:
            assert control.stats()["ipv4"]["seen"] == 0


def destroy_while_it_lingers(link):
    """close() waits for the acknowledgement of its data, but the other side takes no more data. When the
    connection is destroyed, close() returns. The number of segments varies, so the segments are not
    compared."""
    with Connection(link) as tcp:
        linger(tcp.client, 5 * DEADLINE)
        tcp.client.setblocking(False)
        while outcome(tcp.client.send, bytes(1 << 16)) != "EAGAIN":
            pass
        tcp.client.setblocking(True)
        closing = threading.Thread(target=tcp.client.close)
        closing.start()
        wait_until(lambda: tcp.states()[0] == FIN_WAIT1)
        assert tcp.destroy() == 0
        closing.join(DEADLINE)
        assert not closing.is_alive() and tcp.states() == [None, None]
        while (heard := outcome(tcp.server.recv, 1 << 20)) != "ECONNRESET":
            assert heard


def test_tcp_destroyed_while_it_lingers(load, link):
    """When the connection is destroyed, a waiting close() returns, with and without the module."""
    destroy_while_it_lingers(link)
    load(**EVERYWHERE)
    destroy_while_it_lingers(link)


# UDP.


@pytest.fixture
def queued(load, link):
    """Loads the module, and binds a listener at each end of the link: (near, far)."""
    load(**EVERYWHERE)
    with contextlib.ExitStack() as stack:
        listeners = []
        for end in (link.near, link.far):
            with end:
                listeners.append(stack.enter_context(Listener()))
        yield listeners


@pytest.fixture
def sender(link):
    """A UDP socket at the near end."""
    with link.near.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(DEADLINE)
        yield sender


def send_more(sender):
    """Sends a datagram in pieces, with MSG_MORE."""
    sender.send(b"one, ", socket.MSG_MORE)
    sender.send(b"two, ", socket.MSG_MORE)
    sender.send(b"three")


def send_corked(sender):
    """Sends a datagram in pieces while UDP_CORK is set, and then clears UDP_CORK."""
    sender.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 1)
    for piece in (b"one, ", b"two, ", b"three"):
        sender.send(piece)
    sender.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 0)


@pytest.mark.parametrize("send", [send_more, send_corked], ids=lambda send: send.__name__)
def test_udp_in_pieces(queued, link, sender, send):
    """The pieces arrive as one datagram, and the hook queues nothing."""
    with link.far.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(DEADLINE)
        receiver.bind((link.far_address, 0))
        sender.connect(receiver.getsockname())
        send(sender)
        assert receiver.recv(100) == b"one, two, three"
        link.settle()
        assert not select.select([receiver], [], [], 0)[0]
    assert not any(listener.waiting() for listener in queued)


@pytest.mark.parametrize("send", [send_more, send_corked], ids=lambda send: send.__name__)
def test_udp_in_pieces_to_a_closed_port(queued, link, sender, send):
    """The kernel answers the datagram with an ICMP error. This error is queued at each hook point that it
    passes, and reaches the sender after the verdicts."""
    near, far = queued
    # The receiver finds a free port. When the receiver is closed, nothing is bound to this port.
    with link.far.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((link.far_address, 0))
        sender.connect(receiver.getsockname())
    send(sender)
    for listener, hook in ((far, LOCAL_OUT), (far, POST_ROUTING), (near, PRE_ROUTING), (near, LOCAL_IN)):
        packet = listener.receive()
        assert packet.hook == hook
        assert tuple(packet.payload[20:22]) == (ICMP_UNREACHABLE, PORT_UNREACHABLE)
        # The error quotes one datagram with all pieces.
        assert packet.payload[28 + 20 + 4:][:2] == struct.pack(">H", 8 + 15)
        assert not select.select([sender], [], [], 0)[0]
        listener.verdict(packet, ACCEPT)
    assert outcome(sender.recv, 100) == "ECONNREFUSED"
    assert not any(listener.waiting() for listener in queued)


def test_udp_destroyed_with_a_cork(queued, link, sender):
    """If a socket is destroyed while pieces wait in it, the pieces never arrive."""
    with link.far.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((link.far_address, 0))
        sender.connect(receiver.getsockname())
        sender.send(b"one, ", socket.MSG_MORE)
        with link.near, SockDiag(socket.IPPROTO_UDP) as diag:
            assert diag.destroy(sender.getsockname(), sender.getpeername()) == 0
        assert outcome(sender.recv, 100) == "ECONNABORTED"
        sender.close()
        link.settle()
        assert not select.select([receiver], [], [], 0)[0]
    assert not any(listener.waiting() for listener in queued)


# IPv6.

# TO_SKIP and TO_ANSWER are options headers with an unknown option of four bytes. By the upper bits of the
# option's type (RFC 8200), the receiver must skip the option (0x1e) or answer with an error (0x9e).
DATA = bytes(range(256)) * 16
TO_SKIP, TO_ANSWER = (bytes([0, 0, kind, 4]) + b"data" for kind in (0x1e, 0x9e))


def reassembled(namespace):
    """Returns how many IPv6 datagrams the namespace has reassembled from fragments."""
    with namespace:
        lines = Path("/proc/thread-self/net/snmp6").read_text(encoding="ascii").splitlines()
    return int(dict(map(str.split, lines))["Ip6ReasmOKs"])


def fragments_and_options(path):
    """Sends a datagram in several fragments, with extension headers before and after the fragment header.
    Returns the data, the headers' options, and how many datagrams were reassembled."""
    before = reassembled(path.far)
    with path.near.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender, \
            path.far.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(DEADLINE)
        receiver.bind((path.far_address6, 0))
        for option in (socket.IPV6_RECVHOPOPTS, socket.IPV6_RECVDSTOPTS):
            receiver.setsockopt(socket.IPPROTO_IPV6, option, 1)
        for option in (socket.IPV6_HOPOPTS, socket.IPV6_DSTOPTS):
            sender.setsockopt(socket.IPPROTO_IPV6, option, TO_SKIP)
        sender.sendto(DATA, receiver.getsockname())
        data, headers, _, _ = receiver.recvmsg(1 << 16, 1 << 10)
    # The first byte of each header is left out: it is the number of the next header, which varies.
    return data, {kind: header[1:] for _, kind, header in headers}, reassembled(path.far) - before


def option_to_answer(path):
    """Sends a header with an unknown option that asks for an error. Returns the error's type, code and
    pointer."""
    path.far.sysctl("ipv6/icmp/ratelimit", 0)
    with path.near.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender, \
            path.near.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as errors:
        errors.settimeout(DEADLINE)
        errors.connect((path.far_address6, 0))
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, TO_ANSWER)
        sender.sendto(b"data", (path.far_address6, 9))
        message = errors.recv(1 << 11)
    return *message[:2], int.from_bytes(message[4:8])


def honour_extension_headers(path):
    """The receiver does what the extension headers ask for."""
    options = {socket.IPV6_HOPOPTS: TO_SKIP[1:], socket.IPV6_DSTOPTS: TO_SKIP[1:]}
    assert fragments_and_options(path) == (DATA, options, 1)
    # The pointer is the offset of the option: after the fixed header, and after the bytes "next header" and
    # "length".
    assert option_to_answer(path) == (PARAMETER_PROBLEM, UNKNOWN_OPTION, 40 + 2)


def test_ipv6_extension_headers(load, routed):
    """The receiver treats extension headers in the same way with and without the module."""
    honour_extension_headers(routed)
    load(**EVERYWHERE)
    honour_extension_headers(routed)


def udp6(source, destination, data):
    """Returns a UDP packet from `source` to `destination`. Each of these two is an address and a port."""
    def packet(check):
        return struct.pack(">4H", source[1], destination[1], 8 + len(data), check) + data

    addresses = b"".join(socket.inet_pton(socket.AF_INET6, end[0]) for end in (source, destination))
    return packet(checksum(addresses + struct.pack(">I3xB", 8 + len(data), UDP) + packet(0)))


def destroy_between_fragments(path):
    """The receiver is destroyed while one half of a datagram waits for the other half. The kernel still
    reassembles the two halves, but no socket gets the datagram, and the sender gets an error."""
    path.far.sysctl("ipv6/icmp/ratelimit", 0)
    before = reassembled(path.far)
    with path.near.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender, \
            path.near.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw, \
            path.far.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        for end in (sender, receiver):
            end.settimeout(DEADLINE)
        receiver.bind((path.far_address6, 0))
        sender.connect(receiver.getsockname())
        ends = sender.getsockname()[:2], receiver.getsockname()[:2]
        datagram = udp6(*ends, DATA[:120])
        first, second = (ipv6(path.near_address6, path.far_address6, half, following=FRAGMENT)
                         for half in (fragment(UDP, more=1) + datagram[:64],
                                      fragment(UDP, 64 // 8) + datagram[64:]))
        raw.sendto(first, (path.far_address6, 0))
        path.settle()
        with path.far, SockDiag(UDP, socket.AF_INET6) as diag:
            assert diag.destroy(ends[1], ("::", 0)) == 0
        assert outcome(receiver.recv, 100) == "ECONNABORTED"
        raw.sendto(second, (path.far_address6, 0))
        assert outcome(sender.recv, 100) == "ECONNREFUSED"
    assert reassembled(path.far) == before + 1


def test_ipv6_destroyed_between_fragments(load, routed):
    """With and without the module, the halves are reassembled, and the sender gets an error."""
    destroy_between_fragments(routed)
    load(**EVERYWHERE)
    destroy_between_fragments(routed)


def test_ipv6_echo_in_fragments(module, routed):
    """Both ends reassemble the datagrams, with a listener that accepts the first fragment, and without one."""
    with Echo(IPV6, routed) as echo:
        echo.socket.settimeout(DEADLINE)
        echo.send(DATA)
        assert echo.socket.recv(1 << 16)[8:] == DATA
        with routed.far, Listener() as listener:
            echo.send(DATA)
            listener.verdict(listener.receive(), ACCEPT)
        assert echo.socket.recv(1 << 16)[8:] == DATA
