# SPDX-License-Identifier: GPL-2.0

"""The peer (the program nldemo) with the kernel: its output, the ways in which it ends, and messages from
senders other than the kernel."""

import itertools
import json
import os
import pwd
import signal
import socket
import struct
import subprocess
import time

import pytest

import module as modules
import nfqueue
from control import Control
from module import remove
from netlink import DEADLINE, ECHO, Client, pack, sockets, wait_until
from network import named
from nfqueue import (
    MSG_PACKET,
    NETLINK_NETFILTER,
    NFQA_PACKET_HDR,
    NFQA_PAYLOAD,
    Listener,
    attribute,
)
from program import Consumer

DONE, NO, ERROR = 0, 1, 2


# The command `nldemo echo`.


@pytest.mark.smoke
def test_echo_prints_its_text(module, peer):
    """Without -j the output is text."""
    status, output, errors = peer("echo", "hello kernel")
    assert (status, errors) == (DONE, "")
    assert output.startswith("hello kernel\n") and "1 sent, 1 identical" in output


@pytest.mark.parametrize("size", [0, 1, 3, 1000, 31 * 1024, 200_000])
def test_echo_sizes(module, peer, size):
    """Bug: nldemo's receive buffer cuts a reply off."""
    status, output, errors = peer("-j", "echo", "--size", str(size), "--count", "3")
    report = json.loads(output)
    assert (status, errors) == (DONE, "")
    assert (report["ok"], report["error"], report["size"]) == (True, None, size)
    assert (report["sent"], report["received"], report["foreign"]) == (3, 3, 0)
    times = report["round_trip_ns"]
    assert times["min"] <= times["p50"] <= times["max"]
    # If the guest's clock only advances by ticks, the measured time can be 0.
    assert times["min"] > 0 or time.get_clock_info("monotonic").resolution > 1e-6


@pytest.mark.parametrize("options", [(), ("--ack",), ("--legacy",)], ids=str)
def test_echo_batch_of_1000(module, peer, options):
    """The command sends many messages in one buffer. The replies are right with each of the tested options."""
    status, output, errors = peer("-j", "echo", "--count", "2000", "--batch", "1000",
                                  "--size", "10", *options)
    report = json.loads(output)
    assert (status, errors) == (DONE, "")
    assert (report["ok"], report["sent"], report["received"]) == (True, 2000, 2000)


def test_echo_without_module_says_how_to_load_it(load, peer):
    """Without the module, the command must fail immediately, and say how to load the module."""
    for protocol in (23, 31):
        status, output, errors = peer("echo", "--protocol", str(protocol))
        assert (status, output) == (ERROR, "")
        for word in (f"protocol {protocol}", "no kernel socket", "insmod", f"protocol={protocol}"):
            assert word in errors, errors


def test_echo_on_another_protocol_number(load, peer):
    """The module and the command use another protocol number, by the parameter and by --protocol."""
    load(protocol=31)
    assert peer("echo", "--protocol", "31")[0] == DONE
    assert peer("echo")[0] == ERROR


