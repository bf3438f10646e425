# SPDX-License-Identifier: GPL-2.0

"""A listener to an NFQUEUE queue. It shares no code with the program nldemo: tests would not notice a mistake in
shared code."""

import collections
import errno
import os
import select
import socket
import struct
from typing import NamedTuple

from netlink import (
    DEADLINE,
    HEADER,
    NLM_F_ACK,
    NLM_F_REQUEST,
    NLMSG_ERROR,
    SO_RCVBUFFORCE,
    align,
    attribute,
    attributes,
    pack,
)

NETLINK_NETFILTER = 12
NFNL_SUBSYS_QUEUE = 3
MSG_PACKET, MSG_VERDICT, MSG_CONFIG, MSG_VERDICT_BATCH = ((NFNL_SUBSYS_QUEUE << 8) | n
                                                          for n in range(4))
NFQA_PACKET_HDR, NFQA_VERDICT_HDR, NFQA_MARK = 1, 2, 3
NFQA_IFINDEX_INDEV, NFQA_IFINDEX_OUTDEV = 5, 6
NFQA_PAYLOAD = 10
NFQA_CFG_CMD, NFQA_CFG_PARAMS, NFQA_CFG_QUEUE_MAXLEN, NFQA_CFG_MASK, NFQA_CFG_FLAGS = range(1, 6)
NFQNL_CFG_CMD_BIND = 1
NFQNL_COPY_PACKET = 2
NFQA_CFG_F_FAIL_OPEN, NFQA_CFG_F_CONNTRACK, NFQA_CFG_F_GSO, NFQA_CFG_F_UID_GID = 1, 2, 4, 8

DROP, ACCEPT, REPEAT = 0, 1, 4
PRE_ROUTING, LOCAL_IN, FORWARD, LOCAL_OUT, POST_ROUTING = range(5)


class Queued(NamedTuple):
    """A packet that waits for a verdict."""

    id: int
    hook: int
    ethertype: int
    indev: int
    outdev: int
    payload: bytes
    # The protocol family of the hook (`family`), and all attributes of the message: {attribute: payload} (`told`).
    family: int
    told: dict


