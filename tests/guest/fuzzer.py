# SPDX-License-Identifier: GPL-2.0

"""The fuzzers of fuzz/guest, each in a network namespace of its own."""

import fcntl
import os
import struct
import subprocess
from pathlib import Path

from module import NAME
from network import Namespace

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
# Red Hat's, and QEMU's "inter-VM shared memory".
SHARED_MEMORY = ("0x1af4", "0x1110")
# Named after what they send.
TARGETS = ("netlink", "packets")


def shared_memory():
    """The file of the memory that `scripts/vm --keep` gives to the guest, if it did."""
    for device in Path("/sys/bus/pci/devices").iterdir():
        names = (device / "vendor", device / "device")
        if tuple(name.read_text(encoding="ascii").strip() for name in names) == SHARED_MEMORY:
            return device / "resource2"
    return None


def tun(name):
    """A TUN device in the namespace of the calling thread: the file that packets are written to."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    return fd


def network_for_packets():
    """A namespace through which packets can go every way, and the file of a device that they arrive at."""
    namespace = Namespace()
    with namespace:
        fd = tun(b"tun0")
    namespace.ip(
        # Nobody reads what leaves by it.
        "link set tun0 mtu 9216 txqueuelen 1",
        "address add 10.0.0.2/24 dev tun0",
        "address add fd00::2/64 dev tun0 nodad",
        "link set tun0 up",
        # No addresses of hardware, so that there are no neighbours to look for.
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


class Fuzzer:
    """A running fuzzer."""

    def __init__(self, target, program, directory, corpus, arguments):
        """`corpus` are inputs to begin with; what else it finds is in `self.inputs` at the end."""
        self.target = target
        self._directory = Path(directory, target)
        self._corpus = self._directory / "corpus"
        self._corpus.mkdir(parents=True)
        for number, data in enumerate(corpus):
            (self._corpus / f"{number:06}").write_bytes(data)
        text = Path("/sys/module", NAME, "sections/.text").read_text(encoding="ascii").strip()
        environment = {
            **os.environ,
            "NLDEMO_FUZZ_TEXT": text,
            "NLDEMO_FUZZ_COVERAGE": str(self._directory / "coverage"),
            "NLDEMO_FUZZ_TALLY": str(self._directory / "tally"),
        }
        if (memory := shared_memory()) is not None:
            environment["NLDEMO_FUZZ_LAST"] = str(memory)
            environment["NLDEMO_FUZZ_PLACE"] = str(TARGETS.index(target))
        if target == "packets":
            self.namespace, device = network_for_packets()
        else:
            self.namespace, device = Namespace(), os.open(os.devnull, os.O_RDONLY)
        with self.namespace, open(self._directory / "log", "wb") as log:
            self.process = subprocess.Popen(
                [program, *arguments, f"-artifact_prefix={self._directory}/", "-rss_limit_mb=0",
                 "-timeout=300", "-reload=0", "-print_final_stats=1", self._corpus],
                env=environment, stdin=device, stdout=log, stderr=log)
        os.close(device)

    @property
    def tally(self):
        """How much it has sent."""
        file = self._directory / "tally"
        return int(file.read_text(encoding="ascii") or 0) if file.exists() else 0

    @property
    def log(self):
        """What it said."""
        return (self._directory / "log").read_text(encoding="utf-8", errors="replace")

    @property
    def coverage(self):
        """The offsets in the module's code that its inputs came by; known at its end."""
        file = self._directory / "coverage"
        if not file.exists():
            return set()
        return {int(line, 16) for line in file.read_text(encoding="ascii").split()}

    @property
    def inputs(self):
        """All inputs that it found worth keeping."""
        return [file.read_bytes() for file in sorted(self._corpus.iterdir())]

    def close(self):
        """Ends it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.namespace.close()
