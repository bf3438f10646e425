# SPDX-License-Identifier: GPL-2.0

"""nldemo's socket filters: the packets that its BPF program counts, and the messages that the kernel still
delivers to a netlink socket with a filter."""

import errno
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from control import Monitor
from ipv6_headers import AH, DESTINATION, FRAGMENT, HOP, chain, extension, fragment
from netlink import DEADLINE, NLM_F_REQUEST, Client, attribute, pack, sockets, wait_until
from network import Namespace, Path4, ipv4, ipv6, join, pinned, run

DONE, ERROR = 0, 2
TCP, UDP, ICMP, ICMPV6, OTHER = "tcp", "udp", "icmp", "icmpv6", "other"
IPV4, IPV6, ARP, VLAN, PROVIDER = 0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8

UNPRIVILEGED_BPF = Path("/proc/sys/kernel/unprivileged_bpf_disabled")
SYS_BPF, SYS_SOCKET = {"x86_64": (321, 41)}.get(os.uname().machine, (280, 198))
BPF_MAP_CREATE = 0
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000

CONFIG_SET = 19
CONFIG_A_QUEUE = 2


def packet4(protocol, payload=bytes(20), **header):
    return ipv4("192.0.2.1", "203.0.113.1", payload, protocol=protocol, **header)


def packet6(following, payload=bytes(20)):
    return ipv6("fd00::1", "fd00::2", payload, following=following)


# Each frame: the protocol under which the BPF program must count it, the Ethernet protocol, the packet, and
# the VLAN tags around the packet. No host accepts these packets or answers them.
TAGGED = [
    (TCP, IPV4, packet4(6), VLAN),
    (ICMPV6, IPV6, packet6(58), VLAN),
    (UDP, IPV4, packet4(17), PROVIDER, VLAN),
    (TCP, IPV6, packet6(DESTINATION, extension(6)), VLAN, VLAN),
    (ICMP, IPV4, packet4(1), PROVIDER, VLAN, VLAN),
    (OTHER, ARP, bytes(28), VLAN),
    # The first bytes of this ARP packet look like the rest of a tag, with the Ethernet protocol of IPv4.
    (OTHER, ARP, bytes.fromhex("0001 0800 0604 0001") + bytes(20), VLAN),
    (OTHER, IPV4, packet4(6), VLAN, VLAN, VLAN, VLAN, VLAN),
]
FRAMES = [
    (TCP, IPV4, packet4(6)),
    (UDP, IPV4, packet4(17)),
    (ICMP, IPV4, packet4(1)),
    (TCP, IPV4, packet4(6, options=bytes(40))),
    # A later fragment of IPv4 is counted, too, because its IP header has the protocol.
    (UDP, IPV4, packet4(17, fragment=100)),
    (OTHER, IPV4, packet4(132)),
    (OTHER, IPV4, packet4(58)),
    # The first packet ends before the header's field for the protocol, the second one right behind this
    # field.
    (OTHER, IPV4, packet4(6)[:9]),
    (TCP, IPV4, packet4(6)[:10]),
    (TCP, IPV6, packet6(6)),
    (UDP, IPV6, packet6(17)),
    (ICMPV6, IPV6, packet6(58)),
    (OTHER, IPV6, packet6(1)),
    (OTHER, IPV6, packet6(59)),
    (OTHER, IPV6, packet6(6)[:6]),
    # The transport header follows extension headers of different kinds and lengths.
    (UDP, IPV6, packet6(HOP, extension(17, units=3) + bytes(8))),
    (TCP, IPV6, packet6(DESTINATION, extension(6, units=30) + bytes(8))),
    (TCP, IPV6, packet6(AH, struct.pack(">BB22x", 6, 4) + bytes(20))),
    (UDP, IPV6, packet6(FRAGMENT, fragment(17, more=1) + bytes(8))),
    (ICMPV6, IPV6, packet6(HOP, extension(FRAGMENT) + fragment(58) + bytes(8))),
    # In a later fragment the BPF program reads no header after the fragment header, even if the data looks
    # like a header.
    (UDP, IPV6, packet6(FRAGMENT, fragment(17, 9) + bytes(8))),
    (OTHER, IPV6, packet6(FRAGMENT, fragment(DESTINATION, 9) + extension(6))),
    # First as many extension headers as the kernel accepts, then one more.
    (TCP, IPV6, packet6(DESTINATION, chain(12, 6, bytes(20)))),
    (OTHER, IPV6, packet6(DESTINATION, chain(13, 6, bytes(20)))),
    (OTHER, IPV6, packet6(DESTINATION, extension(6)[:7])),
    (TCP, IPV6, packet6(DESTINATION, b"\6\xff" + bytes(6))),
    (OTHER, ARP, bytes(28)),
    (OTHER, 0x88b5, bytes(50)),
    *TAGGED,
]


