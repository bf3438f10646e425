# SPDX-License-Identifier: GPL-2.0

"""The module's hook queues a packet, and then a rule of nftables queues the same packet again. Both listeners
get the same information about the packet."""

import socket

import pytest

from family import FAMILIES, Echo
from netlink import attributes
from network import run
from nfqueue import (
    ACCEPT,
    FORWARD,
    LOCAL_IN,
    LOCAL_OUT,
    NFQA_CFG_F_CONNTRACK,
    NFQA_CFG_F_UID_GID,
    NFQA_IFINDEX_INDEV,
    NFQA_IFINDEX_OUTDEV,
    NFQA_MARK,
    NFQA_PACKET_HDR,
    NFQA_PAYLOAD,
    POST_ROUTING,
    PRE_ROUTING,
    Listener,
)

OURS, THEIRS = 0, 1
SO_PRIORITY, SO_MARK = 12, 36
NFQA_HWADDR, NFQA_CT, NFQA_CT_INFO, NFQA_UID, NFQA_GID, NFQA_PRIORITY = 9, 11, 12, 16, 17, 21
CTA_TIMEOUT = 7
RULES = "\n".join(f"""
    chain {hook} {{
        type filter hook {hook} priority 10;
        ct state invalid drop;
        ip protocol icmp queue num {THEIRS};
        icmpv6 type {{ echo-request, echo-reply }} queue num {THEIRS};
    }}""" for hook in ("prerouting", "input", "forward", "output", "postrouting"))

PACKET = {NFQA_PACKET_HDR, NFQA_PAYLOAD, NFQA_CT, NFQA_CT_INFO}
MARKS, SENDER = {NFQA_MARK, NFQA_PRIORITY}, {NFQA_UID, NFQA_GID}
IN, OUT = {NFQA_IFINDEX_INDEV}, {NFQA_IFINDEX_OUTDEV}
# The hook points that an echo request passes, and the attributes that a listener gets there.
PATH = [("near", LOCAL_OUT, PACKET | OUT | MARKS | SENDER),
        ("near", POST_ROUTING, PACKET | OUT | MARKS | SENDER),
        ("router", PRE_ROUTING, PACKET | IN | {NFQA_HWADDR}),
        ("router", FORWARD, PACKET | IN | OUT | {NFQA_HWADDR}),
        ("router", POST_ROUTING, PACKET | IN | OUT | {NFQA_HWADDR}),
        ("far", PRE_ROUTING, PACKET | IN | {NFQA_HWADDR}),
        ("far", LOCAL_IN, PACKET | IN | {NFQA_HWADDR})]


def told(packet):
    """Returns the family and the attributes of a packet, except its id and attributes that depend on the
    time."""
    found = dict(packet.told)
    found[NFQA_PACKET_HDR] = found[NFQA_PACKET_HDR][4:]
    if NFQA_CT in found:
        found[NFQA_CT] = attributes(found[NFQA_CT])
        found[NFQA_CT].pop(CTA_TIMEOUT, None)
    return packet.family, found


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_listener_is_told_what_a_rule_of_nftables_tells(load, routed, family):
    """Bug: at some hook point, the module's listener misses an attribute: an interface, the mark, or the
    connection."""
    run("modprobe", "-a", "nf_conntrack_netlink")
    load(hooks=31)
    flags = NFQA_CFG_F_CONNTRACK | NFQA_CFG_F_UID_GID
    listeners = {}
    for place in ("near", "router", "far"):
        namespace = getattr(routed, place)
        namespace.nft(f"table inet t {{ {RULES}\n}}")
        with namespace:
            for queue in (OURS, THEIRS):
                listeners[place, queue] = Listener(queue, flags=flags)
    with Echo(family, routed) as echo:
        echo.socket.setsockopt(socket.SOL_SOCKET, SO_MARK, 0x51)
        echo.socket.setsockopt(socket.SOL_SOCKET, SO_PRIORITY, 5)
        echo.send()
        for place, hook, expected in PATH:
            packets = []
            for queue in (OURS, THEIRS):
                listener = listeners[place, queue]
                packets.append(listener.receive())
                listener.decide(packets[-1], ACCEPT)
            ours, theirs = map(told, packets)
            assert packets[0].hook == hook
            assert ours == theirs
            assert (ours[0], set(ours[1])) == (family.number, expected), (place, hook)
    for listener in listeners.values():
        listener.close()
