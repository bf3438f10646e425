# SPDX-License-Identifier: GPL-2.0

"""The ways in which `nldemo queue run` ends. Trouble with its output must never cause the loss of a
packet."""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import subprocess
import termios
import time
from mmap import PAGESIZE
from pathlib import Path

import pytest

import flood
import nfqueue
from control import Control
from netlink import DEADLINE, wait_until
from network import ICMP_ECHO_REQUEST, Pinger, run
from pcapng import pcapng_packets
from program import POLL, wait_for_call

pytestmark = pytest.mark.all_cpus

DONE, NO, ERROR, PANIC = 0, 1, 2, 101
F_SETPIPE_SZ = 1031
COUNT = 100
# This number of packets does not fit the small disk.
TOO_MANY = COUNT * PAGESIZE // 4096
# The number of the system call pidfd_getfd(2). It is the same on all architectures.
PIDFD_GETFD = 438


class Run:
    """A running `nldemo queue run` with a given standard output."""

    def __init__(self, program, namespace, *arguments, json_lines=False, stays=True, **options):
        options.setdefault("stderr", subprocess.PIPE)
        with namespace:
            self.process = subprocess.Popen(
                [program, *(["-j"] if json_lines else []), "queue", "run", *arguments],
                stdin=subprocess.DEVNULL, **options)
            if stays:
                wait_until(lambda: nfqueue.is_bound(0))

    def signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def go_on(self):
        self.signal(signal.SIGCONT)

    def end(self):
        """Waits until the consumer has ended. Returns its exit status and its standard error."""
        errors = self.process.communicate(timeout=DEADLINE)[1]
        return self.process.returncode, (errors or b"").decode()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def consumer(peer_program, load):
    """Starts `nldemo queue run`. If the consumer still runs after the test, it is killed."""
    with contextlib.ExitStack() as running:
        def consumer(namespace, *arguments, **options):
            started = Run(peer_program, namespace, *arguments, **options)
            running.callback(started.close)
            return started

        yield consumer


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two pages."""
    place = tmp_path / "disk"
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", "nr_blocks=2", "small", str(place))
    yield place
    run("umount", str(place))


@pytest.fixture
def pipe():
    """A pipe with room for one page. Yields its reading end and its writing end, as files."""
    readable, writable = os.pipe()
    fcntl.fcntl(writable, F_SETPIPE_SZ, PAGESIZE)
    with open(readable, "rb", 0) as reader, open(writable, "wb", 0) as writer:
        yield reader, writer


def fill(consumer, link, pinger, count=COUNT):
    """Pauses the consumer, and sends `count` pings, so that all of them wait in the consumer's queue."""
    consumer.pause()
    for seq in range(count):
        pinger.send(seq)
    link.settle()
    with link.far:
        assert nfqueue.statistics()[0][0] == count


def fail_under_pings(consumer, link):
    """Sends pings while a consumer fails to start, although it has already bound queue 0. All pings must get
    replies. Returns the consumer's standard error."""
    with link.far:
        wait_until(lambda: nfqueue.is_bound(0))
    with link.pinger() as pinger:
        pinger.send(0)
        assert consumer.process.poll() is None, "it ended before there was a packet"
        for seq in range(1, COUNT):
            pinger.send(seq)
        status, errors = consumer.end()
        link.settle()
        assert pinger.replies() == list(range(COUNT)), errors
    assert status == ERROR
    return errors


@contextlib.contextmanager
def control_group(**limits):
    """Makes a control group with limits. The name of a limit is the name of its file in the group. Yields a
    function with which a process joins the group."""
    root = Path("/sys/fs/cgroup")
    (root / "cgroup.subtree_control").write_text("+pids +memory", encoding="ascii")
    group = root / "nldemo"
    group.mkdir()
    for name, limit in limits.items():
        (group / name.replace("_", ".")).write_text(str(limit), encoding="ascii")
    processes = group / "cgroup.procs"
    try:
        yield lambda: processes.write_text("0", encoding="ascii")
    finally:
        wait_until(lambda: not processes.read_text(encoding="ascii"))
        group.rmdir()


def replies(pinger, count=COUNT):
    """Returns the replies. Waits until there are `count` replies, or no more come."""
    found = []
    with contextlib.suppress(TimeoutError):
        while len(found) < count:
            found.append(pinger.reply())
    return found


