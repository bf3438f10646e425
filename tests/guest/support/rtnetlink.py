# SPDX-License-Identifier: GPL-2.0

"""Makes network devices, and sets their addresses, neighbours and routes. Tests use this module instead of ip(8),
because in an emulated guest the start of ip(8) takes longer than the kernel's work."""

import socket
import struct

from netlink import NLM_F_ACK, NLM_F_REQUEST, Client, attribute, pack

NETLINK_ROUTE = 0
NLM_F_EXCL, NLM_F_CREATE = 0x200, 0x400
RTM_NEWLINK, RTM_SETLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWNEIGH = 16, 19, 20, 24, 28

IFINFOMSG = struct.Struct("=BxHiII")
IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFF_UP = 1

IFA_ADDRESS, IFA_LOCAL, IFA_F_NODAD = 1, 2, 2
NDA_DST, NDA_LLADDR, NUD_PERMANENT = 1, 2, 0x80
RTA_GATEWAY, RT_TABLE_MAIN, RTPROT_BOOT, RTN_UNICAST = 5, 254, 3, 1


def _family(address):
    """The family and the bytes of an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


def _device(name, lladdr):
    return attribute(IFLA_IFNAME, name.encode() + b"\0") + attribute(IFLA_ADDRESS, _ethernet(lladdr))


def _ethernet(lladdr):
    return bytes.fromhex(lladdr.replace(":", ""))


class Devices:
    """The devices of the network namespace in which the calling thread makes this object. The object stays with
    this namespace, even if the thread enters another one."""

    def __init__(self):
        self._client = Client(NETLINK_ROUTE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.close()

    def _change(self, kind, request, flags=0):
        self._client.send(pack(kind, request, flags=NLM_F_REQUEST | NLM_F_ACK | flags))
        answer = self._client.ack()
        assert answer.errno == 0, (kind, answer)

    def _add(self, kind, request):
        self._change(kind, request, NLM_F_CREATE | NLM_F_EXCL)

    def add_pair(self, name, lladdr, peer, peer_lladdr, namespace):
        """Makes a pair of veth devices: `name`, and `peer` in the namespace of the file descriptor `namespace`."""
        other = IFINFOMSG.pack(0, 0, 0, 0, 0) + _device(peer, peer_lladdr) + attribute(
            IFLA_NET_NS_FD, struct.pack("=I", namespace))
        info = attribute(IFLA_INFO_KIND, b"veth") + attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, other))
        self._add(RTM_NEWLINK, IFINFOMSG.pack(0, 0, 0, 0, 0) + _device(name, lladdr) + attribute(
            IFLA_LINKINFO, info))

    def set_up(self, index):
        self._change(RTM_SETLINK, IFINFOMSG.pack(0, 0, index, IFF_UP, IFF_UP))

    def add_address(self, index, address, prefix):
        """Adds an address without duplicate address detection."""
        family, number = _family(address)
        self._add(RTM_NEWADDR, struct.pack("=BBBBI", family, prefix, IFA_F_NODAD, 0, index)
                  + attribute(IFA_LOCAL, number) + attribute(IFA_ADDRESS, number))

    def add_neighbour(self, index, address, lladdr):
        """Adds a permanent neighbour."""
        family, number = _family(address)
        self._add(RTM_NEWNEIGH, struct.pack("=BxxxiHBB", family, index, NUD_PERMANENT, 0, 0)
                  + attribute(NDA_DST, number) + attribute(NDA_LLADDR, _ethernet(lladdr)))

    def add_default_route(self, gateway):
        family, number = _family(gateway)
        self._add(RTM_NEWROUTE, struct.pack("=BBBBBBBBI", family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT,
                                            0, RTN_UNICAST, 0) + attribute(RTA_GATEWAY, number))
