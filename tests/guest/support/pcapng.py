# SPDX-License-Identifier: GPL-2.0

"""A reader of capture files. It shares no code with the program nldemo: tests would not notice a mistake in shared
code."""

import struct


def pcapng_packets(data):
    """The packets in a capture file, as (link type, interface name, time in ns, bytes, comment)."""
    interfaces, packets, offset = [], [], 0

    def options(body):
        found = {}
        while body:
            kind, length = struct.unpack_from("<HH", body)
            found[kind] = body[4:4 + length]
            body = body[4 + (length + 3) // 4 * 4:]
        return found

    while offset < len(data):
        kind, length = struct.unpack_from("<II", data, offset)
        body = data[offset + 8:offset + length - 4]
        assert data[offset + length - 4:offset + length] == struct.pack("<I", length)
        offset += length
        if kind == 1:
            found = options(body[8:])
            assert found[9] == b"\x09", "times in nanoseconds"
            interfaces.append((struct.unpack_from("<H", body)[0], found[2].decode()))
        elif kind == 6:
            number, high, low, captured, _ = struct.unpack_from("<5I", body)
            found = options(body[20 + (captured + 3) // 4 * 4:])
            packets.append((*interfaces[number], high << 32 | low, body[20:20 + captured],
                            found[1].decode()))
        else:
            assert kind == 0x0A0D0D0A
    return packets