def all_pass(consumer, link, count=COUNT):
    """Lets packets wait, and lets the consumer go on until its output fails. All packets must get their
    verdicts."""
    with link.pinger() as pinger:
        fill(consumer, link, pinger, count)
        consumer.go_on()
        status, errors = consumer.end()
        link.settle()
        assert len(pinger.replies()) == count, (status, errors)
        with link.far:
            assert not nfqueue.is_bound(0)
    return status, errors


# A start that fails.


def test_queue_that_is_taken_costs_no_packet_in_those_before_it(module, link, consumer):
    """Bug: if the last of several queues cannot be bound, packets are lost that already wait in the other
    queues."""
    consumer(link.far, "--queue", "400", stays=False)
    with link.far:
        wait_until(lambda: nfqueue.is_bound(400))
    starting = consumer(link.far, "--queue", "0-400", stays=False, stdout=subprocess.PIPE)
    errors = fail_under_pings(starting, link)
    assert "EBUSY" in errors or "queue 400" in errors, errors


def test_thread_that_cannot_start_costs_nothing(link, consumer, tmp_path):
    """If the consumer cannot start a thread for each queue, it must not have bound a queue or emptied the
    capture file."""
    path = tmp_path / "seen.pcapng"
    path.write_bytes(b"of earlier")
    with control_group(pids_max=200) as join:
        starting = consumer(link.far, "--queue", "0-399", "--pcap", str(path), stays=False,
                            stdout=subprocess.PIPE, preexec_fn=join)
        output, errors = starting.process.communicate(timeout=DEADLINE)
    assert starting.process.returncode == ERROR and path.read_bytes() == b"of earlier"
    # No queue was bound.
    assert output == b""
    assert b"start a thread" in errors and b"EAGAIN" in errors, errors


def test_error_is_told_when_no_thread_can_start(peer_program):
    """Bug: errors are written by a separate thread, so an error is lost if no thread can start."""
    with control_group(pids_max=1) as join:
        refused = subprocess.run([peer_program, "queue", "run"], stdin=subprocess.DEVNULL,
                                 capture_output=True, preexec_fn=join, timeout=DEADLINE, check=False)
    assert refused.returncode == ERROR and b"EAGAIN" in refused.stderr, refused.stderr


def test_capture_stays_as_it_is_when_the_queue_is_taken(module, link, consumer, tmp_path):
    """The consumer empties the capture file only after it has bound its queues. Here it fails to bind a
    queue, so it must leave the file unchanged."""
    path = tmp_path / "seen.pcapng"
    path.write_bytes(b"of earlier")
    consumer(link.far)
    second = consumer(link.far, "--pcap", str(path), stays=False, stdout=subprocess.PIPE)
    assert second.end()[0] == ERROR and path.read_bytes() == b"of earlier"


def test_memory_that_a_control_group_leaves_counts(module, link, consumer):
    """Bug: the consumer only checks whether the machine has enough memory. If its control group has less, the
    kernel kills the consumer."""
    with control_group(memory_max=64 << 20) as join:
        refused = consumer(link.far, "--queue", "0-999", stays=False, stdout=subprocess.PIPE,
                           preexec_fn=join)
        status, errors = refused.end()
    assert status == ERROR and "1000 queues need" in errors, errors


# Output that fails.


def test_capture_on_a_full_disk(module, link, consumer, small_disk):
    """Bug: if the capture's disk is full, waiting packets are lost, or the capture ends in the middle of a
    block."""
    path = small_disk / "seen.pcapng"
    consuming = consumer(link.far, "--quiet", "--pcap", str(path), stdout=subprocess.PIPE)
    with link.pinger() as pinger:
        fill(consuming, link, pinger, TOO_MANY)
        consuming.go_on()
        output, errors = consuming.process.communicate(timeout=DEADLINE)
        link.settle()
        assert pinger.replies() == list(range(TOO_MANY))
    assert consuming.process.returncode == ERROR
    assert b"ENOSPC" in errors and b"capture file" in errors, errors
    # The summary is on standard output as usual, and the error is on standard error.
    assert b" packets, " in output and b"not captured" in output, output
    packets = pcapng_packets(path.read_bytes())
    assert 0 < len(packets) < TOO_MANY


