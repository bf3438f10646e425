# SPDX-License-Identifier: GPL-2.0

"""Network namespaces, and packets to send through them."""

import contextlib
import fcntl
import itertools
import os
import select
import socket
import struct
import subprocess
from pathlib import Path

from netlink import DEADLINE, Client, attribute, attributes, pack
from rtnetlink import IFF_UP, IFINFOMSG, IFLA_IFNAME, NETLINK_ROUTE, RTM_NEWLINK, Devices

RTM_GETLINK, RTM_NEWNSID, RTM_GETNSID = 18, 88, 90
RTGENMSG, IFF_RUNNING = bytes(4), 0x40
NETNSA_NSID, NETNSA_FD = 1, 3
NETLINK_NETFILTER, NFNL_MSG_HOOK_GET = 12, 12 << 8
NFNLA_HOOK_HOOKNUM, NFNLA_HOOK_PRIORITY, NFNLA_HOOK_MODULE_NAME = 1, 2, 5
# The names that nftables uses. The place of a name in HOOKS is the kernel's number of the hook point.
FAMILIES = {"ip": socket.AF_INET, "ip6": socket.AF_INET6}
HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
ANY_NUMBER = -1

SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
SOL_RAW, ICMP_FILTER = 255, 1
ICMP_ECHO_REPLY, ICMP_UNREACHABLE, ICMP_ECHO_REQUEST = 0, 3, 8


def run(*command, **options):
    """Runs a command that must succeed. If the command fails, the exception shows the command's output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=3 * DEADLINE, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}"
    return done.stdout


def loopback_up():
    """Sets lo up in the network namespace of the calling thread."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH22x", b"lo", 0)
        name, flags = struct.unpack("16sH22x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", name, flags | IFF_UP))


# A client in the initial network namespace: this line runs before a test enters another namespace.
_INITIAL = Client(NETLINK_ROUTE)


def unshare():
    """Makes a network namespace with lo up, puts the calling thread into it, and returns its file descriptor.

    In the initial namespace, the new namespace gets a number (nsid). The kernel removes the number when it
    begins to destroy the new namespace.
    """
    os.unshare(os.CLONE_NEWNET)
    fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        number = attribute(NETNSA_NSID, struct.pack("=i", ANY_NUMBER))
        _INITIAL.send(pack(RTM_NEWNSID, RTGENMSG + number + attribute(NETNSA_FD, struct.pack("=I", fd))))
        loopback_up()
    except OSError:
        os.close(fd)
        raise
    return fd


def numbered():
    """The numbers of all existing namespaces that `unshare()` and `named()` made."""
    with Client(NETLINK_ROUTE) as client:
        found = (attributes(message.payload[len(RTGENMSG):])[NETNSA_NSID]
                 for message in client.dump(RTM_GETNSID, RTGENMSG))
        return {struct.unpack("=i", number)[0] for number in found}


@contextlib.contextmanager
def named(name):
    """Makes a network namespace with `ip netns`. It has a name, and a number in the calling thread's namespace."""
    run("ip", "netns", "add", name)
    run("ip", "netns", "set", name, "auto")
    try:
        yield name
    finally:
        run("ip", "netns", "delete", name)


def await_carrier(*devices):
    """Waits until these veth devices, in the calling thread's network namespace, can send. Both ends of each
    pair must be up.

    If a device was set up before the other end of its pair, the kernel gives it a carrier later, in a worker.
    Until then the device silently drops the packets that it should send. When a program asks for the device by
    RTM_GETLINK, the kernel does the worker's task before it answers.
    """
    with Client(NETLINK_ROUTE) as client:
        for name in devices:
            client.send(pack(RTM_GETLINK, bytes(IFINFOMSG.size) + attribute(IFLA_IFNAME, name.encode() + b"\0")))
            answer = client.receive()
            assert answer.kind == RTM_NEWLINK, answer
            assert IFINFOMSG.unpack_from(answer.payload)[3] & IFF_RUNNING, f"{name} has no carrier"


def nft(ruleset):
    """Applies a ruleset of nftables, in the network namespace of the calling thread."""
    run("nft", "-f", "-", input=ruleset)


def crowd(point):
    """Rules of nftables with 1024 hooks at an IPv4 hook point. The kernel allows no more at a point
    (MAX_HOOK_COUNT)."""
    chains = "".join(f"chain c{number} {{ type filter hook {point} priority 1; }}\n"
                     for number in range(1024))
    return f"table ip crowd {{ {chains} }}"


NO_CROWD = "delete table ip crowd"