def frame(protocol, packet, tags):
    """Returns an Ethernet frame for the far end of a link."""
    types = b"".join(struct.pack(">HH", tag, 0x6005) for tag in tags)
    return bytes.fromhex("020000000002 020000000001") + types + struct.pack(">H", protocol) + packet


@pytest.fixture
def quiet_link(namespaces):
    """A link on which no host sends packets of its own accord. For that, IPv6 is disabled on the link. The
    BPF program counts IPv6 packets nevertheless."""
    near, far = namespaces(), namespaces()
    for namespace in (near, far):
        namespace.sysctl("ipv6/conf/default/disable_ipv6", 1)
    join(near, far)
    with pinned():
        path = Path4(near, "192.0.2.1", far, "192.0.2.2")
        path.settle()
        yield path
        path.close()


@pytest.fixture
def counting(running):
    """Starts `nldemo filter count` on an interface of a namespace, and waits until it counts."""
    def counting(namespace, *arguments, interface="veth0"):
        with namespace:
            counter = running("filter", "count", interface, *arguments)
        assert counter.event().items() >= {"event": "ready", "interface": interface}.items()
        return counter

    return counting


def volumes(record):
    """Returns the received and the sent packets, each as {protocol: (packets, bytes)}. Protocols without
    packets are left out."""
    return tuple({protocol: (volume["packets"], volume["bytes"])
                  for protocol, volume in record[direction].items() if any(volume.values())}
                 for direction in ("received", "sent"))


def end(counter):
    """Ends a count. Returns its summary."""
    counter.signal(signal.SIGINT)
    summary = counter.rest()[-1]
    assert summary["event"] == "summary"
    return volumes(summary)


def total(frames):
    """Returns the number of packets and bytes of frames, by protocol."""
    sums = {}
    for protocol, size in frames:
        packets, length = sums.get(protocol, (0, 0))
        sums[protocol] = packets + 1, length + size
    return sums


def keep_sending(namespace, address, stop):
    """Sends as fast as possible until `stop`. Nobody needs to read the packets."""
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while not stop.is_set():
            for _ in range(100):
                sender.sendto(b"data", address)


def send_on_all_cpus(namespace, count):
    """The kernel sends `count` packets over lo on each CPU, as fast as it can. No socket receives them."""
    run("modprobe", "pktgen")
    with namespace:
        control = Path("/proc/thread-self/net/pktgen")
        for cpu in os.sched_getaffinity(0):
            (control / f"kpktgend_{cpu}").write_text(f"add_device lo@{cpu}\n", encoding="ascii")
            for setting in (f"count {count}", "delay 0", "dst 203.0.113.1"):
                (control / f"lo@{cpu}").write_text(f"{setting}\n", encoding="ascii")
        (control / "pgctrl").write_text("start\n", encoding="ascii")


def sums(volumes_by_protocol):
    """Returns the number of packets and bytes of all protocols together."""
    return tuple(sum(volume[unit] for volume in volumes_by_protocol.values())
                 for unit in ("packets", "bytes"))


def received_by(namespace, interface):
    """Returns the packets and bytes that an interface has received, according to the kernel's counters."""
    with namespace:
        lines = Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines()
    [line] = [line for line in lines if line.strip().startswith(f"{interface}:")]
    length, packets, *_ = line.split(":")[1].split()
    return int(packets), int(length)


def as_user(*capabilities):
    """Returns the words to put before a command, so that it runs as a user with only these capabilities."""
    listed = ",".join(("-all", *(f"+{name}" for name in capabilities)))
    return ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
            f"--inh-caps={listed}", f"--ambient-caps={listed}", "--")