@pytest.mark.parametrize("place", ["/dev/full", "disk"])
def test_standard_output_on_a_full_disk(module, link, consumer, small_disk, place):
    """Bug: if the disk of standard output is full, waiting packets are lost, or there is no summary."""
    path = Path(place) if place == "/dev/full" else small_disk / "seen.txt"
    with path.open("wb") as file:
        # On /dev/full, the consumer already fails to write its first line.
        consuming = consumer(link.far, stays=place == "disk", stdout=file)
    if place == "/dev/full":
        status, errors = consuming.end()
    else:
        status, errors = all_pass(consuming, link, TOO_MANY)
    assert status == ERROR
    summary, error = errors.split("error: ")
    assert " packets, " in summary and "standard output: ENOSPC" in error, errors


def test_file_that_may_not_grow(module, link, consumer, tmp_path):
    """Bug: at the limit RLIMIT_FSIZE, SIGXFSZ kills the consumer, and waiting packets are lost."""
    path = tmp_path / "seen.pcapng"
    consuming = consumer(link.far, "--quiet", "--pcap", str(path), stdout=subprocess.DEVNULL)
    resource.prlimit(consuming.process.pid, resource.RLIMIT_FSIZE, (3000, 3000))
    status, errors = all_pass(consuming, link)
    assert status == ERROR and "EFBIG" in errors, errors
    data = path.read_bytes()
    assert 0 < len(pcapng_packets(data)) < COUNT and len(data) <= 3000


def test_reader_of_a_capture_that_leaves(module, link, consumer, tmp_path):
    """Bug: if the reader of the capture closes its pipe, waiting packets are lost."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    consuming = consumer(link.far, "--quiet", "--pcap", str(path), stdout=subprocess.DEVNULL)
    select.select([reader], [], [], DEADLINE)
    os.close(reader)
    status, errors = all_pass(consuming, link)
    assert status == ERROR and "EPIPE" in errors, errors


def test_reader_of_standard_output_that_leaves(module, link, consumer, pipe):
    """If the reader of standard output closes the pipe, the consumer ends without an error, and no packet is
    lost."""
    reader, writer = pipe
    consuming = consumer(link.far, stdout=writer)
    writer.close()
    assert reader.read(64).startswith(b"listening")
    reader.close()
    assert all_pass(consuming, link) == (DONE, "")


# Output that is stuck.


def test_reader_that_pauses_does_not_stop_the_network(module, link, consumer, pipe):
    """Bug: verdicts wait until the reader of the consumer's output reads (a pager does not read), and no
    signal ends the consumer."""
    reader, writer = pipe
    consuming = consumer(link.far, "--hexdump", stdout=writer)
    writer.close()
    count = 1000
    with link.pinger() as pinger:
        for seq in range(count):
            pinger.ping(seq, 1000)
        consuming.signal(signal.SIGTERM)
        status, errors = consuming.end()
        pinger.ping(count)
    # Standard output had no room for the summary, so the summary is on standard error.
    assert status == NO
    assert f"{count} packets, {count} accepted" in errors and "not printed" in errors, errors
    printed = reader.read()
    # The output ends with a whole record. Only a record that is larger than the pipe is written in part, and
    # then the pipe is full.
    assert printed.endswith(b"\n") or len(printed) == PAGESIZE


def test_lines_that_find_no_room_are_left_out_and_counted(module, link, consumer, pipe):
    """Lines for which the pipe has no room are left out. All other lines are whole, and the summary counts
    the missing lines."""
    reader, writer = pipe
    consuming = consumer(link.far, "--buffer", "20000", json_lines=True, stdout=writer)
    writer.close()
    count = 200
    with link.pinger() as pinger:
        for seq in range(count):
            pinger.ping(seq)
    consuming.signal(signal.SIGTERM)
    ready, *packets, summary = map(json.loads, reader.read().splitlines())
    status, errors = consuming.end()
    assert ready["event"] == "ready"
    numbers = [packet["icmp"]["seq"] for packet in packets]
    # The lines are in order, and none is repeated. The first twenty found room in the buffer. The last line
    # may have been printed when the reader had made room again.
    assert numbers == sorted(set(numbers)) and numbers[:20] == list(range(20))
    assert (summary["packets"], summary["accepted"]) == (count, count)
    assert 0 < summary["unprinted"] == count - len(packets)
    assert summary["uncaptured"] == 0
    assert status == NO and f"{summary['unprinted']} packets are missing" in errors, errors


def test_stuck_capture_loses_no_packet_and_ends(module, link, consumer, tmp_path):
    """If the reader of a capture does not read, the capture lacks the packets for which there was no room.
    The capture ends with a whole block."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    consuming = consumer(link.far, "--pcap", str(path), "--quiet", "--buffer", "10000",
                         json_lines=True, stdout=subprocess.PIPE)
    fcntl.fcntl(reader, F_SETPIPE_SZ, PAGESIZE)
    count = 300
    with link.pinger() as pinger:
        for seq in range(count):
            pinger.ping(seq)
    consuming.signal(signal.SIGTERM)
    output, errors = consuming.process.communicate(timeout=DEADLINE)
    assert consuming.process.returncode == NO
    summary = json.loads(output.splitlines()[-1])
    assert summary["packets"] == count and summary["unprinted"] == 0
    captured = pcapng_packets(os.read(reader, 1 << 16))
    os.close(reader)
    assert summary["uncaptured"] == count - len(captured) > 0, errors


