# SPDX-License-Identifier: GPL-2.0

"""Debian's NFQUEUE programs, which were made without this project, read the module's queue."""

import json
import os
import select
import shutil
import socket
import subprocess
import sys

import pytest

import nfqueue
from control import Control
from netlink import DEADLINE, wait_until
from network import run


class Program:
    """A running program. Its output is kept."""

    def __init__(self, command):
        assert shutil.which(command[0]), f"{command[0]} is to be in the root (scripts/setup)"
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.said = ""

    def says(self, words, times=1):
        """Waits until the program has written these words this many times."""
        while self.said.count(words) < times:
            output = self.process.stdout
            # tshark took 22 s for its first line on an idle debug kernel.
            assert select.select([output], [], [], 3 * DEADLINE)[0], f"no {words!r} in {self.said}"
            more = os.read(output.fileno(), 1 << 16)
            assert more, f"it ends without {words!r}: {self.said}"
            self.said += more.decode(errors="replace")

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def consume_by(module, link):
    """Starts a program at the far end, and waits until it has bound queue 0 and asked for whole packets."""
    running = []

    def is_ready():
        assert running[-1].process.poll() is None, running[-1].process.stdout.read()
        with link.far:
            return nfqueue.copy_modes().get(0) == nfqueue.NFQNL_COPY_PACKET

    def consume_by(*command):
        with link.far:
            running.append(Program(command))
        wait_until(is_ready)
        return running[-1]

    yield consume_by
    for program in running:
        program.close()


def ping(link, count=3):
    """Pings of different sizes pass the program's queue, one after the other."""
    with link.far, Control() as control:
        before = control.stats()["ipv4"]["queued"], nfqueue.last_ids()[0]
        with link.pinger() as pinger:
            for seq in range(count):
                pinger.ping(seq, seq * 700)
        assert control.stats()["ipv4"]["queued"] - before[0] == count
        # The kernel gives an id to a packet only if a program has bound the queue. So the pings did not
        # pass by bypass: the program has accepted them.
        assert nfqueue.last_ids()[0] - before[1] >= count
        assert nfqueue.statistics()[0] == (0, 0, 0)


def test_tcpdump(consume_by, link):
    """tcpdump (C, with libpcap) prints packets and accepts them."""
    # By default Debian's tcpdump becomes another user, and that user may not send verdicts.
    tcpdump = consume_by("tcpdump", "-Z", "root", "-i", "nfqueue:0", "-l", "-n")
    ping(link)
    tcpdump.says("192.0.2.1 > 192.0.2.2: ICMP echo request", times=3)


@pytest.mark.parametrize("command", [
    ("tcpdump", "-i", "nfqueue:0", "-l", "-n"),
    ("tshark", "-i", "nfqueue:0", "-l", "-n"),
], ids=["tcpdump", "tshark"])
def test_programs_that_give_up_their_rights_lose_every_packet(consume_by, link, command):
    """As docs/queue.md says, tcpdump and tshark become another user. Then they see packets, but may not send
    verdicts, even if root starts them."""
    program = consume_by(*command)
    with link.pinger() as pinger:
        pinger.send(1)
        program.says("192.0.2.1")
        link.settle()
        assert not pinger.replies()
    # SIGTERM, not SIGKILL, so that the program can end its child process.
    program.process.terminate()
    program.process.wait(DEADLINE)


def test_dhcpoptinj(consume_by, link):
    """dhcpoptinj (C, with libnetfilter_queue) changes DHCP messages and accepts other packets."""
    program = consume_by("dhcpoptinj", "--debug", "--foreground", "--queue", "0", "--option", "0C66")
    ping(link)
    # The program prints its buffered output when it ends.
    program.process.terminate()
    program.says("Ignoring non-DHCP packet", times=3)


def test_opensnitchd(consume_by, link, tmp_path):
    """opensnitchd (Go) is a firewall for applications. It accepts packets for which it has no rule."""
    rules, settings = tmp_path / "rules", tmp_path / "settings.json"
    rules.mkdir()
    settings.write_text(json.dumps({
        "DefaultAction": "allow", "DefaultDuration": "once", "ProcMonitorMethod": "proc",
        "Firewall": "nftables", "Rules": {"Path": str(rules)},
        "Server": {"Address": f"unix://{tmp_path}/none", "LogFile": "/dev/stdout"},
        "Internal": {"GCPercent": 100},
    }), encoding="ascii")
    daemon = consume_by("opensnitchd", "-config-file", str(settings), "-queue-num", "0")
    daemon.says("Running on netfilter queue #0")
    ping(link)


# The first byte of the ping's data selects what the script does: accept, mark, drop, or exchange two words of
# data. The exchange does not change the checksum of the message.
SCRIPT = """
import json
from netfilterqueue import NetfilterQueue

def decide(packet):
    data = packet.get_payload()
    print(json.dumps({"payload": data.hex(), "id": packet.id, "hook": packet.hook,
                      "protocol": packet.hw_protocol, "in": packet.indev, "out": packet.outdev,
                      "mark": packet.get_mark(), "hw": packet.get_hw()[:6].hex()}), flush=True)
    match data[28]:
        case 1:
            packet.set_mark(7)
        case 2:
            return packet.drop()
        case 3:
            packet.set_payload(data[:28] + data[30:32] + data[28:30] + data[32:])
    packet.accept()

queue = NetfilterQueue()
queue.bind(0, decide)
queue.run()
"""


def test_python_netfilterqueue(consume_by, link):
    """Python's usual binding to libnetfilter_queue gets the right packets, and its verdicts work."""
    link.far.nft("table ip t { chain c { type filter hook prerouting priority 10; "
                 "meta mark 7 counter; }; }")
    program = consume_by(sys.executable, "-c", SCRIPT)
    with link.pinger() as pinger:
        for seq in range(4):
            pinger.send(seq, 100)
        assert [pinger.reply(), pinger.reply()] == [0, 1]
        changed = pinger.socket.recv(2000)[28:]
    assert changed == bytes([5, 6, 3, 4]) + bytes(range(7, 103))
    program.says("\n", times=4)
    packets = [json.loads(line) for line in program.said.splitlines()]
    with link.far:
        index = socket.if_nametoindex("veth0")
        assert "counter packets 1 " in run("nft", "list", "ruleset")
    for seq, packet in enumerate(packets):
        payload = bytes.fromhex(packet.pop("payload"))
        assert payload[12:20] == socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2")
        assert payload[28:] == bytes(range(seq, seq + 100))
        assert packet == {"id": seq + 1, "hook": nfqueue.PRE_ROUTING, "protocol": 0x0800,
                          "in": index, "out": 0, "mark": 0, "hw": "020000000001"}
