# SPDX-License-Identifier: GPL-2.0

"""A raw netlink client. It shares no code with the program nldemo: tests would not notice a mistake in shared code."""

import collections
import os
import select
import socket
import struct
import time
from typing import NamedTuple

AF_NETLINK = socket.AF_NETLINK
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
SO_MEMINFO = 55
SO_NETNS_COOKIE = 71
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11

NLM_F_REQUEST = 0x001
NLM_F_MULTI = 0x002
NLM_F_ACK = 0x004
NLM_F_ECHO = 0x008
NLM_F_DUMP_INTR = 0x010
NLM_F_DUMP = 0x300
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4
NLMSG_MIN_TYPE = 16

NLMSGERR_ATTR_MSG = 1
NLMSGERR_ATTR_OFFS = 2
NLMSGERR_ATTR_MISS_TYPE = 5
NLMSGERR_ATTR_MISS_NEST = 6

NLA_F_NESTED = 0x8000
NLA_F_NET_BYTEORDER = 0x4000

HEADER = struct.Struct("=IHHII")
# How many times slower than the stock kernel this kernel is. On slow kernels, such as the debug kernel, tests do
# less work.
SLOW = float(os.environ.get("NLDEMO_SLOW", "1"))
# The time limit, in seconds, for anything that should happen immediately. The limit is longer if the kernel is
# slow, or if the machine is slow, as scripts/vm measures it. All other time limits depend on this limit.
DEADLINE = 20.0 * SLOW * float(os.environ.get("NLDEMO_SLOWNESS", "1"))

# The module's netlink protocol, and the types of its messages.
PROTOCOL = 23
ECHO = 16
HELLO = 0
HELLO_REPLY = 23


class Message(NamedTuple):
    """A received netlink message."""

    length: int
    kind: int
    flags: int
    seq: int
    pid: int
    payload: bytes
    padding: bytes


class Ack(NamedTuple):
    """The contents of an NLMSG_ERROR."""

    seq: int
    pid: int
    flags: int
    errno: int
    request: bytes
    attributes: dict


def align(length):
    return (length + 3) & ~3


def pack(kind, payload=b"", *, flags=NLM_F_REQUEST, seq=0, pid=0, length=None, pad=True):
    """A message. Its header has the true length, unless `length` is given."""
    true_length = HEADER.size + len(payload)
    header = HEADER.pack(true_length if length is None else length, kind, flags, seq, pid)
    padding = bytes(align(true_length) - true_length) if pad else b""
    return header + payload + padding


def attribute(kind, payload):
    """An attribute with its padding."""
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attributes(data):
    """The attributes in `data` as {type: payload}. `data` must consist of attributes only."""
    found = {}
    while data:
        length, kind = struct.unpack_from("=HH", data)
        assert 4 <= length <= len(data), f"attribute of {length} bytes in {len(data)}"
        found[kind & 0x3FFF] = data[4:length]
        data = data[align(length):]
    return found


def ack(message):
    """Parses an NLMSG_ERROR."""
    assert message.kind == NLMSG_ERROR, message
    (error,) = struct.unpack_from("=i", message.payload)
    rest = message.payload[4:]
    length = HEADER.size if message.flags & NLM_F_CAPPED else HEADER.unpack_from(rest)[0]
    request, tail = rest[:length], rest[align(length):]
    assert len(request) == length, message
    if message.flags & NLM_F_ACK_TLVS:
        found = attributes(tail)
    else:
        found = {}
        assert not tail.strip(b"\0"), message
    return Ack(message.seq, message.pid, message.flags, -error, request, found)