@contextlib.contextmanager
def stopped_terminal():
    """A terminal that takes no output, as after the user typed Ctrl-S."""
    ours, theirs = os.openpty()
    termios.tcflow(theirs, termios.TCOOFF)
    try:
        yield theirs
    finally:
        os.close(ours)
        os.close(theirs)


def test_stopped_terminal_does_not_keep_it_from_ending(module, link, consumer):
    """Bug: Ctrl-S in the consumer's terminal stops the network. Standard error is the same terminal."""
    with stopped_terminal() as terminal, link.pinger() as pinger:
        consuming = consumer(link.far, stdout=terminal, stderr=terminal)
        for seq in range(COUNT):
            pinger.ping(seq)
        consuming.signal(signal.SIGTERM)
        assert consuming.end()[0] == NO
        pinger.ping(COUNT)


def test_second_signal_ends_it_at_once(module, link, consumer, pipe):
    """After the first signal the consumer still waits for its output. The second signal ends it
    immediately."""
    reader, writer = pipe
    consuming = consumer(link.far, "--hexdump", stdout=writer)
    writer.close()
    with link.pinger() as pinger:
        for seq in range(20):
            pinger.ping(seq, 1000)

    def dies():
        consuming.signal(signal.SIGTERM)
        return consuming.process.poll() is not None

    wait_until(dies, interval=0.05)
    assert consuming.end() == (-signal.SIGTERM, "")
    assert reader.read(1)


