# SPDX-License-Identifier: GPL-2.0

"""Where a guest keeps the inputs that are being tried (fuzz/guest/kcov.c)."""

# Those of the module, in the order of their places.
TARGETS = ("netlink", "packets")
SIZE = 256 << 10


def kept(file):
    """The last input of each target, if there was one."""
    memory = file.read_bytes() if file.exists() else b""
    found = {}
    for number, target in enumerate(TARGETS):
        place = memory[number * SIZE:(number + 1) * SIZE]
        length = int.from_bytes(place[:8], "little")
        if length:
            found[target] = place[8:8 + length]
    return found
