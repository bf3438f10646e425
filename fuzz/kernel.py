# SPDX-License-Identifier: GPL-2.0

"""Starts the fuzzers of the module (fuzz/guest), each in its own network namespace."""

import fcntl
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "guest" / "support"))

from libfuzzer import LibFuzzer  # noqa: E402
from module import NAME  # noqa: E402 # in tests/guest/support
from network import Namespace  # noqa: E402
from places import TARGETS  # noqa: E402

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
# The numbers of the PCI vendor (Red Hat) and of the PCI device (QEMU's "inter-VM shared memory").
SHARED_MEMORY = ("0x1af4", "0x1110")


def shared_memory():
    """The file for the memory that the guest shares with the host (`scripts/vm --keep`), or None."""
    for device in Path("/sys/bus/pci/devices").iterdir():
        names = (device / "vendor", device / "device")
        if tuple(name.read_text(encoding="ascii").strip() for name in names) == SHARED_MEMORY:
            return device / "resource2"
    return None


def tun(name):
    """Makes a TUN device in the namespace of the calling thread. Returns its file descriptor: a packet that is written
    to it arrives at the device."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    return fd


def network_for_packets():
    """Returns a namespace that accepts and forwards all packets, and the file descriptor of its TUN device."""
    namespace = Namespace()
    with namespace:
        fd = tun(b"tun0")
    namespace.ip(
        # Nobody reads the packets that leave by tun0. Its queue keeps one packet, and the kernel drops the others.
        "link set tun0 mtu 9216 txqueuelen 1",
        "address add 10.0.0.2/24 dev tun0",
        "address add fd00::2/64 dev tun0 nodad",
        "link set tun0 up",
        # With "arp off", the kernel does not ask for the hardware address of the destination.
        "link add dummy0 type dummy",
        "link set dummy0 arp off mtu 9216 up",
        "route add 10.1.0.0/16 dev dummy0",
        "route add 255.255.255.255 dev dummy0",
        "route add fd01::/64 dev dummy0",
    )
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/conf/all/accept_local",
                 "ipv4/conf/all/route_localnet", "ipv4/ipfrag_time", "ipv6/ip6frag_time"):
        namespace.sysctl(name, 1)
    return namespace, fd


class KernelFuzzer(LibFuzzer):
    """A running fuzzer of the module."""

    def __init__(self, program, directory, inputs, **options):
        directory = Path(directory, program.name)
        self._tally = directory / "tally"
        self._coverage = directory / "coverage"
        text = Path("/sys/module", NAME, "sections/.text").read_text(encoding="ascii").strip()
        environment = {
            "NLDEMO_FUZZ_TEXT": text,
            "NLDEMO_FUZZ_COVERAGE": str(self._coverage),
            "NLDEMO_FUZZ_TALLY": str(self._tally),
        }
        if (memory := shared_memory()) is not None:
            environment["NLDEMO_FUZZ_LAST"] = str(memory)
            environment["NLDEMO_FUZZ_PLACE"] = str(TARGETS.index(program.name))
        if program.name == "packets":
            self.namespace, self._device = network_for_packets()
        else:
            self.namespace, self._device = Namespace(), os.open(os.devnull, os.O_RDONLY)
        with self.namespace:
            super().__init__(program, directory, inputs, environment=environment,
                             stdin=self._device, **options)

    @property
    def tally(self):
        """The number of messages or packets that the fuzzer has sent."""
        return int(self._tally.read_text(encoding="ascii") or 0) if self._tally.exists() else 0

    @property
    def coverage(self):
        """The offsets in the module's code that the fuzzer's inputs reached. The fuzzer writes them when it ends.
        Before that, this set is empty."""
        if not self._coverage.exists():
            return set()
        return {int(line, 16) for line in self._coverage.read_text(encoding="ascii").split()}

    @property
    def reached(self):
        return len(self.coverage)

    def merge(self):
        with self.namespace:
            super().merge()

    def close(self):
        super().close()
        os.close(self._device)
        self.namespace.close()


def prepare():
    """Prepares the kernel for the fuzzers. The caller loads the module."""
    # With this limit, clients can have receive buffers that are large enough for all answers.
    Path("/proc/sys/net/core/rmem_max").write_text(f"{1 << 24}\n", encoding="ascii")