def refused(*command):
    """Runs a command that must fail at its start. Returns its error message."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert (done.returncode, done.stdout) == (ERROR, "")
    assert done.stderr.startswith("error: ")
    return done.stderr


@pytest.fixture
def unprivileged_bpf():
    """Returns a function that sets which BPF programs users without CAP_BPF may load: none (2), or programs
    that pass the verifier's strictest rules (0)."""
    before = UNPRIVILEGED_BPF.read_text(encoding="ascii")
    yield lambda setting: UNPRIVILEGED_BPF.write_text(f"{setting}\n", encoding="ascii")
    UNPRIVILEGED_BPF.write_text(before, encoding="ascii")


# These tests check the command `nldemo filter count`.


def test_count_by_protocol(quiet_link, counting):
    """Bug: the BPF program treats an extension header as the transport header. Or it parses the data of a
    later fragment as a header. Each frame leaves at one end of the link and arrives at the other end."""
    near, far = counting(quiet_link.near), counting(quiet_link.far)
    with quiet_link.near.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("veth0", 0))
        for _, protocol, packet, *tags in FRAMES:
            raw.send(frame(protocol, packet, tags))
    quiet_link.settle()
    settling = (UDP, 20 + 8 + 8)
    received, sent = end(near)
    assert sent == total([settling, *((kind, len(packet)) for kind, _, packet, *_ in FRAMES)])
    assert received == total([settling])
    # The kernel removes one tag of an incoming packet before the BPF program sees the packet.
    expected = total([settling, *((kind, len(packet) + 4 * len(tags[1:]))
                                  for kind, _, packet, *tags in FRAMES)])
    assert end(far) == (expected, received)


def test_count_of_one_interface_at_an_interval(quiet_link, counting):
    """On lo every packet is both sent and received. Packets of other interfaces are not counted."""
    counter = counting(quiet_link.near, "--interval", "0.02", interface="lo")
    quiet_link.settle()
    local = Path4(quiet_link.near, "127.0.0.1", quiet_link.near, "127.0.0.1")
    local.settle()
    while (record := counter.event())["received"]["udp"]["packets"] < 2:
        assert record["event"] == "counts"
    counter.signal(signal.SIGINT)
    *_, summary = counter.rest()
    local.close()
    # If nldemo reads the counters during an update, a record may count a packet, but not its bytes yet. So
    # the test compares the summary.
    assert volumes(summary) == ({UDP: (2, 72)}, {UDP: (2, 72)})
    rate = summary["per_second"]["received"]["udp"]["packets"]
    assert rate == pytest.approx(2 / summary["seconds"])


def test_count_in_plain_words(loopback, peer):
    """The command prints a table for each reading and one for the total. With --count, it ends by itself."""
    with loopback.near:
        status, output, errors = peer("filter", "count", "lo", "--interval", "0.01", "--count", "2")
    assert (status, errors) == (DONE, "")
    lines = output.splitlines()
    assert lines[0].endswith("counting on lo")
    # Each table has a line for the time, a heading, and a line for each of five protocols in two directions.
    assert len(lines) == 1 + 3 * 12
    assert lines[-10].split() == ["received", "tcp", "0", "0", "0.0", "0.0"]


def test_count_of_no_interface(peer_program, load):
    """The error says that there is no such interface, and how to list the interfaces."""
    message = refused(peer_program, "filter", "count", "no-such0")
    assert "no interface 'no-such0'" in message and "ENODEV" in message and "`ip link`" in message


def test_count_of_another_namespace(blue, peer):
    """-N selects the network namespace of the interface, as it does for all commands."""
    run("ip", "-n", blue, "link", "add", "veth7", "type", "veth", "peer", "veth8")
    count = ("filter", "count", "veth7", "--interval", "0.01", "--count", "1")
    assert peer("-N", blue, *count)[0] == DONE
    assert peer(*count)[0] == ERROR


