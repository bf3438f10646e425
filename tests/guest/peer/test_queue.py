# SPDX-License-Identifier: GPL-2.0

"""The command `nldemo queue run`, the queue consumer: verdicts of all kinds, batches, rewriting, captures,
exits."""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

import nfqueue
from control import Control, Monitor
from family import IPV6, Echo
from flood import Flood, keeps_order, pack_numbers, receive_all
from netlink import DEADLINE, SLOW, wait_until
from network import ICMP_ECHO_REQUEST, Namespace, Pinger, checksum, join, run
from nfqueue import Listener
from pcapng import pcapng_packets
from program import Consumer

DONE, ERROR = 0, 2
ANY_ICMP_ID = 0x4242
ICMP6_ECHO_REQUEST, ICMP6_SOLICITATION, ICMP6_ADVERTISEMENT = 128, 135, 136


def numbers(events, verdict=None):
    """Returns the sequence numbers of the echo packets among the events, or only of those with this
    verdict."""
    return [event["icmp"]["seq"] for event in events if event["event"] == "packet"
            and verdict in (None, event["verdict"])]


# Verdicts.


def test_repeat_passes_the_hook_that_skips_the_mark(load, link, consume):
    """Bug: after NF_REPEAT, the hook queues the packet again. Instead each packet must be queued once, and
    pass with its new mark."""
    load(skip_mark=5)
    link.far.nft("table ip t { chain c { type filter hook prerouting priority 10; "
                 "meta mark 5 counter; }; }")
    consumer = consume(link.far, "--policy", "repeat mark=5")
    with link.pinger() as pinger:
        for seq in range(20):
            pinger.ping(seq)
    events, summary = consumer.stop()
    assert numbers(events, "repeat") == list(range(20))
    assert [event["set_mark"] for event in events] == [5] * 20
    assert (summary["repeated"], summary["errors"]) == (20, 0)
    with link.far:
        assert "counter packets 20 " in run("nft", "list", "ruleset")


@pytest.mark.parametrize("skip_mark", [0, 6])
def test_repeat_is_refused_where_it_would_loop(load, link, peer, skip_mark):
    """Bug: the consumer accepts a policy that repeats packets with a mark that the hook does not skip. Then
    a packet is queued for ever."""
    load(skip_mark=skip_mark)
    with link.far:
        status, output, errors = peer("queue", "run", "--policy", "icmp repeat mark=5")
        assert (status, output) == (ERROR, "")
        assert "for ever" in errors and "skip-mark=0x5" in errors, errors
        assert not nfqueue.is_bound(0)


def test_requeue_hands_packets_on_to_another_queue(module, link, consume):
    """The first consumer passes all packets to the queue of a second consumer, which decides about them."""
    second = consume(link.far, "--queue", "9", "--policy", "size=32 drop")
    first = consume(link.far, "--policy", "set mark=0x77 queue 9")
    with link.pinger() as pinger:
        for seq, size in enumerate((31, 32, 33)):
            pinger.send(seq, size)
        assert [pinger.reply(), pinger.reply()] == [0, 2]
    events, summary = first.stop()
    assert [(event["verdict"], event["to_queue"]) for event in events] == [("queue", 9)] * 3
    assert summary["requeued"] == 3
    events, summary = second.stop()
    assert [event["mark"] for event in events] == [0x77] * 3
    assert numbers(events, "drop") == [1] and summary["accepted"] == 2


def test_requeue_without_listener_drops_or_passes(module, link, consume):
    """The policy sends packets to queue 9, on which nobody listens. The packets pass if the policy says
    `bypass`, and otherwise are dropped."""
    consumer = consume(link.far, "--policy", "size=32 queue 9 bypass; queue 9")
    with link.pinger() as pinger:
        pinger.send(1, 56)
        pinger.ping(2, 32)
        assert not pinger.replies()
    assert consumer.stop()[1]["requeued"] == 2


def test_requeue_to_itself_is_refused(module, peer):
    """The command refuses a policy that sends packets to a queue of this command, because the packets would
    go round for ever."""
    status, output, errors = peer("queue", "run", "--queue", "0-3", "--policy", "queue 2")
    assert (status, output) == (ERROR, "") and "for ever" in errors


# Batches.


