# SPDX-License-Identifier: GPL-2.0

"""Reads the memory in which the fuzzers of a guest keep their current inputs. fuzz/guest/kcov.c writes this memory."""

# The fuzzers of the module, in the order of their places in the memory.
TARGETS = ("netlink", "packets")
SIZE = 256 << 10


def kept(file):
    """The last input of each fuzzer that has tried an input, as {name of the fuzzer: input}."""
    memory = file.read_bytes() if file.exists() else b""
    found = {}
    for number, target in enumerate(TARGETS):
        place = memory[number * SIZE:(number + 1) * SIZE]
        length = int.from_bytes(place[:8], "little")
        if length:
            found[target] = place[8:8 + length]
    return found
