# SPDX-License-Identifier: GPL-2.0

"""A client of generic netlink: it reads what the kernel tells about a family, and sends messages to the
family."""

import struct

from netlink import Client, attribute, attributes, pack

PROTOCOL = 16
HEAD = struct.Struct("=BBH")

CONTROLLER = 16
GETFAMILY, NEWFAMILY, GETPOLICY = 3, 1, 10
FAMILY_ID, FAMILY_NAME, OPS, MCAST_GROUPS, POLICY, OP_POLICY = 1, 2, 6, 7, 8, 9


def message(command, payload=b"", *, version=1, reserved=0):
    """Returns the payload of a netlink message to a family."""
    return HEAD.pack(command, version, reserved) + payload


def taken_apart(answer):
    """Returns the command, the version and the attributes of a message from a family."""
    command, version, reserved = HEAD.unpack_from(answer.payload)
    assert reserved == 0
    return command, version, attributes(answer.payload[HEAD.size:])


class Family:
    """A family of generic netlink, to which a client sends requests."""

    def __init__(self, client, name):
        self.client, self.name = client, name
        client.send(pack(CONTROLLER, message(GETFAMILY, attribute(FAMILY_NAME, name.encode() + b"\0"))))
        answer = client.receive()
        if answer.kind != CONTROLLER:
            raise LookupError(name)
        command, _, found = taken_apart(answer)
        assert command == NEWFAMILY
        self.number = struct.unpack("=H", found[FAMILY_ID])[0]
        self.groups = {}
        for group in attributes(found.get(MCAST_GROUPS, b"")).values():
            told = attributes(group)
            self.groups[told[1].rstrip(b"\0").decode()] = struct.unpack("=I", told[2])[0]

    def send(self, command, payload=b"", **options):
        self.client.send(pack(self.number, message(command, payload), **options))

    def dump(self, command, payload=b""):
        return [taken_apart(part) for part in self.client.dump(self.number, message(command, payload))]

    def policies(self):
        """Returns the family's policies as the kernel exports them: (policies by operation, rules by
        policy)."""
        operations, found = {}, {}
        request = message(GETPOLICY, attribute(FAMILY_NAME, self.name.encode() + b"\0"))
        for part in self.client.dump(CONTROLLER, request):
            told = attributes(part.payload[HEAD.size:])
            for number, inner in attributes(told.get(OP_POLICY, b"")).items():
                operations[number] = {kind: struct.unpack("=I", value)[0]
                                      for kind, value in attributes(inner).items()}
            for index, inner in attributes(told.get(POLICY, b"")).items():
                for number, rule in attributes(inner).items():
                    found.setdefault(index, {})[number] = attributes(rule)
        return operations, found


def is_there(name):
    """Whether the kernel has a family with this name."""
    with Client(PROTOCOL) as client:
        try:
            return bool(Family(client, name).number)
        except LookupError:
            return False