def test_count_of_an_interface_that_goes(quiet_link, counting):
    """Bug: after the interface is gone, the command continues and counts nothing, or ends without printing
    its counts. The command must not look for the interface by name, because another interface gets the
    name."""
    counter = counting(quiet_link.near, "--interval", "0.02")
    quiet_link.settle()
    quiet_link.near.ip("link set veth0 name veth7", "link add veth0 type veth peer name veth8")
    assert counter.event()["event"] == "counts"
    quiet_link.near.ip("link delete veth7")
    output, errors = counter.process.communicate(timeout=DEADLINE)
    assert counter.process.returncode == ERROR
    assert b"no interface 'veth0'" in errors
    summary = json.loads(output.splitlines()[-1])
    assert summary["event"] == "summary"
    assert volumes(summary) == ({UDP: (1, 36)}, {UDP: (1, 36)})


def test_count_of_an_interface_that_is_down_at_times(loopback, counting):
    """If the interface is down at the start or later, the count goes on when the interface is up again."""
    down, up = "link set lo down", "link set lo up"
    loopback.near.ip(down)
    counter = counting(loopback.near, interface="lo")
    for commands in ((up,), (down, up)):
        loopback.near.ip(*commands)
        loopback.settle()
    assert end(counter) == ({UDP: (4, 144)}, {UDP: (4, 144)})


def test_count_of_an_interface_without_link_layer_headers(namespaces, counting):
    """Bug: packets of a tun interface have no Ethernet header, but the BPF program treats other bytes as an
    Ethernet header."""
    run("modprobe", "tun")
    packets = [(kind, protocol, packet) for kind, protocol, packet, *tags in FRAMES
               if protocol in (IPV4, IPV6) and not tags]
    namespace = namespaces()
    namespace.sysctl("ipv6/conf/default/disable_ipv6", 1)
    with namespace:
        tun = open("/dev/net/tun", "r+b", buffering=0)
    with tun, pinned():
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
        namespace.ip("link set tun0 up")
        counter = counting(namespace, interface="tun0")
        for _, _, packet in packets:
            tun.write(packet)
        with namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as sender:
            for _, protocol, packet in packets:
                sender.sendto(packet, ("tun0", protocol))
        expected = total([(kind, len(packet)) for kind, _, packet in packets])
        assert end(counter) == (expected, expected)


def test_count_of_what_a_bridge_passes_on(namespaces, counting):
    """Bug: the BPF program mistakes a VLAN tag for the packet. If a bridge sends a packet with several tags,
    the packet's data begins with a tag."""
    run("modprobe", "bridge")
    near, bridge = namespaces(), namespaces()
    for namespace in (near, bridge):
        namespace.sysctl("ipv6/conf/default/disable_ipv6", 1)
    near.ip(f"link add veth0 type veth peer name veth0 netns {bridge.path}", "link set veth0 up")
    # With multicast snooping, a bridge joins a group itself (224.0.0.106), and sends a report at some later time.
    bridge.ip("link add veth1 type veth peer name veth2", "link add br0 type bridge mcast_snooping 0",
              *(f"link set {port} master br0" for port in ("veth0", "veth1")),
              *(f"link set {name} up" for name in ("veth0", "veth1", "veth2", "br0")))
    with bridge:
        wait_until(lambda: run("bridge", "link").count("state forwarding") == 2)
    near.await_carrier("veth0")
    counter = counting(bridge, "--interval", "0.02", interface="veth1")
    with near.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("veth0", 0))
        for _, protocol, packet, *tags in TAGGED:
            raw.send(frame(protocol, packet, tags))
    expected = total([(kind, len(packet) + 4 * len(tags[1:])) for kind, _, packet, *tags in TAGGED])
    while sums(counter.event()["sent"])[0] < len(TAGGED):
        pass
    assert end(counter) == ({}, expected)


def test_count_keeps_no_packet(namespaces, counting, start, stop):
    """Bug: packets that reach the socket before it has its filter stay in its receive buffer for ever."""
    namespace = namespaces()
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        start(keep_sending, namespace, receiver.getsockname(), stop)
        wait_until(lambda: received_by(namespace, "lo")[0] > 0)
        counting(namespace, interface="lo")
        with namespace:
            names, row = Path("/proc/thread-self/net/packet").read_text(encoding="ascii").splitlines()
        assert dict(zip(names.split(), row.split()))["Rmem"] == "0"