def test_one_signal_ends_any_command_that_is_stuck(module, peer_program, pipe):
    """Bug: a command that waits for the reader of its output ends only at the second signal."""
    reader, writer = pipe
    process = subprocess.Popen([peer_program, "completions", "bash"], stdout=writer)
    writer.close()
    assert reader.read(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == -signal.SIGTERM


# In these tests, the output has O_NONBLOCK.


@pytest.mark.parametrize("command", [("completions", "zsh"), ("queue", "run", "--help")])
def test_output_that_does_not_block_is_waited_for(peer, peer_program, pipe, command):
    """Bug: if standard output has O_NONBLOCK, EAGAIN ends the command before it has printed everything. Some
    programs leave O_NONBLOCK set on a terminal or a pipe."""
    reader, writer = pipe
    os.set_blocking(writer.fileno(), False)
    # The pipe is full, so the command must wait even if its output is short.
    writer.write(bytes(PAGESIZE))
    process = subprocess.Popen([peer_program, *command], stdout=writer)
    writer.close()
    wait_for_call(process, POLL)
    assert reader.read() == bytes(PAGESIZE) + peer(*command)[1].encode()
    assert process.wait(DEADLINE) == DONE


def test_lines_are_whole_on_output_that_does_not_block(module, link, consumer, pipe):
    """Bug: if standard output has O_NONBLOCK, EAGAIN ends the consumer in the middle of a JSON object."""
    reader, writer = pipe
    os.set_blocking(writer.fileno(), False)
    consuming = consumer(link.far, json_lines=True, stdout=writer)
    writer.close()
    with link.pinger() as pinger:
        for seq in range(COUNT):
            pinger.ping(seq)
    consuming.signal(signal.SIGINT)
    events = [json.loads(line) for line in reader.read().splitlines()]
    assert consuming.end() == (DONE, "")
    assert len(events) == COUNT + 2 and events[-1]["unprinted"] == 0


# These tests check other ways in which the consumer ends.


def test_no_packet_is_lost_between_the_last_verdict_and_the_end(module, link, consumer, start, stop):
    """Bug: the kernel drops packets that arrive after the last verdict, when the consumer unbinds the
    queue."""
    sending = start(flood.ping_in_bursts, link, stop, 200)
    for _ in range(10):
        consuming = consumer(link.far, "--fail-open", "--quiet", "--batch", json_lines=True,
                             stdout=subprocess.PIPE)
        with link.far:
            wait_until(lambda: nfqueue.last_ids()[0] > 500)
        consuming.signal(signal.SIGTERM)
        output = consuming.process.communicate(timeout=DEADLINE)[0]
        summary = json.loads(output.splitlines()[-1])
        assert (summary["flushed"], summary["errors"]) == (0, 0)
        sending.check()
    stop.set()
    sending.result()


def test_lack_of_memory_kills_it_and_leaves_no_packet_stuck(module, link, consumer, pipe):
    """If the consumer dies for lack of memory, the kernel drops the waiting packets, as after a SIGKILL."""
    # Nobody reads the consumer's output, which needs a quarter of a megabyte for each packet.
    consuming = consumer(link.far, "--hexdump", "--buffer", str(1 << 30), stdout=pipe[1])
    with link.pinger() as pinger:
        fill(consuming, link, pinger, 1)
        for seq in range(1, 21):
            pinger.send(seq, 60_000)
        link.settle()
        resource.prlimit(consuming.process.pid, resource.RLIMIT_AS, (1 << 20, 1 << 20))
        consuming.go_on()
        ended = consuming.end()
        # If a memory allocation fails, the consumer aborts. If a system call fails, the consumer ends with an
        # error.
        assert ended[0] in (-signal.SIGABRT, ERROR), ended
        with link.far:
            wait_until(lambda: not nfqueue.is_bound(0))
    with link.pinger() as pinger:
        pinger.ping()


class WithoutBuffers:
    """A consumer whose sends of verdicts fail with ENOBUFS until `end()`."""

    def __init__(self, consumer, link, preloaded, directory, *arguments):
        self._missing, self._failed = directory / "missing", directory / "failed"
        self._missing.touch()
        self._failed.touch()
        environment = {"NO_BUFFERS_WHILE": str(self._missing), "NO_BUFFERS_FAILED": str(self._failed)}
        self.run = consumer(link.far, "--quiet", *arguments, json_lines=True, stdout=subprocess.PIPE,
                            env={**os.environ, **preloaded("no_buffers"), **environment})

    def failures(self):
        """Returns the number of sends that have failed."""
        return self._failed.stat().st_size

    def wait_for_failures(self, count):
        """Waits until `count` more sends have failed."""
        enough = self.failures() + count
        wait_until(lambda: self.failures() >= enough)

    def end(self):
        """Lets all later sends succeed."""
        self._missing.unlink()

    def stop(self):
        """Stops the consumer by SIGTERM. Returns its summary, exit status and standard error."""
        self.run.signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        output, errors = self.run.process.communicate(timeout=DEADLINE)
        return json.loads(output.splitlines()[-1]), self.run.process.returncode, errors


@pytest.fixture
def without_buffers(consumer, link, preloaded, tmp_path):
    """Starts a consumer whose sends of verdicts fail."""
    return lambda *arguments: WithoutBuffers(consumer, link, preloaded, tmp_path, *arguments)


@pytest.mark.parametrize("arguments", [(), ("--batch", "64,1ms")], ids=["alone", "batch"])
def test_verdict_that_cannot_be_sent_is_sent_again_after_a_pause(module, link, without_buffers, arguments):
    """Bug: if a send fails, the consumer tries again and again without a pause."""
    consuming = without_buffers(*arguments)
    with link.pinger() as pinger:
        start = time.monotonic()
        pinger.send(1)
        consuming.wait_for_failures(10)
        time.sleep(1)
        failures, elapsed = consuming.failures(), time.monotonic() - start
        assert not pinger.replies()
        consuming.end()
        assert pinger.reply() == 1
    summary, status, errors = consuming.stop()
    # The consumer pauses for a millisecond before the third send and each later send.
    assert failures <= 1000 * elapsed + 2
    assert (summary["unsent"], summary["overruns"]) == (0, consuming.failures())
    assert (status, errors) == (DONE, b"")


def test_verdict_that_can_be_sent_while_it_stops(module, link, without_buffers):
    """Bug: while it stops, the consumer gives up after some failed sends, or counts a verdict as unsent
    although a later send succeeded."""
    consuming = without_buffers()
    with link.pinger() as pinger:
        pinger.send(1)
        consuming.wait_for_failures(1)
        consuming.run.signal(signal.SIGTERM)
        consuming.wait_for_failures(20)
        consuming.end()
        summary, status, errors = consuming.wait()
        assert pinger.reply() == 1
    assert (summary["packets"], summary["unsent"]) == (1, 0)
    assert (status, errors) == (DONE, b"")


def test_verdict_that_cannot_be_sent_at_the_end_is_counted(module, link, without_buffers):
    """The kernel drops a packet whose verdict could not be sent until the end. The consumer reports this as
    an error."""
    consuming = without_buffers()
    with link.pinger() as pinger:
        pinger.send(1)
        consuming.wait_for_failures(1)
        summary, status, errors = consuming.stop()
        assert not pinger.replies()
    assert summary["unsent"] == 1
    assert status == ERROR and b"ENOBUFS" in errors, errors


def test_failure_of_the_socket_is_told_behind_the_summary(module, loopback, consumer):
    """The test makes the send buffer of the consumer's socket so small that a verdict with a rewritten packet
    does not fit."""
    consuming = consumer(loopback.near, "--quiet", "--set", "ttl=9", stdout=subprocess.PIPE)
    process = os.pidfd_open(consuming.process.pid)
    for fd in os.listdir(f"/proc/{consuming.process.pid}/fd"):
        if os.readlink(f"/proc/{consuming.process.pid}/fd/{fd}").startswith("socket:"):
            copy = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, int(fd), 0)
            with socket.socket(fileno=copy) as theirs:
                theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    os.close(process)
    with loopback.pinger() as pinger:
        pinger.ping()
        pinger.send(2, 20_000)
        output, errors = consuming.process.communicate(timeout=DEADLINE)
        assert consuming.process.returncode == ERROR
        assert b"EMSGSIZE" in errors and b"1 verdicts could not be sent" in output, (output, errors)
        pinger.ping(3)


