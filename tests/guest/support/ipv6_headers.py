# SPDX-License-Identifier: GPL-2.0

"""Makes the headers that can be between an IPv6 header and its payload."""

import struct

# Protocol numbers.
HOP, ROUTING, FRAGMENT, ESP, AH, ICMPV6, NONE, DESTINATION = 0, 43, 44, 50, 51, 58, 59, 60
MOBILITY, HIP, SHIM6, TCP, UDP = 135, 139, 140, 6, 17


def extension(following, *, units=0, body=None):
    """Returns an extension header of 8 + 8 * `units` bytes. By default its body is padding."""
    size = 6 + 8 * units
    return struct.pack(">BB", following, units) + (body or bytes([1, size - 2]) + bytes(size - 2))


def fragment(following, offset=0, more=0):
    return struct.pack(">BBHI", following, 0, offset << 3 | more, 0x1234)


def chain(count, last, payload):
    """Returns `count` headers with destination options, and then the payload, whose protocol is `last`."""
    return b"".join(extension(DESTINATION) for _ in range(count - 1)) + extension(last) + payload