@pytest.mark.all_cpus
def test_count_on_all_cpus_at_once(namespaces, counting):
    """Bug: if several CPUs count at the same time, additions are lost. The test compares the counts with the
    interface's own counters, which lose nothing, because they are separate for each CPU."""
    namespace = namespaces()
    counter = counting(namespace, "--interval", "0.02", interface="lo")
    send_on_all_cpus(namespace, 100_000)
    # The exact number is unknown: lo may have dropped some packets, and the last packets may not have
    # arrived yet.
    assert received_by(namespace, "lo")[0] > 100_000
    wait_until(lambda: volumes(counter.event())[0] == {UDP: received_by(namespace, "lo")})


def test_count_needs_rights(peer_program, load, unprivileged_bpf):
    """Bug: the error does not name the missing capability."""
    count = (peer_program, "filter", "count", "lo")
    message = refused(*as_user(), *count)
    assert "open packet socket: EPERM" in message and "CAP_NET_RAW" in message
    unprivileged_bpf(2)
    message = refused(*as_user("net_raw"), *count)
    for word in ("'count_traffic': EPERM", "CAP_BPF", "kernel.unprivileged_bpf_disabled", "root"):
        assert word in message


def test_count_shows_what_the_verifier_says(peer_program, load, unprivileged_bpf):
    """The verifier refuses every loop in a program of a user without CAP_BPF, even a loop that ends."""
    unprivileged_bpf(0)
    message = refused(*as_user("net_raw"), peer_program, "filter", "count", "lo")
    assert message.startswith("error: load BPF program 'count_traffic': EINVAL")
    assert "verifier" in message and "back-edge" in message.splitlines()[1:][0]


@pytest.mark.parametrize("call, first, error, words", [
    (SYS_BPF, BPF_MAP_CREATE, errno.ENOSYS, ("'count_traffic': ENOSYS", "CONFIG_BPF_SYSCALL")),
    (SYS_SOCKET, socket.AF_PACKET, errno.EAFNOSUPPORT,
     ("open packet socket: EAFNOSUPPORT",)),
], ids=["bpf", "packet sockets"])
def test_count_on_a_kernel_without(peer_program, load, tmp_path, call, first, error, words):
    """A seccomp filter makes a system call fail, as on a kernel that was built without BPF, or without packet
    sockets."""
    fails = [(0x20, 0, 0, 0), (0x15, 0, 3, call), (0x20, 0, 0, 16), (0x15, 0, 1, first),
             (0x06, 0, 0, 0x00050000 | error), (0x06, 0, 0, 0x7fff0000)]
    seccomp = tmp_path / "seccomp"
    seccomp.write_bytes(b"".join(struct.pack("=HBBI", *fields) for fields in fails))
    message = refused("setpriv", f"--seccomp-filter={seccomp}", "--",
                      peer_program, "filter", "count", "lo")
    for word in words:
        assert word in message
    # If packet sockets are built into the kernel, there is no module to load.
    has = f"/lib/modules/{os.uname().release}/modules.builtin"
    assert ("modprobe" in message) == ("af_packet" in message and "af_packet.ko" not in Path(has).read_text())