@pytest.mark.parametrize("batch", ["64", "1000,20ms", "7,1ms"])
def test_batch_never_reorders_nor_swallows_a_drop(module, link, consume, batch):
    """A batch verdict decides about the packet that it names, and about all earlier packets of the queue. So
    a packet with another verdict must end the batch."""
    count = 900
    policy = "size=40 drop; size=41 set mark=3 accept; accept"
    consumer = consume(link.far, "--policy", policy, "--batch", batch)
    sizes = [40 + (seq * seq // 5) % 4 for seq in range(count)]
    with link.pinger() as pinger:
        consumer.pause()
        for seq, size in enumerate(sizes):
            pinger.send(seq, size)
        link.settle()
        with link.far:
            waiting = nfqueue.statistics()[0][0]
        consumer.go_on()
        assert waiting == count
        events = [consumer.event() for _ in range(count)]
        expected = [seq for seq, size in enumerate(sizes) if size != 40]
        assert [pinger.reply() for _ in expected] == expected
        assert not pinger.replies()
    assert numbers(events) == list(range(count))
    assert numbers(events, "accept") == expected
    summary = consumer.stop()[1]
    assert (summary["packets"], summary["errors"]) == (count, 0)
    assert summary["accepted"] == len(expected)


def test_batch_waits_no_longer_than_its_time(module, link, consume):
    """A batch that is not full must be sent when its time is over. Bug: the batch waits for the next
    packet."""
    consumer = consume(link.far, "--batch", "1000,10ms")
    pause = SLOW
    with link.pinger() as pinger:
        for seq in range(2):
            pinger.ping(seq)
            time.sleep(pause)
    latency = consumer.stop()[1]["latency_ns"]
    # The latencies are only as exact as the clock and the consumer's histogram.
    tick = time.clock_getres(time.CLOCK_MONOTONIC) * 1e9
    assert latency["min"] >= 0.99 * 10_000_000 - tick
    assert latency["max"] < 0.99 * pause * 1e9


def test_batch_is_sent_when_the_consumer_stops(module, link, consume):
    """Bug: when the consumer stops, packets of a batch that was not sent stay in the queue."""
    consumer = consume(link.far, "--batch", "1000,60s")
    with link.pinger() as pinger:
        for seq in range(5):
            pinger.send(seq)
        assert [consumer.event()["icmp"]["seq"] for _ in range(5)] == list(range(5))
        assert not pinger.replies()
        events, summary = consumer.stop()
        assert not events and (summary["packets"], summary["flushed"]) == (5, 0)
        assert [pinger.reply() for _ in range(5)] == list(range(5))


# Queues.


def flow_pairs(path, queues):
    """Returns two addresses for each queue. The module sends pings to these addresses to this queue."""
    pairs = {queue: [] for queue in queues}
    for host in range(1, 255):
        before, address = nfqueue.last_ids(), f"127.0.1.{host}"
        with Pinger(path.near, address) as pinger:
            pinger.ping()
        (queue,) = (queue for queue, last in nfqueue.last_ids().items() if last != before[queue])
        if len(pairs[queue]) < 2:
            pairs[queue].append(address)
        if all(len(pair) == 2 for pair in pairs.values()):
            return pairs
    raise AssertionError(f"a queue gets too few packets: {pairs}")


@pytest.fixture
def deep_backlog():
    """The kernel's backlog of received packets gets room for all packets of a flood."""
    setting = Path("/proc/sys/net/core/netdev_max_backlog")
    before = setting.read_text(encoding="ascii")
    setting.write_text("10000\n", encoding="ascii")
    yield
    setting.write_text(before, encoding="ascii")


@pytest.mark.all_cpus
def test_numbered_pings_over_four_queues_keep_their_order(load, loopback, consume, deep_backlog):
    """100,000 pings of eight flows (1,000 in a slow guest) pass the hook, get a verdict from the consumer,
    and are answered, except pings that the kernel itself leaves unanswered. Each flow keeps its order."""
    each, burst = (100_000 if SLOW == 1 else 1000) // 8, 500
    load(queues=4)
    with loopback.near, Control() as control:
        control.set(ipv4={ICMP_ECHO_REQUEST})
    consumer = consume(loopback.near, "--queue", "0-3", "--batch", "64", "--quiet", queues=4)
    # The consumer's threads use all CPUs, but each thread stays on its CPU. Otherwise a packet that a thread
    # accepts on its new CPU could overtake a packet that the thread has accepted on its old CPU.
    for place, thread in enumerate(os.listdir(f"/proc/{consumer.process.pid}/task")):
        os.sched_setaffinity(int(thread), {place % os.cpu_count()})
    with loopback.near:
        pairs = flow_pairs(loopback, range(4))
        before = nfqueue.last_ids()
    floods = [Flood(loopback.near, address, burst) for pair in pairs.values() for address in pair]
    unanswered = loopback.unanswered()
    for first in range(0, each, burst):
        sent = pack_numbers(first, min(burst, each - first))
        for flood in floods:
            flood.send(sent)
        replies = receive_all(floods, len(sent), lambda: loopback.unanswered() - unanswered)
        assert all(keeps_order(numbers, sent) for numbers in replies)
        unanswered = loopback.unanswered()
    for flood in floods:
        flood.close()
    with loopback.near:
        after = nfqueue.last_ids()
    assert {queue: after[queue] - before[queue] for queue in pairs} == dict.fromkeys(pairs, 2 * each)
    events, summary = consumer.stop()
    assert not events
    assert summary["queues"] == 4
    assert summary["packets"] == summary["accepted"] == sum(after.values())
    assert summary["errors"] == 0


def test_second_consumer_names_the_first(module, link, consume, peer):
    """Bug: the error does not say which process has already bound the queue."""
    consumer = consume(link.far, "--queue", "3")
    with link.far:
        status, output, errors = peer("queue", "run", "--queue", "2-4")
        assert (status, output) == (ERROR, "")
        for word in ("queue 3", f"process {consumer.process.pid}", "nldemo"):
            assert word in errors, errors
        assert not nfqueue.is_bound(2)


def test_show_tells_who_listens(module, link, consume, peer):
    """The command shows all bound queues from /proc, and the processes that have bound them."""
    consumer = consume(link.far, "--queue", "7", "--copy", "packet:96")
    with link.far, Listener(300) as listener:
        status, output, errors = peer("-j", "queue", "show")
        assert (status, errors) == (DONE, "")
        first, second = json.loads(output)["queues"]
        status, table, errors = peer("queue", "show")
        assert (status, errors) == (DONE, "")
        assert (second["queue"], second["portid"]) == (300, listener.portid)
    assert (first["queue"], first["copy_mode"], first["copy_range"]) == (7, 2, 96)
    assert first["process"] == {"pid": consumer.process.pid, "name": "nldemo"}
    assert second["process"]["pid"] == os.getpid()
    assert len(table.splitlines()) == 3 and f"{consumer.process.pid} nldemo" in table


def test_copy_modes(module, link, consume):
    """The kernel copies packets without their content (meta), with a part of it, or whole."""
    for mode, captured, length in (("meta", 0, 0), ("packet:30", 30, 84), ("packet", 84, 84)):
        consumer = consume(link.far, "--copy", mode)
        with link.pinger() as pinger:
            pinger.ping()
        event = consumer.event()
        assert (event["captured"], event["length"]) == (captured, length), mode
        assert event["in"] == "veth0" and event["hardware_address"] == "02:00:00:00:00:01"
        assert consumer.stop()[1]["errors"] == 0


def test_nothing_is_copied_that_nobody_looks_at(module, link, consume):
    """If the consumer prints no packets, writes no capture, rewrites no packets, and has no conditions, it
    does not need the content of packets. Then the kernel copies no content."""
    for arguments, mode in ((("--quiet",), 1), (("--quiet", "--policy", "icmp accept"), 2), ((), 2),
                            (("--quiet", "--set", "ttl=9"), 2), (("--quiet", "--copy", "packet:9"), 2),
                            (("--quiet", "--policy", "drop"), 1)):
        consumer = consume(link.far, *arguments)
        with link.far:
            assert nfqueue.copy_modes()[0] == mode, arguments
        consumer.stop()


def test_more_queues_than_there_is_memory_for_are_refused(module, link, peer):
    """Bug: for thousands of queues, the command needs more memory than the machine has, and the kernel kills
    it."""
    available = re.search(r"MemAvailable: +(\d+)", Path("/proc/meminfo").read_text(encoding="ascii"))
    assert int(available[1]) < 5 << 20, "there is memory for all queues"
    with link.far:
        status, output, errors = peer("queue", "run", "--queue", "0-65535")
        assert nfqueue.statistics() == {}
    assert (status, output) == (ERROR, "") and "65536 queues need" in errors and "MiB" in errors


def test_packets_that_wait_together_have_verdicts_of_their_own(module, link, consume):
    """Bug: the command sends batch verdicts by default. A batch verdict also decides about packets that the
    policy drops, and hides that some packets were gone."""
    consumer = consume(link.far, "--policy", "type 8 size=5 drop; accept", "--count", "9")
    consumer.pause()
    with link.pinger() as pinger:
        for seq in range(12):
            pinger.send(seq, 5 if seq % 3 == 1 else 9)
        link.settle()
        consumer.go_on()
        events, summary = consumer.finish()
        assert numbers(events) == list(range(9))
        assert [event["verdict"] for event in events] == ["accept", "drop", "accept"] * 3
        assert (summary["packets"], summary["pending"], summary["errors"]) == (9, 3, 0)
        # After the last event that --count allows, the other packets also get their verdicts.
        assert [pinger.reply() for _ in range(8)] == [seq for seq in range(12) if seq % 3 != 1]


def test_copy_mode_none_drops_everything(module, link, consume):
    """With --copy none, the kernel drops all packets of the queue. bypass has no effect, and nothing is
    reported or counted."""
    consumer = consume(link.far, "--copy", "none")
    with link.pinger() as pinger:
        for seq in range(3):
            pinger.send(seq)
        link.settle()
        assert not pinger.replies()
    events, summary = consumer.stop()
    assert not events
    assert (summary["packets"], set(summary["lost"].values())) == (0, {0})


def test_connections_are_told(load, link, consume):
    """With --conntrack an event has the connection of its packet, and the packet's role in the connection."""
    load(hooks=1 << nfqueue.LOCAL_IN)
    run("modprobe", "-a", "nf_conntrack_netlink")
    link.far.nft("table ip t { chain c { type filter hook input priority -10; ct state new; }; }")
    consumer = consume(link.far, "--conntrack")
    with link.pinger() as pinger:
        pinger.ping(1)
        pinger.ping(2)
    events, _ = consumer.stop()
    assert [event["conntrack"]["info"] for event in events] == [2, 0]
    assert len({event["conntrack"]["id"] for event in events} - {None}) == 1


def test_maximum_length_and_fail_open(module, link, consume):
    """Packets for which the queue has no room are dropped, or with --fail-open pass."""
    for options, passing in (((), []), (("--fail-open",), [3, 4])):
        consumer = consume(link.far, "--max-len", "3", *options)
        with link.pinger() as pinger:
            consumer.pause()
            for seq in range(5):
                pinger.send(seq)
            link.settle()
            assert pinger.replies() == passing
            consumer.go_on()
            assert [pinger.reply() for _ in range(3)] == [0, 1, 2]
        assert consumer.stop()[1]["lost"]["queue_full"] == 2 - len(passing)


@pytest.mark.parametrize("options, passing", [((), False), (("--fail-open",), True)],
                         ids=["dropped", "fail-open"])
def test_full_socket_is_counted_and_survived(module, loopback, consume, options, passing):
    """Bug: a consumer ends when it gets ENOBUFS. Here the socket's receive buffer is full, but the queue is
    not."""
    with loopback.near, Control() as control:
        control.set(ipv4={ICMP_ECHO_REQUEST})
    consumer = consume(loopback.near, "--max-len", "16", *options)
    with loopback.pinger() as pinger:
        consumer.pause()
        for seq in range(12):
            pinger.send(seq, 60_000)
        loopback.settle()
        with loopback.near:
            waiting, full, user = nfqueue.statistics()[0]
        assert 0 < waiting < 12 and full == 0
        assert (user, waiting) == ((0, waiting) if passing else (12 - waiting, waiting))
        assert pinger.replies() == (list(range(waiting, 12)) if passing else [])
        consumer.go_on()
        assert [pinger.reply() for _ in range(waiting)] == list(range(waiting))
        pinger.ping(20, 60_000)
    events, summary = consumer.stop()
    assert numbers(events) == [*range(waiting), 20]
    assert summary["lost"] == {"queue_full": 0, "socket_full": user}
    assert summary["errors"] == 0


# These tests check the ways in which a consumer ends.


def test_kill_leaves_no_packet_stuck(module, link, consume):
    """Bug: packets stay in the queue of a killed consumer. The kernel must drop them, and later packets pass
    by bypass."""
    consumer = consume(link.far, "--batch", "1000,60s")
    with link.pinger() as pinger:
        for seq in range(10):
            pinger.send(seq)
        consumer.event()
        consumer.signal(signal.SIGKILL)
        consumer.process.wait(DEADLINE)
        with link.far:
            wait_until(lambda: not nfqueue.is_bound(0))
        pinger.ping(20)
        assert not pinger.replies()
    consume(link.far).stop()


def test_interface_that_goes_takes_its_packets_along(module, link, consume):
    """If packets are gone, the consumer counts the refused verdicts and goes on."""
    consumer = consume(link.far)
    with link.pinger() as pinger:
        consumer.pause()
        for seq in range(4):
            pinger.send(seq)
        link.settle()
        link.far.ip("link set veth0 down")
        with link.far:
            wait_until(lambda: nfqueue.statistics()[0][0] == 0)
        consumer.go_on()
        assert [consumer.event()["icmp"]["seq"] for _ in range(4)] == list(range(4))
    summary = consumer.stop()[1]
    assert (summary["gone"], summary["errors"]) == (4, 4)


def test_network_that_goes_takes_its_packets_along(module, consume):
    """Both namespaces are closed. The near namespace is deleted immediately. The link between the two is
    deleted with it, so the kernel drops the queued packets. The far namespace is deleted when the consumer
    stops, because the consumer's sockets keep it alive."""
    with Monitor() as monitor:
        near, far = Namespace(), Namespace()
        join(near, far)
        consumer = consume(far)
        consumer.pause()
        with Pinger(near, "192.0.2.2") as pinger:
            for seq in range(3):
                pinger.send(seq)
            with far:
                wait_until(lambda: nfqueue.statistics()[0][0] == 3)
        near.close()
        # The link's devices are removed together with the near namespace, and the queued packets are dropped.
        with far:
            wait_until(lambda: nfqueue.statistics()[0][0] == 0)
        far.close()
        assert monitor.event()[0] == "netns"
        consumer.go_on()
        events = [consumer.event() for _ in range(3)]
        assert numbers(events) == [0, 1, 2]
        # The interface is removed, so the consumer can only print its number.
        assert events[-1]["in"].startswith("if")
        assert not monitor.waiting()
        events, summary = consumer.stop()
        assert not events
        assert (summary["gone"], summary["errors"]) == (3, 3)
        assert monitor.event()[0] == "netns"


# Rewriting.


def arriving(link):
    """Returns a socket at the far end that receives ICMP packets after all hooks."""
    receiver = link.far.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    receiver.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
    receiver.settimeout(DEADLINE)
    return receiver


@pytest.mark.parametrize("payload", ["", "odd", "twelve bytes", "x" * 1400])
def test_rewritten_packet_arrives_as_it_should(module, link, consume, payload):
    """Bug: a rewritten packet has a wrong checksum. The new data is shorter, longer, or as long as the old
    data."""
    consumer = consume(link.far, "--set", "ttl=9", "--set", f"payload={payload}")
    with link.pinger() as pinger, arriving(link) as receiver:
        pinger.send(1, 12)
        packet = receiver.recv(1 << 16)
        # The kernel checks the checksum of the rewritten request, and sends its data back in the reply.
        reply = pinger.socket.recv(1 << 16)
    assert len(packet) == 28 + len(payload) and packet[8] == 9
    assert checksum(packet[:20]) == 0 and checksum(packet[20:]) == 0
    assert packet[28:] == reply[28:] == payload.encode()
    events, summary = consumer.stop()
    assert [event["rewritten"] for event in events] == [True]
    assert (summary["rewritten"], summary["unwritable"], summary["errors"]) == (1, 0, 0)
    assert link.far.counters()["Icmp"]["InCsumErrors"] == 0


def test_rewritten_icmpv6_has_the_right_checksum(module, loopback, consume):
    """The checksum of ICMPv6 also covers the IPv6 addresses, so it is computed in another way than that of
    ICMP."""
    consumer = consume(loopback.near, "--set", "payload=hex:00ff10", "--set", "ttl=3")
    with loopback.near:
        sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    with sender:
        sender.settimeout(DEADLINE)
        sender.sendto(struct.pack(">BBHHH", 128, 0, 0, ANY_ICMP_ID, 1) + b"12345678", ("::1", 0))
        # Before this socket gets the request and the reply, the kernel verifies their checksums.
        kinds = {}
        while len(kinds) < 2:
            message = sender.recv(1 << 16)
            kinds[message[0]] = message[8:]
    assert kinds == {128: b"\x00\xff\x10", 129: b"\x00\xff\x10"}
    events, summary = consumer.stop()
    assert [event["icmp"]["name"] for event in events] == ["echo-request", "echo-reply"]
    assert (summary["rewritten"], summary["errors"]) == (2, 0)


def test_rewriting_what_the_kernel_would_drop_is_not_tried(module, link, consume, peer):
    """A packet of which only a part was copied passes unchanged. If the kernel copies no content at all, the
    command refuses at its start to rewrite."""
    consumer = consume(link.far, "--set", "ttl=9", "--copy", "packet:40")
    with link.pinger() as pinger:
        pinger.ping(1, 56)
        pinger.ping(2, 12)
    events, summary = consumer.stop()
    assert [event["rewritten"] for event in events] == [False, True]
    assert "40 of the packet's 84 bytes" in events[0]["unwritable"]
    assert (summary["rewritten"], summary["unwritable"]) == (1, 1)
    with link.far:
        status, output, errors = peer("queue", "run", "--set", "ttl=9", "--copy", "meta")
    assert (status, output) == (ERROR, "") and "copy mode must be packet" in errors


def test_rewriting_leaves_neighbour_discovery_alone(load, routed, consume):
    """Bug: the consumer rewrites the hop limit of neighbour discovery messages. Then hosts discard them, and
    the network stops working."""
    load()
    far = routed.far
    with far, Control() as control:
        control.set(ipv6={ICMP6_SOLICITATION, ICMP6_ADVERTISEMENT, ICMP6_ECHO_REQUEST})
    far.ip("neighbour del fd00:2::fe dev veth0")
    consumer = consume(far, "--set", "ttl=9")
    with Echo(IPV6, routed) as echo:
        echo.send(bytes(33))
        assert echo.reply() == bytes(33)
    events, summary = consumer.stop()
    kinds = {event["icmp"]["type"]: event["rewritten"] for event in events}
    assert kinds[ICMP6_ADVERTISEMENT] is False and kinds[ICMP6_ECHO_REQUEST] is True
    assert summary["unwritable"] == summary["packets"] - 1 > 0


def test_rewriting_leaves_alone_what_is_to_be_segmented(module, link, consume):
    """With --gso the kernel may queue a packet of several segments, whose checksum the device computes later.
    Such packets are not rewritten."""
    link.near.nft("table ip t { chain c { type filter hook output priority 0; "
                  "tcp dport 5001 queue num 3; }; }")
    for options, kinds in ((("--gso",), {True, False}), ((), {False})):
        consumer = consume(link.near, "--queue", "3", "--set", "ttl=9", *options)
        with link.far.socket(socket.AF_INET, socket.SOCK_STREAM) as server, \
                link.near.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("192.0.2.2", 5001))
            server.listen()
            client.settimeout(DEADLINE)
            client.connect(server.getsockname())
            client.sendall(bytes(100_000))
            client.shutdown(socket.SHUT_WR)
            with server.accept()[0] as connection:
                connection.settimeout(DEADLINE)
                received = sum(map(len, iter(lambda: connection.recv(1 << 16), b"")))
        assert received == 100_000
        events, summary = consumer.stop()
        assert {event["gso"] for event in events} == kinds
        assert {event["checksum_ready"] for event in events} == {not options}
        for event in events:
            assert event["rewritten"] is not event["gso"]
            assert not event["gso"] or "segmented" in event["unwritable"]
        assert summary["unwritable"] == sum(event["gso"] for event in events)
        assert summary["errors"] == 0


def test_rewriting_in_a_container_is_refused(module, peer_program):
    """If a user namespace other than the initial one owns the network namespace, the kernel silently drops
    rewritten packets. So the command refuses to rewrite."""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", peer_program, "queue", "run", "--set",
         "ttl=9"], capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert (done.returncode, done.stdout) == (ERROR, ""), done.stderr
    assert "initial user namespace" in done.stderr
    # A consumer outside of the user namespace has all rights, but the kernel would still drop the packets.
    with subprocess.Popen(["unshare", "--user", "--map-root-user", "--net", "sh", "-c",
                           "echo; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as inside:
        inside.stdout.readline()
        done = subprocess.run(
            ["nsenter", f"--net=/proc/{inside.pid}/ns/net", peer_program, "queue", "run", "--set",
             "ttl=9"], capture_output=True, text=True, check=False, timeout=DEADLINE)
        inside.stdin.close()
    assert (done.returncode, done.stdout) == (ERROR, ""), done.stderr
    assert "initial user namespace" in done.stderr


# These tests check the files that the consumer writes.


def test_capture_file(load, link, consume, tmp_path):
    """The pcapng file has packets from the IP header on, an interface for each queue, and the verdict as a
    comment."""
    load(queue=4)
    path = tmp_path / "seen.pcapng"
    consumer = consume(link.far, "--queue", "3-4", "--pcap", str(path), "--quiet", "--policy",
                       "size=32 drop; set mark=1 accept", queues=2)
    before = time.time_ns()
    with link.pinger() as pinger:
        pinger.ping(1, 31)
        pinger.send(2, 32)
        pinger.ping(3, 33)
        # The packets must be in the file while the consumer still runs, so that other programs can read them.
        wait_until(lambda: len(pcapng_packets(path.read_bytes())) == 3)
    assert not consumer.stop()[0]
    packets = pcapng_packets(path.read_bytes())
    assert {packet[:2] for packet in packets} == {(101, "nfqueue:4")}
    times = [packet[2] for packet in packets]
    assert times == sorted(times) and before <= times[0] <= times[-1] < before + 600 * 10**9
    assert [len(packet[3]) for packet in packets] == [59, 60, 61]
    assert [packet[4] for packet in packets] == [
        "set mark=0x1 accept", "drop", "set mark=0x1 accept"]


def test_capture_file_is_read_by_tshark(module, routed, consume, tmp_path):
    """tshark reads the file, and finds the packets with right checksums, and the comments."""
    assert shutil.which("tshark"), "tshark is to be in the root (scripts/setup)"
    path = tmp_path / "seen.pcapng"
    consumer = consume(routed.far, "--pcap", str(path), "--quiet", "--policy", "size=32 drop",
                       "--set", "ttl=9")
    with routed.pinger() as pinger, Echo(IPV6, routed) as echo:
        pinger.ping(1, 31)
        pinger.send(2, 32)
        echo.send(bytes(33))
        assert echo.reply() == bytes(33)
    consumer.stop()
    fields = ("frame.interface_name", "ip.src", "ip.ttl", "icmp.seq", "icmp.checksum.status",
              "ipv6.src", "icmpv6.checksum.status", "frame.comment")
    lines = run("tshark", "-r", str(path), "-T", "fields",
                *(word for field in fields for word in ("-e", field))).splitlines()
    rows = [line.split("\t") for line in lines if "\t" in line]
    ipv4, ipv6 = ["nfqueue:0", "192.0.2.1", "63"], ["", "fd00:1::1", "1"]
    assert rows == [[*ipv4, "1", "1", "", "", "accept, rewritten"],
                    [*ipv4, "2", "1", "", "", "drop"],
                    ["nfqueue:0", "", "", "", *ipv6, "accept, rewritten"]]


def test_capture_of_a_bridge(module, namespaces, consume, tmp_path):
    """Bug: in the capture of a bridge, ARP packets look like IP packets, or the VLAN is missing."""
    run("modprobe", "-a", "bridge", "nf_conntrack_bridge")
    near, bridge = namespaces(), namespaces()
    for namespace in (near, bridge):
        namespace.sysctl("ipv6/conf/default/disable_ipv6", 1)
    near.ip(f"link add veth0 address 02:00:00:00:00:01 type veth peer name veth0 netns {bridge.path}",
            "link set veth0 up")
    bridge.ip("link add veth1 type veth peer name veth2", "link add br0 type bridge",
              *(f"link set {name} master br0" for name in ("veth0", "veth1")),
              *(f"link set {name} up" for name in ("veth0", "veth1", "veth2", "br0")))
    with bridge:
        wait_until(lambda: run("bridge", "link").count("state forwarding") == 2)
    near.await_carrier("veth0")
    bridge.nft("table bridge t { chain c { type filter hook forward priority 0; queue num 3; }; }")
    path = tmp_path / "seen.pcapng"
    consumer = consume(bridge, "--queue", "3", "--pcap", str(path))
    arp = struct.pack(">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, b"\x02\0\0\0\0\1", bytes([192, 0, 2, 1]),
                      bytes(6), bytes([192, 0, 2, 2]))
    addresses = b"\xff" * 6 + b"\x02\0\0\0\0\1"
    with near.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("veth0", 0))
        raw.send(addresses + b"\x08\x06" + arp)
        raw.send(addresses + b"\x81\0\x20\x05" + b"\x08\x06" + arp)
        vlans = [consumer.event()["vlan"] for _ in range(2)]
    assert vlans == [None, {"protocol": 0x8100, "tci": 0x2005}]
    consumer.stop()
    fields = ("eth.src", "vlan.id", "arp.dst.proto_ipv4")
    rows = run("tshark", "-r", str(path), "-Y", "arp", "-T", "fields",
               *(word for field in fields for word in ("-e", field)))
    rows = [line.split("\t") for line in rows.splitlines() if "\t" in line]
    assert rows == [["02:00:00:00:00:01", "", "192.0.2.2"], ["02:00:00:00:00:01", "5", "192.0.2.2"]]


def test_capture_on_standard_output(module, link, peer_program, tmp_path):
    """With --pcap -, the capture goes to standard output, and all other output to standard error. Bug: the
    command makes a file named "-"."""
    with link.far:
        consumer = subprocess.Popen(
            [peer_program, "queue", "run", "--pcap", "-", "--count", "2"], cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: nfqueue.is_bound(0))
    with link.pinger() as pinger:
        pinger.ping(1)
        pinger.ping(2)
    output, text = consumer.communicate(timeout=DEADLINE)
    assert consumer.returncode == DONE and os.listdir(tmp_path) == []
    assert len(pcapng_packets(output)) == 2
    assert text.startswith(b"listening") and b"2 packets, 2 accepted" in text, text


def test_hexdump_is_read_by_text2pcap(module, link, peer_program, tmp_path):
    """text2pcap (of Wireshark) finds exactly the packets in the hex dumps."""
    # The last line of one packet's dump has the text column `ab`, which looks like one more hexadecimal byte.
    sizes = {0: 0, 1: 7, 0x5D: 6, 3: 1400}
    path = tmp_path / "packets.pcap"
    with link.far:
        consumer = subprocess.Popen(
            [peer_program, "queue", "run", "--hexdump", "--count", str(len(sizes))],
            stdout=subprocess.PIPE, text=True)
    ready = consumer.stdout.readline()
    assert ready.startswith("listening")
    with link.pinger() as pinger:
        for seq, size in sizes.items():
            pinger.ping(seq, size)
    printed, _ = consumer.communicate(timeout=DEADLINE)
    assert consumer.returncode == DONE
    run("text2pcap", "-a", "-F", "pcap", "-l", "101", "-", str(path), input=ready + printed)
    data = path.read_bytes()
    assert struct.unpack_from("=I16xI", data) == (0xA1B2C3D4, 101)
    packets, offset = [], 24
    while offset < len(data):
        captured, length = struct.unpack_from("=8xII", data, offset)
        packets.append(data[offset + 16:offset + 16 + captured])
        assert captured == length
        offset += 16 + captured
    assert [packet[28:] for packet in packets] == [
        bytes((seq + place) & 0xFF for place in range(size)) for seq, size in sizes.items()]
    assert all(checksum(packet[:20]) == checksum(packet[20:]) == 0 for packet in packets)


def test_names_do_a_terminal_no_harm(module, link, consume, peer, peer_program):
    """Bug: an ESC in the name of an interface or a process is printed, and so changes the terminal."""
    far, name = link.far, "a\x1b[31m\x7f\u202e"
    far.ip(f"link set veth0 name {name}")
    with far:
        consumer = Consumer([peer_program, "queue", "run"])
        consumer.wait_for(b"listening")
        number = str(socket.if_nametoindex(name))
        counting = Consumer([peer_program, "filter", "count", number, "--count", "1", "--interval", "1ms"])
    with link.pinger() as pinger:
        pinger.ping()
    texts = [counting.process.communicate(timeout=DEADLINE)[0].decode()]
    consumer.wait_for(b"accept\n")
    consumer.signal(signal.SIGINT)
    texts.append(consumer.process.communicate(timeout=DEADLINE)[0].decode())
    named = shutil.copy(peer_program, f"/tmp/{name}")
    with far:
        consumer = Consumer([named, "-j", "queue", "run"])
        consumer.event()
        texts += [peer("queue", "show")[1], peer("-j", "queue", "show")[1], peer("queue", "run")[2]]
        with link.pinger() as pinger:
            pinger.ping()
    consumer.signal(signal.SIGINT)
    texts.append(consumer.process.communicate(timeout=DEADLINE)[0].decode())
    os.unlink(named)
    for text in texts:
        assert text and not set(text) & set("\x1b\x7f\u202e"), text
    # The text has ESC and DEL in escaped form. JSON has all three characters in escaped form.
    assert r"\x1b[31m\x7f" in texts[0] and r"\u001b[31m\u007f\u202e" in texts[-1], texts


# Policies.


def test_interface_that_a_policy_names(module, link, consume):
    """The interfaces that a policy names are those of the consumer's network namespace."""
    consumer = consume(link.far, "--policy", "in veth0 size>40 drop; in lo drop")
    with link.pinger() as pinger:
        pinger.send(1, 41)
        pinger.ping(2, 40)
        assert not pinger.replies()
    assert consumer.stop()[1]["dropped"] == 1


@pytest.mark.parametrize("quiet", [(), ("--quiet",)], ids=["printed", "quiet"])
def test_rule_follows_the_name_of_an_interface(module, link, consume, quiet):
    """Bug: a rule that names an interface no longer matches after the interface is deleted and made again."""
    far = link.far
    consumer = consume(far, "--policy", "in veth0 drop; in wan size=33 drop", *quiet)
    with link.pinger() as pinger:
        pinger.send(1, 32)
        link.settle()
        assert not pinger.replies()
        # Now the interface has the name in the second rule.
        far.ip("link set veth0 name wan")
        pinger.ping(2, 32)
        pinger.send(3, 33)
        pinger.ping(4, 32)
        # The interface is deleted. The new interface veth0 has another number.
        far.ip("link delete wan")
        join(link.near, far)
        pinger.send(5, 32)
        link.settle()
        assert not pinger.replies()
        far.ip("link set veth0 name wan")
        pinger.ping(6, 32)
    consumer.signal(signal.SIGINT)
    output, errors = consumer.process.communicate(timeout=DEADLINE)
    *events, summary = map(json.loads, output.splitlines())
    assert consumer.process.returncode == DONE and b"'wan'" in errors, errors
    assert (summary["dropped"], summary["accepted"]) == (3, 3)
    if not quiet:
        assert [event["in"] for event in events] == ["veth0", "wan", "wan", "wan", "veth0", "wan"]


def test_interface_that_comes_later(module, link, peer_program):
    """While no interface has the name in a rule, the rule matches no packet. The command warns once."""
    with link.far:
        consumer = Consumer([peer_program, "-j", "queue", "run", "--policy", "in wan drop; in wan drop"])
    assert consumer.event()["event"] == "ready"
    with link.pinger() as pinger:
        pinger.ping(1)
        assert consumer.event()["verdict"] == "accept"
        link.far.ip("link set veth0 name wan")
        pinger.send(2)
        # The test waits for this event: a packet that still waits when the consumer stops is counted as
        # pending, not as dropped.
        assert consumer.event()["verdict"] == "drop"
        link.settle()
        assert not pinger.replies()
    consumer.signal(signal.SIGINT)
    output, errors = consumer.process.communicate(timeout=DEADLINE)
    assert consumer.process.returncode == DONE
    assert errors.count(b"warning") == 1 and b"'wan'" in errors, errors
    assert json.loads(output.splitlines()[-1])["dropped"] == 1


@pytest.mark.parametrize("copy, policy, words", [
    ("meta", "icmp drop", "'icmp' needs 20 bytes"),
    ("none", "mark 1 accept; not fragment drop", "'not fragment' needs 20 bytes"),
    ("packet:24", "echo-request drop", "'echo-request' needs 28 bytes"),
    ("packet:44", "icmp6 size>5 drop", "needs 48 bytes of a packet, and only 44 bytes are copied"),
])
def test_policy_that_can_never_hold_is_refused(module, peer, copy, policy, words):
    """Bug: the consumer accepts a policy whose conditions can never be evaluated, and so every packet
    passes."""
    status, output, errors = peer("queue", "run", "--copy", copy, "--policy", policy, "--timeout", "1")
    assert (status, output) == (ERROR, "") and words in errors, errors


def test_packet_of_which_too_little_is_copied_is_dropped(module, routed, consume):
    """Bug: if too little of a packet is copied to evaluate a condition, the packet passes although the policy
    may drop it. The IPv6 packet here has longer headers than the IPv4 packet."""
    consumer = consume(routed.far, "--copy", "packet:30", "--policy", "echo-request size>100 drop")
    with routed.pinger() as pinger, Echo(IPV6, routed) as echo:
        echo.send(bytes(8))
        routed.settle()
        pinger.ping(1, 50)
        assert not echo.waiting()
    events, summary = consumer.stop()
    assert [event["undecided"] for event in events] == [True, False]
    assert [event["verdict"] for event in events] == ["drop", "accept"]
    assert (summary["undecided"], summary["dropped"], summary["accepted"]) == (1, 1, 1)


def test_rate_lets_so_many_through(module, link, consume):
    """`rate` is a token bucket. It holds at most the tokens of one second."""
    consumer = consume(link.far, "--policy", "rate 5/s accept; drop", "--count", "50")
    with link.pinger() as pinger:
        consumer.pause()
        for seq in range(50):
            pinger.send(seq)
        link.settle()
        consumer.go_on()
        events, summary = consumer.finish()
    passed = numbers(events, "accept")
    assert passed[:5] == [0, 1, 2, 3, 4]
    assert 5 <= len(passed) <= 5 + 5 * (1 + summary["seconds"])
    assert summary["dropped"] == 50 - len(passed)
