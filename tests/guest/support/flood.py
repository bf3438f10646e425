# SPDX-License-Identifier: GPL-2.0

"""Sends numbered echo requests, hundreds with one system call, and reads hundreds of replies with one system
call. So Python takes only a small share of the time."""

import contextlib
import ctypes
import itertools
import os
import select
import socket
import struct
import time

from netlink import DEADLINE, SO_RCVBUFFORCE
from network import ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, ICMP_FILTER, SOL_RAW, icmp

_LIBC = ctypes.CDLL(None, use_errno=True)
# The number of a request is its id and sequence number together. The data of a request is the inverted number, so
# that all requests have the same checksum.
_NUMBER = struct.Struct(">II")
_REQUEST = icmp(ICMP_ECHO_REQUEST, data=b"\xff" * 4)[:4]
# The length of a reply's part before the packed number: the IP header, the type, the code and the checksum.
_REPLY_LENGTH = 24


class _Piece(ctypes.Structure):
    """struct iovec"""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    """struct msghdr"""

    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint),
                ("pieces", ctypes.POINTER(_Piece)), ("piece_count", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class _Message(ctypes.Structure):
    """struct mmsghdr"""

    _fields_ = [("header", _Header), ("length", ctypes.c_uint)]


class _Burst:
    """Buffers for up to `count` messages. Each message has the bytes `start`, and then its own part of
    `numbers`."""

    def __init__(self, count, start):
        self.start, self.numbers = bytearray(start), bytearray(count * _NUMBER.size)
        (first, head), (body, _) = ((ctypes.addressof(ctypes.c_char.from_buffer(part)), len(part))
                                    for part in (self.start, self.numbers))
        self.messages = (_Message * count)()
        for place, message in enumerate(self.messages):
            message.header.pieces = (_Piece * 2)(
                (first, head), (body + place * _NUMBER.size, _NUMBER.size))
            message.header.piece_count = 2


def pack_numbers(first, count):
    """Returns `count` numbers, beginning with `first`, in the format of the packets."""
    return b"".join(_NUMBER.pack(number, number ^ 0xFFFFFFFF)
                    for number in range(first, first + count))


class Flood:
    """Sends echo requests to one address, and receives the replies."""

    def __init__(self, namespace, destination, most):
        """`most` is the largest number of requests that one call of send() may send."""
        self.socket = namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.setsockopt(SOL_RAW, ICMP_FILTER,
                               struct.pack("=I", ~(1 << ICMP_ECHO_REPLY) & 0xFFFFFFFF))
        self.socket.connect((destination, 0))
        self._requests, self._replies = _Burst(most, _REQUEST), _Burst(most, bytes(_REPLY_LENGTH))

    def close(self):
        self.socket.close()

    def _call(self, function, burst, count, flags):
        done = function(self.socket.fileno(), burst.messages, count, flags, None)
        if done < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return done

    def send(self, packed):
        """Sends a request for each of the numbers that `pack_numbers()` has packed."""
        self._requests.numbers[:len(packed)] = packed
        count = len(packed) // _NUMBER.size
        assert self._call(_LIBC.sendmmsg, self._requests, count, 0) == count

    def receive(self, length):
        """Returns the packed numbers of the replies that have arrived, in their order, and at most `length`
        bytes."""
        count = self._call(_LIBC.recvmmsg, self._replies, length // _NUMBER.size, socket.MSG_DONTWAIT)
        return self._replies.numbers[:count * _NUMBER.size]


def receive_all(floods, length, unanswered):
    """Receives `length` bytes of packed numbers from the replies of each flood. Ends earlier if the number of
    missing replies is `unanswered()`, the number of requests that the kernel itself left unanswered. Returns
    the packed numbers of each flood in the order of arrival."""
    found = {flood: bytearray() for flood in floods}
    quiet_until = time.monotonic() + DEADLINE
    while waiting := {flood.socket: flood for flood, numbers in found.items() if len(numbers) < length}:
        ready, _, _ = select.select(list(waiting), [], [], DEADLINE / 100)
        for flood in (waiting[socket_] for socket_ in ready):
            found[flood] += flood.receive(length - len(found[flood]))
            quiet_until = time.monotonic() + DEADLINE
        if not ready:
            missing = sum(length - len(numbers) for numbers in found.values()) // _NUMBER.size
            if missing == unanswered():
                break
            assert time.monotonic() < quiet_until, f"{missing} replies are missing"
    return found.values()


def keeps_order(numbers, sent):
    """Whether the packed `numbers` are a part of the packed numbers `sent`, in the same order."""
    rest = struct.iter_unpack(_NUMBER.format, sent)
    return all(number in rest for number in struct.iter_unpack(_NUMBER.format, numbers))


def are_among(numbers, sent):
    """Whether the packed `numbers` differ from each other, and all are among the packed numbers `sent`."""
    found = list(struct.iter_unpack(_NUMBER.format, numbers))
    return len(set(found)) == len(found) and set(struct.iter_unpack(_NUMBER.format, sent)).issuperset(found)


def ping_in_bursts(path, stop, burst):
    """Sends pings along a path without a pause, `burst` at a time, until `stop`. Returns their number. Each ping must
    get its reply, except pings that the kernel itself leaves unanswered."""
    unanswered = path.unanswered()
    with contextlib.closing(Flood(path.near, path.far_address, burst)) as flood:
        for first in itertools.count(0, burst):
            if stop.is_set():
                return first
            sent = pack_numbers(first, burst)
            flood.send(sent)
            (replies,) = receive_all([flood], len(sent), lambda: path.unanswered() - unanswered)
            # The order of the replies can change: the packets can pass different queues, or none.
            assert are_among(replies, sent)
            unanswered = path.unanswered()
