# SPDX-License-Identifier: GPL-2.0

"""Sockets of every kind and in every state, and the output of ss(8) about them."""

import contextlib
import fcntl
import os
import re
import socket
import struct
import termios
from pathlib import Path

from netlink import NETLINK_ADD_MEMBERSHIP, SOL_NETLINK, wait_until
from network import run

SO_BINDTODEVICE = 25
ETH_P_IP, ETH_P_ALL = 0x0800, 0x0003
LINGER_RESET = struct.pack("=ii", 1, 0)

TCP_STATES = ["established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait",
              "close", "close-wait", "last-ack", "listen", "closing"]

# Drops the last packet of each handshake with port 81 (an acknowledgement), all packets to port 82, and packets
# with FIN to port 87. A reset to port 81 passes: a half-open connection that is not reset would keep its listener
# and the namespace until a timeout.
LOSSES = """
table inet losses {
    chain output {
        type filter hook output priority 0;
        tcp dport 81 tcp flags & (syn | ack | rst) == ack drop
        tcp dport 82 drop
        tcp dport 87 tcp flags & fin == fin drop
    }
}
"""


def states(namespace, port):
    """The states of the IPv4 TCP sockets that have `port` at one of their ends."""
    with namespace:
        lines = Path("/proc/thread-self/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    columns = [line.split() for line in lines]
    return sorted(TCP_STATES[int(state, 16) - 1] for _, local, remote, state, *_ in columns
                  if f"{port:04X}" in (local.split(":")[1], remote.split(":")[1]))


def _unacknowledged(one):
    """The number of sent bytes that the other end has not acknowledged."""
    return struct.unpack("=i", fcntl.ioctl(one, termios.TIOCOUTQ, bytes(4)))[0]


def _lose_what_is_unsent(one):
    if one.fileno() != -1:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)


class Sockets(contextlib.ExitStack):
    """Sockets in a network namespace with lo. All are closed when the `with` block ends. Then TCP connections are
    reset, because a connection with unsent data would keep the namespace until a timeout."""

    def __init__(self, namespace):
        super().__init__()
        self.namespace = namespace

    def _closed_with_the_others(self, one):
        self.enter_context(one)
        self.callback(_lose_what_is_unsent, one)
        return one

    def new(self, *arguments):
        return self._closed_with_the_others(self.namespace.socket(*arguments))

    def accept(self, listener):
        return self._closed_with_the_others(listener.accept()[0])

    def bound(self, family, kind, address, protocol=0):
        new = self.new(family, kind, protocol)
        new.bind(address)
        return new

    def listener(self, address, family=socket.AF_INET):
        new = self.bound(family, socket.SOCK_STREAM, address)
        new.listen()
        return new

    def connect(self, address, family=socket.AF_INET, kind=socket.SOCK_STREAM):
        new = self.new(family, kind)
        new.connect(address)
        return new

    def pair(self, listener, family=None):
        """A client's socket, and the socket that the listener accepted."""
        client = self.connect(listener.getsockname(), family or listener.family)
        return client, self.accept(listener)

    def half_open(self):
        """Makes a half-open connection to port 81: LOSSES drops the last packet of the handshake."""
        self.namespace.nft(LOSSES)
        # With the default of 5 retries, the kernel would give up the connection after a minute.
        self.namespace.sysctl("ipv4/tcp_synack_retries", 100)
        self.listener(("127.0.0.1", 81))
        self.connect(("127.0.0.1", 81))
        wait_until(lambda: "syn-recv" in states(self.namespace, 81))

    def unheard(self):
        """Makes three connections to port 87. In each, LOSSES drops the FIN of the client's end. In the first
        connection, the accepted end sends no FIN. In the second, the accepted end sends its FIN after the client
        does. In the third, the accepted end sends its FIN before the client does."""
        listener = self.listener(("127.0.0.1", 87))
        (first, _), (both, other), (last, before) = (self.pair(listener) for _ in range(3))
        before.shutdown(socket.SHUT_WR)
        # `last` must acknowledge the FIN of `before` in a packet of its own. In one packet with the FIN of `last`,
        # the acknowledgement would be lost.
        wait_until(lambda: {"close-wait", "fin-wait-2"} < set(states(self.namespace, 87)))
        for one in (first, both, other, last):
            one.shutdown(socket.SHUT_WR)
        # The states of both ends of each connection, and of the listener.
        wait_until(lambda: states(self.namespace, 87) == sorted((
            "fin-wait-1", "established", "closing", "fin-wait-2", "last-ack", "fin-wait-2", "listen")))

    def leaving(self, listener):
        """Makes a connection that the client has shut down for sending. The accepted end has received the FIN, and
        can still send."""
        client, _ = self.pair(listener)
        client.shutdown(socket.SHUT_WR)
        port = client.getsockname()[1]
        wait_until(lambda: states(self.namespace, port) == ["close-wait", "fin-wait-2"])

    def unread(self, listener):
        """Makes a connection with data that has arrived, but is not read."""
        client, _ = self.pair(listener)
        client.send(b"not read yet")
        wait_until(lambda: not _unacknowledged(client))

    def time_wait(self, listener):
        """Makes a connection and closes it. Returns the address of the end that is in the state time-wait."""
        client, accepted = self.pair(listener)
        address = client.getsockname()
        client.close()
        # If `accepted` closed before it received the FIN, both ends would be in time-wait.
        assert accepted.recv(1) == b""
        accepted.close()
        wait_until(lambda: states(self.namespace, address[1]) == ["time-wait"])
        return address