class Namespace:
    """A new network namespace with lo up. `with namespace:` puts the calling thread into it.

    A socket stays in the namespace that it was made in. So one thread can use sockets of several namespaces.
    """

    def __init__(self):
        self._homes = []
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            self.fd = unshare()
        finally:
            os.setns(home, os.CLONE_NEWNET)
            os.close(home)

    def __enter__(self):
        self._homes.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        os.setns(self.fd, os.CLONE_NEWNET)
        return self

    def __exit__(self, *_):
        home = self._homes.pop()
        os.setns(home, os.CLONE_NEWNET)
        os.close(home)

    def close(self):
        """Closes the descriptor. The kernel destroys the namespace when no process, socket or other descriptor
        uses it."""
        os.close(self.fd)

    @property
    def path(self):
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def socket(self, *arguments):
        with self:
            return socket.socket(*arguments)

    def client(self, *arguments, **options):
        with self:
            return Client(*arguments, **options)

    def ip(self, *commands):
        """Runs ip(8) commands."""
        with self:
            run("ip", "-batch", "-", input="\n".join(commands) + "\n")

    def await_carrier(self, *devices):
        with self:
            await_carrier(*devices)

    def nft(self, ruleset):
        with self:
            nft(ruleset)

    def sysctl(self, name, value):
        with self:
            Path("/proc/sys/net", name).write_text(f"{value}\n", encoding="ascii")

    def hooks(self, module):
        """The points at which the module has hooks: {("ip", "prerouting", priority), ...}."""
        found = []
        with self.client(NETLINK_NETFILTER) as client:
            for (family, number), (hook, point) in itertools.product(FAMILIES.items(), enumerate(HOOKS)):
                request = struct.pack(">BBH", number, 0, 0) + attribute(
                    NFNLA_HOOK_HOOKNUM, struct.pack(">I", hook))
                for message in client.dump(NFNL_MSG_HOOK_GET, request):
                    told = attributes(message.payload[4:])
                    if told.get(NFNLA_HOOK_MODULE_NAME) == module.encode() + b"\0":
                        found.append((family, point, *struct.unpack(">i", told[NFNLA_HOOK_PRIORITY])))
        assert len(found) == len(set(found)), f"two hooks at one point: {found}"
        return set(found)

    def counters(self):
        """The SNMP counters, as {"Icmp": {"InMsgs": 1, ...}, ...}."""
        with self:
            lines = Path("/proc/thread-self/net/snmp").read_text(encoding="ascii").splitlines()
        return {names.split(":")[0]: dict(zip(names.split()[1:], map(int, values.split()[1:])))
                for names, values in itertools.batched(lines, 2)}


def connect_by_router(near, router, far):
    """Connects the namespaces `near` and `far` through `router`. The addresses of `near` are 192.0.2.1 and
    fd00:1::1, those of `far` are 198.51.100.1 and fd00:2::1. The neighbour entries are permanent, so the kernel
    sends no packets to find neighbours."""
    for number, end, host, via, network in (
            (0, near, "192.0.2.1", "192.0.2.254", "fd00:1::"),
            (1, far, "198.51.100.1", "198.51.100.254", "fd00:2::")):
        name = f"veth{number}"
        lladdr, via_lladdr = (f"02:00:00:00:{number:02}:{side:02}" for side in (1, 2))
        with router, Devices() as devices:
            devices.add_pair(name, via_lladdr, "veth0", lladdr, end.fd)
            index = socket.if_nametoindex(name)
            devices.add_address(index, via, 24)
            devices.add_address(index, f"{network}fe", 64)
            devices.set_up(index)
            devices.add_neighbour(index, host, lladdr)
            devices.add_neighbour(index, f"{network}1", lladdr)
        with end, Devices() as devices:
            index = socket.if_nametoindex("veth0")
            devices.add_address(index, host, 24)
            devices.add_address(index, f"{network}1", 64)
            devices.set_up(index)
            devices.add_neighbour(index, via, via_lladdr)
            devices.add_neighbour(index, f"{network}fe", via_lladdr)
            devices.add_default_route(via)
            devices.add_default_route(f"{network}fe")
        router.await_carrier(name)
        end.await_carrier("veth0")
    router.sysctl("ipv4/ip_forward", 1)
    router.sysctl("ipv6/conf/all/forwarding", 1)


def _connect(devices, address, other, other_lladdr):
    index = socket.if_nametoindex("veth0")
    devices.add_address(index, address, 24)
    devices.set_up(index)
    devices.add_neighbour(index, other, other_lladdr)


def join(near, far):
    """Connects two namespaces by a pair of devices. Both devices are named veth0. The address of `near` is
    192.0.2.1, that of `far` is 192.0.2.2."""
    near_lladdr, far_lladdr = "02:00:00:00:00:01", "02:00:00:00:00:02"
    with near, Devices() as devices:
        devices.add_pair("veth0", near_lladdr, "veth0", far_lladdr, far.fd)
        _connect(devices, "192.0.2.1", "192.0.2.2", far_lladdr)
    with far, Devices() as devices:
        _connect(devices, "192.0.2.2", "192.0.2.1", near_lladdr)
    for end in (near, far):
        end.await_carrier("veth0")