class Listener:
    """Listens to a queue, in the network namespace of the calling thread."""

    def __init__(self, queue=0, *, maxlen=None, flags=0):
        self.queue = queue
        # Messages with packets that arrived while `_answer` waited for an acknowledgement.
        self._early = collections.deque()
        self._seq = 0
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        except PermissionError:
            # The test runs in a user namespace of its own, but SO_RCVBUFFORCE needs CAP_NET_ADMIN in the initial
            # user namespace.
            pass
        try:
            self._config(attribute(NFQA_CFG_CMD, struct.pack(">BxH", NFQNL_CFG_CMD_BIND,
                                                             socket.AF_INET)))
            self._config(attribute(NFQA_CFG_PARAMS, struct.pack(">IB", 0xFFFF, NFQNL_COPY_PACKET)))
            if maxlen is not None:
                self._config(attribute(NFQA_CFG_QUEUE_MAXLEN, struct.pack(">I", maxlen)))
            flags |= NFQA_CFG_F_GSO
            self._config(attribute(NFQA_CFG_FLAGS, struct.pack(">I", flags))
                         + attribute(NFQA_CFG_MASK, struct.pack(">I", flags)))
        except OSError:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def _send(self, kind, payload, flags=NLM_F_REQUEST):
        self._seq += 1
        nfgenmsg = struct.pack(">BBH", socket.AF_UNSPEC, 0, self.queue)
        self.socket.sendto(pack(kind, nfgenmsg + payload, flags=flags, seq=self._seq), (0, 0))

    def _config(self, payload):
        """Sends a configuration message and waits for its acknowledgement."""
        self._send(MSG_CONFIG, payload, NLM_F_REQUEST | NLM_F_ACK)
        self._answer()

    def _answer(self):
        """Waits for the acknowledgement of the message that was sent last. If the acknowledgement has an error,
        raises this error."""
        while True:
            data = self.socket.recv(1 << 17)
            _, kind, _, seq, _ = HEADER.unpack_from(data)
            if (kind, seq) == (NLMSG_ERROR, self._seq):
                return self._raise_error(data)
            self._early.append(data)

    @staticmethod
    def _raise_error(data):
        (error,) = struct.unpack_from("=i", data, HEADER.size)
        if error:
            raise OSError(-error, os.strerror(-error))

    @property
    def portid(self):
        """The portid that /proc/net/netfilter/nfnetlink_queue shows for the queue."""
        return self.socket.getsockname()[0]

    def waiting(self):
        """Whether a packet waits."""
        return bool(self._early or select.select([self.socket], [], [], 0)[0])

    def receive(self, timeout=DEADLINE):
        """The next packet. If the next message is instead an error, which the kernel sent for an earlier
        `decide`, raises this error."""
        if self._early:
            data = self._early.popleft()
        elif select.select([self.socket], [], [], timeout)[0]:
            data = self.socket.recv(1 << 17)
        else:
            raise TimeoutError(f"no packet in queue {self.queue}")
        length, kind, _, _, _ = HEADER.unpack_from(data)
        if kind == NLMSG_ERROR:
            self._raise_error(data)
        # nfnetlink_queue does not always pad a message to a multiple of 4 bytes.
        assert kind == MSG_PACKET and len(data) in (length, align(length))
        assert struct.unpack_from(">H", data, HEADER.size + 2)[0] == self.queue
        found = attributes(data[HEADER.size + 4:length])
        packet_id, ethertype, hook = struct.unpack(">IHB", found[NFQA_PACKET_HDR])
        indev, outdev = (struct.unpack(">I", found.get(kind, bytes(4)))[0]
                         for kind in (NFQA_IFINDEX_INDEV, NFQA_IFINDEX_OUTDEV))
        return Queued(packet_id, hook, ethertype, indev, outdev, found[NFQA_PAYLOAD],
                      data[HEADER.size], found)

    def drain(self):
        """All packets that wait."""
        packets = []
        while self.waiting():
            packets.append(self.receive())
        return packets

    def verdict(self, packet, verdict):
        """Decides one packet, and waits for the acknowledgement. If the kernel refuses the verdict, raises the
        kernel's error: ENOENT if the packet is not queued any more."""
        header = struct.pack(">II", verdict, packet.id)
        self._send(MSG_VERDICT, attribute(NFQA_VERDICT_HDR, header), NLM_F_REQUEST | NLM_F_ACK)
        self._answer()

    def decide(self, packet, verdict, mark=None):
        """Decides one packet, and gives it the mark if there is one. Does not ask for an acknowledgement."""
        decision = attribute(NFQA_VERDICT_HDR, struct.pack(">II", verdict, packet.id))
        if mark is not None:
            decision += attribute(NFQA_MARK, struct.pack(">I", mark))
        self._send(MSG_VERDICT, decision)

    def decide_up_to(self, packet, verdict):
        """Decides this packet and all packets of the queue that came before it."""
        header = struct.pack(">II", verdict, packet.id)
        self._send(MSG_VERDICT_BATCH, attribute(NFQA_VERDICT_HDR, header))


def is_bound(queue):
    """Whether a program listens to the queue in the thread's network namespace."""
    return queue in statistics()


def statistics():
    """The kernel's counters by queue: (waiting, dropped, user_dropped)."""
    return {row[0]: (row[2], row[5], row[6]) for row in _table()}


def last_ids():
    """The id of each queue's latest packet. Ids are counted from 1."""
    return {row[0]: row[7] for row in _table()}


def copy_modes():
    """The copy mode of each queue, `NFQNL_COPY_*`."""
    return {row[0]: row[3] for row in _table()}


def _table():
    try:
        with open("/proc/thread-self/net/netfilter/nfnetlink_queue", encoding="ascii") as table:
            return [[int(field) for field in line.split()] for line in table]
    except OSError as error:
        if error.errno == errno.ENOENT:
            return []
        raise