@contextlib.contextmanager
def busy(namespace):
    """Sockets of every kind, and TCP sockets in every state. The states do not change any more."""
    with Sockets(namespace) as all_:
        _open_all(all_)
        yield all_


def _open_all(all_):
    # TCP. Port 83 is only for IPv6, port 84 also for IPv4.
    all_.half_open()
    all_.unheard()
    web = all_.listener(("127.0.0.1", 80))
    dual = all_.listener(("::", 84), socket.AF_INET6)
    six = all_.listener(("::1", 83), socket.AF_INET6)
    all_.pair(web)
    all_.pair(six)
    all_.pair(dual)
    # The accepted socket of this connection has IPv4-mapped IPv6 addresses.
    all_.connect(("127.0.0.1", 84))
    all_.accept(dual)
    all_.time_wait(web)
    all_.leaving(web)
    unanswered = all_.new(socket.AF_INET, socket.SOCK_STREAM)
    unanswered.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        unanswered.connect(("127.0.0.1", 82))
    all_.bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 85))
    all_.unread(web)
    # UDP.
    server = all_.bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53))
    all_.bound(socket.AF_INET6, socket.SOCK_DGRAM, ("::", 54))
    all_.connect(("127.0.0.1", 53), kind=socket.SOCK_DGRAM).send(b"not read either")
    assert server.recv(100, socket.MSG_PEEK)
    all_.connect(("::1", 54), socket.AF_INET6, socket.SOCK_DGRAM)
    all_.connect(("::ffff:127.0.0.1", 54), socket.AF_INET6, socket.SOCK_DGRAM)
    device = all_.new(socket.AF_INET, socket.SOCK_DGRAM)
    device.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"lo")
    device.bind(("0.0.0.0", 68))
    # Raw.
    all_.new(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    all_.bound(socket.AF_INET6, socket.SOCK_RAW, ("::1", 0), socket.IPPROTO_ICMPV6)
    # Ping.
    all_.namespace.sysctl("ipv4/ping_group_range", "0 0")
    all_.bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 7), socket.IPPROTO_ICMP)
    all_.bound(socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 8), socket.IPPROTO_ICMPV6)
    # Unix sockets: without a name, and with names that have NUL, a line feed and bytes that are not UTF-8.
    with all_.namespace:
        for end in socket.socketpair():
            all_.enter_context(end)
    stream = all_.bound(socket.AF_UNIX, socket.SOCK_STREAM, b"\0nul\0 and \xff\n")
    stream.listen(3)
    all_.connect(stream.getsockname(), socket.AF_UNIX)
    all_.bound(socket.AF_UNIX, socket.SOCK_SEQPACKET, b"\0")
    path = f"/tmp/socket-{os.getpid()}".encode() + b" @\xff\x1b[31m"
    all_.callback(os.unlink, path)
    all_.bound(socket.AF_UNIX, socket.SOCK_DGRAM, path)
    # Netlink: a socket that is bound to a portid, and two members of a group. The first member is bound to a portid,
    # the second member is not.
    all_.bound(socket.AF_NETLINK, socket.SOCK_RAW, (77, 0), socket.NETLINK_ROUTE)
    for address in ((78, 0), None):
        member = all_.new(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        if address:
            member.bind(address)
        member.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 3)
    # Packet sockets.
    all_.bound(socket.AF_PACKET, socket.SOCK_RAW, ("lo", ETH_P_IP))
    all_.new(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))


_STATES = {"ESTAB": "established", "UNCONN": "close"}


def ss(*arguments):
    """The lines of ss(8) in the calling thread's network namespace, as lists of words. The first word is the name
    of the socket's state. This function replaces the name that ss prints by the name that nldemo prints."""
    lines = run("ss", "-HanOe", *arguments, errors="surrogateescape").splitlines()
    return [[_STATES.get(word, word.lower()) for word in words[:1]] + words[1:]
            for words in map(str.split, lines)]


def ss_of_ip(option):
    """The IP sockets in the output of ss(8): {cookie: (state, receive queue, send queue, local end,
    remote end, inode)}."""
    found = {}
    for state, receive, send, local, remote, *rest in ss(option):
        rest = " ".join(rest)
        (inode,), (cookie,) = re.findall(r"ino:(\d+)", rest), re.findall(r"sk:([0-9a-f]+)", rest)
        found[int(cookie, 16)] = (state, int(receive), int(send), _end(local), _end(remote),
                                  int(inode))
    return found


def ss_of_unix():
    """The unix sockets in the output of ss(8): {(inode, type, state, receive queue, send queue, inode of
    the other end), ...}. In a line, a socket's name comes after the queues. The name can have any
    bytes."""
    found = set()
    line = re.compile(r"^u_(\w+) +(\S+) +(\d+) +(\d+) .*?(\d+) +\* +(\d+) ", re.MULTILINE | re.DOTALL)
    for kind, state, *numbers in line.findall(run("ss", "-HanOex", errors="surrogateescape")):
        receive, send, inode, peer = map(int, numbers)
        found.add((inode, kind, _STATES.get(state, state.lower()), receive, send, peer))
    return found


def _end(text):
    """Parses an address in the output of ss(8): [::1]%eth0:80 gives ("::1", 80, "eth0")."""
    address, port = text.rsplit(":", 1)
    address, _, device = address.partition("%")
    # ss prints "*" for an IPv6 socket that also receives IPv4.
    address = "::" if address == "*" else address.strip("[]")
    return address, 0 if port == "*" else int(port), device or None