class Path4:
    """A path for IPv4 packets from `near` to `far` and back. `near` and `far` can be the same namespace."""

    def __init__(self, near, near_address, far, far_address):
        self.near, self.near_address = near, near_address
        self.far, self.far_address = far, far_address
        self._markers = [self._udp(near, near_address), self._udp(far, far_address)]
        self._count = itertools.count()

    @staticmethod
    def _udp(namespace, address):
        marker = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        marker.bind((address, 0))
        marker.settimeout(DEADLINE)
        return marker

    def close(self):
        for marker in self._markers:
            marker.close()

    def settle(self):
        """Waits until all packets that were sent before this call, and their replies, have arrived.

        Sends a UDP packet to the far end, and then a UDP packet back. Each device delivers packets in order, to
        the CPU that they were sent on. The test is pinned to one CPU, so the UDP packets arrive last.
        """
        near, far = self._markers
        for sender, receiver in ((near, far), (far, near)):
            token = struct.pack("=Q", next(self._count))
            sender.sendto(token, receiver.getsockname())
            assert receiver.recv(64) == token

    def pinger(self):
        return Pinger(self.near, self.far_address)

    def unanswered(self):
        """The number of echo requests that the kernel received but did not answer. icmp_reply() drops a reply
        if another reply is being sent on the same CPU. That happens only on PREEMPT_RT, where the task that sends
        the other reply can be preempted."""
        if "PREEMPT_RT" not in os.uname().version:
            return 0
        icmp = self.far.counters()["Icmp"]
        return icmp["InEchos"] - icmp["OutEchoReps"]

    def packets(self):
        """A socket that sees the IPv4 packets that arrive at the far end's veth0."""
        sniffer = self.far.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        sniffer.bind(("veth0", 0x0800))
        return sniffer


def checksum(data):
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def icmp(kind, code=0, rest=bytes(4), data=b""):
    message = struct.pack(">BBH4s", kind, code, 0, rest) + data
    return message[:2] + struct.pack(">H", checksum(message)) + message[4:]


def ipv4(source, destination, payload, *, protocol=socket.IPPROTO_ICMP, version=4, ihl=None,
         length=None, fragment=0, options=b"", identification=0x1234, check=None):
    """An IPv4 packet. By default, all its fields are correct."""
    true_ihl = 5 + len(options) // 4
    header = struct.pack(
        ">BBHHHBBH4s4s", version << 4 | (true_ihl if ihl is None else ihl), 0,
        20 + len(options) + len(payload) if length is None else length,
        identification, fragment, 64, protocol, 0,
        socket.inet_aton(source), socket.inet_aton(destination)) + options
    check = checksum(header) if check is None else check
    return header[:10] + struct.pack(">H", check) + header[12:] + payload


def ipv6(source, destination, payload, *, following=socket.IPPROTO_ICMPV6, version=6, length=None,
         hop_limit=64):
    """An IPv6 packet. By default, all its fields are correct."""
    return struct.pack(
        ">IHBB16s16s", version << 28, len(payload) if length is None else length, following, hop_limit,
        socket.inet_pton(socket.AF_INET6, source), socket.inet_pton(socket.AF_INET6, destination)
    ) + payload


class Pinger:
    """Sends echo requests and collects the replies."""

    _idents = itertools.count(0x4000)
    _BYTES = bytes(range(256)) * 2

    def __init__(self, namespace, destination):
        self.ident = next(self._idents) & 0xFFFF
        self.destination = destination
        self.socket = namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        # The kernel limits the sizes of the buffers to those that it allows unprivileged users. ICMP_FILTER lets
        # only echo replies through.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", ~1 & 0xFFFFFFFF))
        self.socket.connect((destination, 0))
        self._data = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, seq=1, size=56):
        """Sends an echo request with `size` bytes of data. The reply must have the same data."""
        first = seq & 0xFF
        self._data[seq] = (self._BYTES[first:first + 256] * (size // 256 + 1))[:size]
        rest = struct.pack(">HH", self.ident, seq)
        self.socket.send(icmp(ICMP_ECHO_REQUEST, rest=rest, data=self._data[seq]))

    def _next(self, timeout):
        while select.select([self.socket], [], [], timeout)[0]:
            packet = self.socket.recv(1 << 17)
            message = packet[(packet[0] & 0xF) * 4:]
            if message[0] != ICMP_ECHO_REPLY:
                continue
            ident, seq = struct.unpack_from(">HH", message, 4)
            if ident == self.ident:
                assert message[8:] == self._data[seq], "the reply has other data"
                return seq
        return None

    def reply(self):
        """The sequence number of the next reply."""
        seq = self._next(DEADLINE)
        if seq is None:
            raise TimeoutError(f"no echo reply from {self.destination}")
        return seq

    def replies(self):
        """The sequence numbers of the replies that have arrived and were not read yet."""
        found = []
        while (seq := self._next(0)) is not None:
            found.append(seq)
        return found

    def ping(self, seq=1, size=56):
        self.send(seq, size)
        assert self.reply() == seq


@contextlib.contextmanager
def pinned(cpu=None):
    """Keeps the calling thread, and so the packets that it sends, on one CPU. By default, this is the first CPU
    that the thread can use."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus) if cpu is None else cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)