class Client:
    """A user socket of a netlink protocol, in the network namespace of the calling thread."""

    def __init__(self, protocol=PROTOCOL, *, portid=None, buffers=None, kind=socket.SOCK_RAW):
        # Messages that recvmsg() returned in one buffer, and that `receive` did not return yet.
        self._early = collections.deque()
        self.socket = socket.socket(AF_NETLINK, kind, protocol)
        if buffers is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffers)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, buffers)
        if portid is not None:
            self.socket.bind((portid, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    @property
    def portid(self):
        """The address of the socket; 0 if the socket has no address yet. The first send gives it an address."""
        return self.socket.getsockname()[0]

    @property
    def cookie(self):
        """The cookie that identifies the socket's network namespace."""
        return struct.unpack("=Q", self.socket.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0]

    def option(self, option, on=1):
        self.socket.setsockopt(SOL_NETLINK, option, on)

    def send(self, data):
        """Sends a whole buffer to the kernel."""
        assert self.socket.sendto(data, (0, 0)) == len(data)

    def receive(self, *, timeout=DEADLINE):
        """The next message. Its sender must be the kernel."""
        if self._early:
            return self._early.popleft()
        if not select.select([self.socket], [], [], timeout)[0]:
            raise TimeoutError("no message from the kernel")
        # With MSG_TRUNC, recv() returns the length of the datagram, even if the buffer is shorter.
        length = self.socket.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)
        data, _, msg_flags, source = self.socket.recvmsg(length)
        assert not msg_flags & socket.MSG_TRUNC
        # `groups` is a mask with the group that a multicast message was sent to. It is 0 for other messages.
        portid, self.groups = source
        assert portid == 0, f"not from the kernel but from {source}"
        while data:
            header = HEADER.unpack_from(data)
            length, padded = header[0], align(header[0])
            # The kernel may put several messages into one buffer only if they are messages of a dump.
            assert padded == len(data) or padded < len(data) and header[2] & NLM_F_MULTI, \
                f"nlmsg_len {length} in a datagram of {len(data)}"
            self._early.append(Message(*header, data[HEADER.size:length], data[length:padded]))
            data = data[padded:]
        return self._early.popleft()

    def waiting(self):
        """Whether a message waits. The kernel answers a request before the send of the request returns, so no
        answer comes later."""
        return bool(self._early or select.select([self.socket], [], [], 0)[0])

    def room(self):
        """The free part of the receive buffer, as the kernel counts it."""
        used, size = struct.unpack_from(
            "=II", self.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))
        return size - used

    def drain(self):
        """All messages that wait."""
        messages = []
        while self.waiting():
            messages.append(self.receive())
        return messages

    def ack(self):
        return ack(self.receive())

    def dump(self, kind, payload=b""):
        """Requests a dump, and returns all its messages except NLMSG_DONE."""
        self.send(pack(kind, payload, flags=NLM_F_REQUEST | NLM_F_DUMP))
        messages = []
        while (message := self.receive()).kind != NLMSG_DONE:
            assert message.kind != NLMSG_ERROR, ack(message)
            messages.append(message)
        return messages

    def echo(self, payload, *, seq=1, flags=NLM_F_REQUEST, pid=0, kind=ECHO):
        """Sends a message and returns the next message that arrives."""
        self.send(pack(kind, payload, seq=seq, flags=flags, pid=pid))
        return self.receive()


def wait_until(condition, timeout=DEADLINE, interval=0.005):
    """Calls `condition()` again and again until its result is true. Returns this result."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not true after {timeout} s: {condition}")
        time.sleep(interval)
    return result


def sockets(protocol=PROTOCOL):
    """The rows of /proc/net/netlink about a protocol's sockets in the thread's network namespace, as
    {portid: row}. A row is {name of the column: text}. The kernel's own socket has the portid 0."""
    with open("/proc/thread-self/net/netlink", encoding="ascii") as table:
        names, *rows = map(str.split, table)
    rows = (dict(zip(names, row, strict=True)) for row in rows)
    return {int(row["Pid"]): row for row in rows if row["Eth"] == str(protocol)}


def has_kernel_socket(protocol=PROTOCOL):
    """Whether the thread's network namespace has a kernel socket for the protocol."""
    return 0 in sockets(protocol)