@pytest.mark.parametrize("queue", [0, 1], ids=["main thread", "own thread"])
def test_panic_costs_the_packets_of_its_queue_alone(load, loopback, consumer, preloaded, queue):
    """The thread of one queue panics, because its clock fails. The packets of the other queue get their
    verdicts."""
    load(queues=2)
    with loopback.near, Control() as control:
        control.set(ipv4={ICMP_ECHO_REQUEST})
    consuming = consumer(loopback.near, "--queue", "0-1", "--quiet", stdout=subprocess.DEVNULL,
                         env={**os.environ, **preloaded("no_clock"), "NO_CLOCK_QUEUE": str(queue)})
    with loopback.near:
        wait_until(lambda: nfqueue.is_bound(1))
    consuming.pause()
    with contextlib.ExitStack() as closing:
        pingers = [closing.enter_context(Pinger(loopback.near, f"127.0.1.{host + 1}"))
                   for host in range(COUNT)]
        for pinger in pingers:
            pinger.send()
        loopback.settle()
        with loopback.near:
            waiting = {number: counts[0] for number, counts in nfqueue.statistics().items()}
        assert sum(waiting.values()) == COUNT and waiting[queue] > 0, waiting
        consuming.go_on()
        status, errors = consuming.end()
        loopback.settle()
        replies = sum(len(pinger.replies()) for pinger in pingers)
    assert status == PANIC and "panicked" in errors, errors
    assert replies == waiting[1 - queue] > 0, waiting


# Signals.


def test_hang_up_that_nohup_has_ignored(module, link, consumer):
    """If SIGHUP is ignored when the consumer starts, it stays ignored."""
    consuming = consumer(link.far, stdout=subprocess.DEVNULL,
                         preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    consuming.signal(signal.SIGHUP)
    with link.pinger() as pinger:
        pinger.ping()
    with link.far:
        assert nfqueue.is_bound(0)
    consuming.signal(signal.SIGTERM)
    assert consuming.end() == (DONE, "")