def test_echo_as_an_unprivileged_user(module, peer):
    """Echo needs no capability."""
    nobody = pwd.getpwnam("nobody")
    status, output, errors = peer("-j", "echo", "--size", "1000", "--count", "10",
                                  user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
    assert (status, errors) == (DONE, "")
    assert json.loads(output)["received"] == 10


def test_echo_in_a_named_namespace(module, peer):
    """-N takes the names of `ip netns`. If a namespace does not exist, the error has its name."""
    with named("blue"):
        assert peer("-N", "blue", "echo")[0] == DONE
    status, output, errors = peer("-N", "blue", "echo")
    assert (status, output) == (ERROR, "")
    assert "'blue'" in errors and "ip netns" in errors


@pytest.fixture
def stop_amid_echoes(module, running):
    """Starts `nldemo -j echo --size 9`, and pauses it when it has sent some of its messages, but not all.
    Returns the program, the number of its messages, and its portid."""
    def stop_amid_echoes():
        with Control() as control:
            for count in (3000 << attempt for attempt in itertools.count()):
                # Each request for the statistics is counted in the next statistics, so served() subtracts
                # these requests.
                before, readings = control.stats()["messages"], itertools.count(1)

                def served(before=before, readings=readings):
                    return control.stats()["messages"] - before - next(readings)

                program = running("echo", "--size", "9", "--count", str(count), "--timeout", f"{DEADLINE:.0f}")
                wait_until(served, interval=0)
                program.pause()
                if served() < count:
                    (portid,) = sockets().keys() - {0, control.portid}
                    return program, count, portid
                # The command sent all messages before it was paused. Try again with twice as many.
                program.go_on()
                program.rest()

    return stop_amid_echoes


def test_echo_takes_no_message_that_is_not_from_the_kernel(stop_amid_echoes):
    """Bug: nldemo mistakes a message of another process for a reply of the kernel."""
    program, count, portid = stop_amid_echoes()
    forged = b"".join(pack(ECHO, b"forged...", flags=0, seq=seq, pid=portid)
                      for seq in (0, 1, 2, count, 0xFFFFFFFF))
    with Client() as forger:
        for _ in range(10):
            # The kernel refuses this message, because nldemo's socket is connected to the kernel.
            with pytest.raises(ConnectionRefusedError):
                forger.socket.sendto(forged, (portid, 0))
    program.go_on()
    (report,) = program.rest()
    assert (report["ok"], report["received"], report["foreign"]) == (True, count, 0)


def test_usage_errors(peer):
    """A usage error gives exit status 2, and nothing on standard output."""
    for arguments in ((), ("echo", "--protocol", "22"), ("echo", "--protocol", "32"),
                      ("echo", "--size", "-1"), ("queue", "run", "--queue", "65536"),
                      ("queue", "run", "--policy", "maybe"), ("dance",)):
        status, output, errors = peer(*arguments)
        assert (status, output) == (ERROR, "") and errors, arguments


# These tests check the command `nldemo queue run`.


@pytest.mark.smoke
def test_queue_shows_packets_and_accepts_them(module, link, consume):
    """The command prints the values of the packet."""
    consumer = consume(link.far, "--hexdump")
    with link.pinger() as pinger:
        pinger.ping(seq=5, size=32)
        packet = consumer.event()
        assert packet["event"] == "packet" and packet["queue"] == 0
        assert (packet["src"], packet["dst"]) == ("192.0.2.1", "192.0.2.2")
        assert (packet["in"], packet["out"], packet["fragment"]) == ("veth0", None, False)
        assert packet["length"] == packet["captured"] == 60
        icmp = packet["icmp"]
        assert (icmp["type"], icmp["code"], icmp["data_length"]) == (8, 0, 32)
        assert (icmp["id"], icmp["seq"]) == (pinger.ident, 5)
        payload = bytes.fromhex(packet["payload"])
        assert len(payload) == 60 and payload[28:] == bytes(range(5, 37))
        assert packet["verdict"] == "accept"
    events, summary = consumer.stop()
    assert not events
    assert [summary[key] for key in ("packets", "accepted", "dropped", "errors")] == [1, 1, 0, 0]


def test_queue_big_packet_is_seen_whole(load, loopback, consume):
    """Bug: the consumer's receive buffer cuts a packet off."""
    load()
    consumer = consume(loopback.near)
    with loopback.pinger() as pinger:
        pinger.ping(size=60_000)
    for _ in range(2):
        packet = consumer.event()
        assert packet["length"] == 60_028 and packet["icmp"]["data_length"] == 60_000
    assert consumer.stop()[1]["errors"] == 0


@pytest.mark.parametrize("policy, passing", [
    ("accept", [31, 32, 33, 56]), ("drop", []), ("echo-size=32", [32]), ("echo-size=0", []),
])
def test_queue_policies(module, link, consume, policy, passing):
    """Each policy lets exactly the pings of the sizes in `passing` pass. The policy echo-size=32 is the rule
    of an old demo of netlink."""
    sizes = [31, 32, 33, 56]
    consumer = consume(link.far, "--policy", policy, "--count", str(len(sizes)))
    with link.pinger() as pinger:
        for size in sizes:
            pinger.send(seq=size, size=size)
        events, summary = consumer.finish()
        link.settle()
        assert pinger.replies() == passing
    assert [event["icmp"]["seq"] for event in events if event["verdict"] == "accept"] == passing
    assert [summary[key] for key in ("packets", "accepted", "dropped")] == [
        len(sizes), len(passing), len(sizes) - len(passing)]


def test_queue_timeout(module, link, consume):
    """With --timeout the command ends by itself, with success."""
    events, summary = consume(link.far, "--timeout", "0.1").finish()
    assert not events and summary["packets"] == 0 and summary["seconds"] >= 0.1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_queue_stops_cleanly_with_verdicts_for_what_is_pending(module, link, consume, number):
    """Bug: when the consumer exits, packets stay in its queue or are dropped."""
    consumer = consume(link.far)
    with link.pinger() as pinger:
        consumer.pause()
        for seq in range(20):
            pinger.send(seq)
        link.settle()
        with link.far:
            assert nfqueue.statistics()[0][0] == 20
        consumer.signal(number)
        consumer.go_on()
        events, summary = consumer.finish()
        assert len(events) + summary["pending"] == 20 and summary["flushed"] == 0
        link.settle()
        assert pinger.replies() == list(range(20))
        with link.far:
            assert not nfqueue.is_bound(0)
        pinger.ping(30)


def test_signals_that_come_together_are_one_wish_to_stop(module, link, consume):
    """Bug: timeout(1) sends two signals, and the second signal kills the consumer before it has printed its
    summary."""
    consumer = consume(link.far)
    consumer.pause()
    consumer.signal(signal.SIGINT)
    consumer.signal(signal.SIGTERM)
    consumer.go_on()
    assert consumer.finish()[1]["pending"] == 0


def test_queue_survives_packets_that_are_gone(load, link, consume):
    """Bug: a consumer ends when it gets ENOENT. Here the hook is unregistered, so the kernel drops the queued
    packets."""
    load()
    consumer = consume(link.far)
    with link.pinger() as pinger:
        consumer.pause()
        for seq in range(5):
            pinger.send(seq)
        remove()
        load()
        consumer.go_on()
        pinger.ping(10)
        assert [consumer.event()["icmp"]["seq"] for _ in range(6)] == [0, 1, 2, 3, 4, 10]
        events, summary = consumer.stop()
        assert not events and not pinger.replies()
    assert summary["gone"] == summary["errors"] == 5


def test_queue_survives_an_overflow(module, loopback, consume):
    """Bug: a consumer ends when it gets ENOBUFS."""
    consumer = consume(loopback.near, "--policy", "drop")
    with loopback.pinger() as pinger:
        consumer.pause()
        # These are more packets than a queue holds by default (1024).
        for seq in range(1500):
            pinger.send(seq)
        loopback.settle()
        with loopback.near:
            waiting, full, user = nfqueue.statistics()[0]
        assert waiting + full + user == 1500 and full + user > 0
        consumer.go_on()
        assert [consumer.event()["icmp"]["seq"] for _ in range(waiting)] == list(range(waiting))
        pinger.send(2000)
        assert consumer.event()["icmp"]["seq"] == 2000
        summary = consumer.stop()[1]
    assert summary["packets"] == waiting + 1
    assert sum(summary["lost"].values()) == full + user


def test_queue_takes_no_message_that_is_not_from_the_kernel(module, link, peer_program):
    """Bug: the consumer believes packets that another process has sent: it prints them, or sends verdicts on
    them."""
    with link.far:
        consumer = Consumer([peer_program, "-j", "queue", "run"])
        forger = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    portid = consumer.event()["portid"]
    payload = struct.pack(">BBH", socket.AF_INET, 0, 0) + attribute(
        NFQA_PACKET_HDR, struct.pack(">IHB", 1, 0x0800, 0)) + attribute(NFQA_PAYLOAD, bytes(28))
    with forger, link.pinger() as pinger:
        for _ in range(7):
            with pytest.raises(ConnectionRefusedError):
                forger.sendto(pack(MSG_PACKET, payload, flags=0), (portid, 0))
        pinger.ping(3)
        assert consumer.event()["icmp"]["seq"] == 3
        summary = consumer.stop()[1]
    assert (summary["packets"], summary["foreign"], summary["errors"]) == (1, 0, 0)


def test_queue_bound_by_another_names_the_holder(module, link, peer):
    """Bug: a consumer waits for ever, because another program has bound its queue."""
    with link.far, Listener() as listener:
        status, output, errors = peer("queue", "run")
        assert (status, output) == (ERROR, "")
        for word in ("queue 0", f"portid {listener.portid}", f"process {os.getpid()}", "another queue"):
            assert word in errors, errors


def test_queue_as_an_unprivileged_user(module, peer):
    """The error says that CAP_NET_ADMIN is needed."""
    nobody = pwd.getpwnam("nobody")
    status, output, errors = peer("queue", "run", user=nobody.pw_uid, group=nobody.pw_gid,
                                  extra_groups=[])
    assert (status, output) == (ERROR, "")
    assert "EPERM" in errors and "root" in errors


def test_queue_reader_that_leaves(module, link, peer_program):
    """If the reader of the command's output closes the pipe, the command ends without an error, and the
    queued packets get their verdicts."""
    with link.far:
        process = subprocess.Popen([peer_program, "queue", "run"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("listening on queue 0")
    process.stdout.close()
    with link.pinger() as pinger:
        pinger.ping()
    assert process.wait(DEADLINE) == DONE
    assert process.stderr.read() == ""
    process.stderr.close()


def test_plain_output_without_colour_and_with(module, loopback, peer):
    """The output has colours only on a terminal, or if an option asks for colours."""
    def run_queue(*options, **environment):
        with loopback.near:
            return peer(*options, "queue", "run", "--timeout", "0.05",
                        env={**os.environ, **environment})

    status, output, errors = run_queue()
    assert (status, errors) == (DONE, "") and "\x1b" not in output
    assert "0 packets, 0 accepted, 0 dropped, 0 errors" in output
    for options in (("--color", "never"), ("--color=always",)):
        error = peer(*options, "-N", "no-such", "echo")[2]
        assert ("\x1b" in error) == (options == ("--color=always",))


def test_module_can_go_when_the_peer_has_gone(load, link, consume, peer):
    """After nldemo has ended, nothing of it keeps the module in use."""
    load()
    assert peer("echo")[0] == DONE
    consumer = consume(link.far)
    remove()
    assert not modules.is_loaded()
    consumer.stop()
