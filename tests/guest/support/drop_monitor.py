# SPDX-License-Identifier: GPL-2.0

"""The kernel's monitor of dropped packets (net/core/drop_monitor.c). It keeps a clone of each dropped
packet."""

import struct

from netlink import NLM_F_ACK, NLM_F_REQUEST, Client, attribute, attributes, pack
from network import run

NETLINK_GENERIC = 16
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2
CMD_CONFIG, CMD_START, CMD_STOP = 2, 3, 4
ATTR_ALERT_MODE, ALERT_MODE_PACKET = 1, 1


class DropMonitor:
    """Until the end of the `with` block, the kernel keeps clones of the packets that it drops. It frees each
    clone at the end of the block at the latest."""

    def __enter__(self):
        run("modprobe", "drop_monitor")
        self._client = Client(NETLINK_GENERIC)
        family = self._ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY,
                           attribute(CTRL_ATTR_FAMILY_NAME, b"NET_DM\0"), flags=0)
        (self._family,) = struct.unpack("=H", attributes(family.payload[4:])[CTRL_ATTR_FAMILY_ID])
        self._command(CMD_CONFIG, attribute(ATTR_ALERT_MODE, bytes([ALERT_MODE_PACKET])))
        self._command(CMD_START)
        return self

    def __exit__(self, *_):
        self._command(CMD_STOP)
        self._client.close()

    def _ask(self, kind, command, payload, flags):
        header = struct.pack("=BBxx", command, 2)
        self._client.send(pack(kind, header + payload, flags=NLM_F_REQUEST | flags))
        return self._client.receive()

    def _command(self, command, payload=b""):
        answer = self._ask(self._family, command, payload, NLM_F_ACK)
        (error,) = struct.unpack_from("=i", answer.payload)
        assert error == 0, f"command {command}: {error}"
