# SPDX-License-Identifier: GPL-2.0

"""A raw client of sock_diag, which lists and destroys sockets."""

import socket
import struct
from typing import NamedTuple

from netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, Client, pack

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY, SOCK_DESTROY = 20, 21
ESTABLISHED, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE_WAIT = 1, 4, 5, 6, 8
ALL_STATES = 0xFFFFFFFF
# The ports and addresses of a socket: the beginning of struct inet_diag_sockid.
SOCKID = struct.Struct(">HH16s16s")
ADDRESS_LENGTHS = {socket.AF_INET: 4, socket.AF_INET6: 16}
NO_INTERFACE, NO_COOKIE = bytes(4), b"\xff" * 8


class Socket(NamedTuple):
    """A socket: its state, and both ends as (address, port)."""

    state: int
    local: tuple
    remote: tuple


class SockDiag(Client):
    """A client of sock_diag in the network namespace of the calling thread."""

    def __init__(self, protocol=socket.IPPROTO_TCP, family=socket.AF_INET):
        super().__init__(NETLINK_SOCK_DIAG)
        self._protocol, self._family = protocol, family

    def _request(self, kind, sockid, flags):
        header = struct.pack("=BBBxI", self._family, self._protocol, 0, ALL_STATES)
        self.send(pack(kind, header + sockid + NO_INTERFACE + NO_COOKIE, flags=NLM_F_REQUEST | flags))

    def sockets(self):
        """All sockets of the protocol."""
        self._request(SOCK_DIAG_BY_FAMILY, bytes(SOCKID.size), NLM_F_DUMP)
        found = []
        while (message := self.receive()).kind != NLMSG_DONE:
            sport, dport, source, destination = SOCKID.unpack_from(message.payload, 4)
            ends = [(socket.inet_ntop(self._family, address[:ADDRESS_LENGTHS[self._family]]), port)
                    for address, port in ((source, sport), (destination, dport))]
            found.append(Socket(message.payload[1], *ends))
        return found

    def destroy(self, local, remote):
        """Destroys the socket with these two ends (tcp_abort() or udp_abort()). Returns 0 or the
        errno of the kernel's refusal."""
        sockid = SOCKID.pack(local[1], remote[1],
                             *(socket.inet_pton(self._family, address).ljust(16, b"\0")
                               for address, *_ in (local, remote)))
        self._request(SOCK_DESTROY, sockid, NLM_F_ACK)
        return self.ack().errno