def test_count_of_an_interface_whose_name_is_no_text(namespaces, peer_program):
    """Bug: nldemo refuses an interface's name that is not UTF-8, although the kernel accepts it."""
    namespace, name = namespaces(), b"n\xff\xfe"
    with namespace:
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "other")
        run("ip", "link", "set", name, "up")
        done = subprocess.run([peer_program, "-j", "filter", "count", name, "--interval", "0.1", "--count", "1"],
                              capture_output=True, check=False)
        missing = subprocess.run([peer_program, "filter", "count", b"none\xff"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (DONE, b"")
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["ready", "counts", "summary"]
    assert missing.returncode == ERROR and rb"no interface 'none\xff'" in missing.stderr


# These tests check the command `nldemo filter attach`.


@pytest.mark.parametrize("parity, first", [("odd", 1), ("even", 2)])
def test_attach_lets_some_replies_through(module, peer, parity, first):
    """The module sends all replies, and the socket's filter drops every second one."""
    def messages():
        return json.loads(peer("-j", "stats")[1])["messages"]

    before = messages()
    status, output, errors = peer("-j", "filter", "attach", "--parity", parity, "--count", "20")
    assert (status, errors) == (DONE, "")
    report = json.loads(output)
    assert (report["sent"], report["ok"]) == (20, True)
    assert report["received"] == list(range(first, 21, 2))
    # The module received the twenty messages and the second request for the statistics.
    assert messages() == before + 21


def test_attach_in_plain_words(module, peer):
    status, output, errors = peer("filter", "attach", "--parity", "even")
    assert (status, errors) == (DONE, "")
    assert output == "10 sent, 5 replies passed the filter: 2 4 6 8 10\n"


def test_attach_of_nothing_that_passes(module, peer):
    status, output, errors = peer("filter", "attach", "--parity", "even", "--count", "1")
    assert (status, output, errors) == (DONE, "1 sent, 0 replies passed the filter\n", "")


def test_attach_in_another_namespace(module, blue, running, peer):
    """-N selects the network namespace, as it does for all commands. Events of other namespaces do not
    arrive."""
    monitor = running("-N", blue, "filter", "attach", "--events", "config", "--count", "1")
    number = monitor.event()["number"]
    assert peer("config", "set", "queue=7")[0] == peer("-N", blue, "config", "set", "queue=8")[0] == DONE
    [changed] = monitor.rest()
    assert (changed["event"], changed["number"]) == ("config", number + 1)
    assert changed["config"]["queue"] == 8


def test_attach_to_events(running, peer, module):
    """The command prints the events of the chosen kind as `nldemo monitor` does, and the number of dropped
    events."""
    monitor = running("filter", "attach", "--events", "netns")
    ready = monitor.event()
    assert peer("config", "set", "queue=9")[0] == peer("config", "set", "queue=10")[0] == DONE
    Namespace().close()
    assert monitor.event().items() >= {"event": "filtered", "events": 2}.items()
    gone = monitor.event()
    assert (gone["event"], gone["number"]) == ("netns", ready["number"] + 3)
    monitor.signal(signal.SIGINT)
    assert monitor.rest() == []


def test_attach_keeps_the_receive_buffer_free(running, module):
    """Events that the filter drops take no room in the receive buffer, so the kernel reports no overrun for
    this socket (ENOBUFS, drops). The same events overrun a socket without the filter."""
    changes = 500
    monitor = running("filter", "attach", "--events", "netns")
    ready = monitor.event()
    monitor.pause()
    with Monitor() as unfiltered:
        with Client() as client:
            for queue in range(1, changes + 1):
                payload = attribute(CONFIG_A_QUEUE, struct.pack("=H", queue))
                client.send(pack(CONFIG_SET, payload, flags=NLM_F_REQUEST))
        waiting, drops = kernel_view(unfiltered.portid)
        assert waiting > 0 and drops > 0
        assert kernel_view(ready["portid"]) == (0, 0)
    Namespace().close()
    wait_until(lambda: kernel_view(ready["portid"])[0] > 0)
    assert kernel_view(ready["portid"])[1] == 0
    monitor.go_on()
    assert monitor.event().items() >= {"event": "filtered", "events": changes}.items()
    assert monitor.event().items() >= {"event": "netns", "number": ready["number"] + changes + 1}.items()
    monitor.signal(signal.SIGINT)
    assert monitor.rest() == []


def kernel_view(portid):
    """Returns two numbers that the kernel reports about a socket of the module's protocol: the bytes that
    wait in its receive buffer, and the messages that were dropped because the buffer was full."""
    row = sockets()[portid]
    return int(row["Rmem"]), int(row["Drops"])


def test_attach_needs_rights(peer_program, module, unprivileged_bpf):
    """Without CAP_BPF the command fails, and its error names this capability. If the kernel lets all users
    load BPF programs, the command needs no capability, because the verifier accepts its programs."""
    unprivileged_bpf(2)
    for what in (("--parity", "odd"), ("--events", "config")):
        message = refused(*as_user(), peer_program, "filter", "attach", *what)
        assert "EPERM" in message and "CAP_BPF" in message
    unprivileged_bpf(0)
    command = [*as_user(), peer_program, "filter", "attach", "--parity", "odd", "--count", "3"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE).stdout
    assert output == "3 sent, 2 replies passed the filter: 1 3\n"
