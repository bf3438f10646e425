# SPDX-License-Identifier: GPL-2.0

"""The command `nldemo diag list`, compared with the kernel and with ss(8), on sockets of every kind."""

import functools
import ipaddress
import json
import os
import resource
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

import sockets
from netlink import SLOW, wait_until
from network import run
from program import WRITE, as_nobody, wait_for_call
from workers import Stop

DONE, ERROR = 0, 2
NETLINK_SOCK_DIAG = 4
MODULE = "rust_nldemo"
# With this number of sockets, the limit below shows whether a program keeps the whole list in memory. Slow
# kernels get fewer sockets.
MANY = int(100_000 / SLOW ** 2)
MEMORY_LIMIT = 64 << 20
# With this number of sockets, the list is longer than a pipe takes, so the program must wait for its reader.
PIPEFUL = 2000
BUILT_IN = Path("/lib/modules", os.uname().release, "modules.builtin").read_text(encoding="ascii")


@pytest.fixture
def busy(namespaces):
    """A network namespace with sockets of every kind."""
    with sockets.busy(namespaces()) as busy:
        yield busy


@pytest.fixture
def diag(peer):
    """Runs `nldemo -j diag list` in a network namespace. Returns the sockets."""
    def diag(namespace, *arguments, **options):
        with namespace:
            status, output, errors = peer("-j", "diag", "list", *arguments, **options)
        assert (status, errors) == (DONE, "")
        return [json.loads(line) for line in output.splitlines()]

    return diag


def end(row, which):
    return row[which]["address"], row[which]["port"]


def lasting(rows):
    """Returns the rows without those of nldemo's own sockets, which are new in each run. nldemo opens its
    sock_diag socket after it has read the open files of all processes. So the row of the sock_diag socket
    names no process, and is recognized by its protocol."""
    return [row for row in rows if "nldemo" not in [one["name"] for one in row["processes"]]
            and (row["kind"], row.get("protocol")) != ("netlink", NETLINK_SOCK_DIAG)]


def identity(row):
    return row["kind"], row["cookie"], row["inode"]


def test_busy_namespace_has_sockets_in_all_states_however_slow_lo_is(namespaces, diag):
    """Bug: the tests' own connections are not in the states that the tests need. This happens if one end is
    closed before it knows the other end's state. If lo is slow, an end learns that state late."""
    run("modprobe", "sch_netem")
    namespace = namespaces()
    with namespace:
        run("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "8ms")
    with sockets.busy(namespace):
        assert {row["state"] for row in diag(namespace, "tcp")} == set(sockets.TCP_STATES)


# The list agrees with ss(8).


@pytest.mark.parametrize("kind, option, states", [
    ("tcp", "-t", set(sockets.TCP_STATES)),
    ("udp", "-u", {"established", "close"}),
    ("raw", "-w", {"close"}),
])
def test_list_agrees_with_ss_on_sockets_of_ip(busy, diag, kind, option, states):
    """nldemo and ss(8) list the same sockets (by cookie), with the same states and addresses."""
    ours = {}
    for row in diag(busy.namespace, kind):
        local, remote = end(row, "local"), end(row, "remote")
        if kind == "raw":
            # For a raw socket, ss shows the protocol in the place of the port.
            local = (local[0], row["protocol"])
        assert row["cookie"] not in ours
        ours[row["cookie"]] = (row["state"], row["receive_queue"], row["send_queue"],
                               (*local, row["interface"]), (*remote, None), row["inode"])
    with busy.namespace:
        assert ours == sockets.ss_of_ip(option)
    assert {state for state, *_ in ours.values()} == states
    families = {row["family"] for row in diag(busy.namespace, kind)}
    assert families == {"ipv4", "ipv6"}


def test_list_agrees_with_ss_on_unix_sockets(busy, diag):
    """nldemo and ss(8) list the same sockets (by inode), with the same types, states and other ends."""
    ours = {(row["inode"], row["type"][:3], row["state"], row["receive_queue"], row["send_queue"],
             row["peer"] or 0) for row in lasting(diag(busy.namespace, "unix", "-P"))}
    with busy.namespace:
        assert ours == sockets.ss_of_unix()
    assert len(ours) == 6


def test_list_agrees_with_ss_on_netlink_sockets(busy, diag):
    """nldemo and ss(8) list the same sockets, each once, except the sockets of these two programs."""
    rows = lasting(diag(busy.namespace, "netlink", "-P"))
    cookies = [row["cookie"] for row in rows]
    assert len(cookies) == len(set(cookies))
    ours = {(row["protocol"], row["portid"], row["state"]) for row in rows}
    with busy.namespace:
        theirs = {(*map(int, local.split(":")), state)
                  for state, _, _, local, *_ in sockets.ss("-A", "netlink")}
    assert ours == {one for one in theirs if one[0] != NETLINK_SOCK_DIAG}
    groups = {row["portid"]: row["groups"] for row in rows if not row["kernel"]}
    assert groups == {77: [], 78: [3], 0: [3]}
    assert {row["portid"] for row in rows if row["kernel"]} == {0}


def test_netlink_sockets_are_all_listed_however_many(module, diag, namespaces):
    """Bug: the list lacks the sockets that the kernel skips, one at the end of each part of its answer."""
    namespace = namespaces()
    portids = range(1000, 1500)
    with sockets.Sockets(namespace) as all_:
        for portid in portids:
            all_.bound(socket.AF_NETLINK, socket.SOCK_RAW, (portid, 0), socket.NETLINK_ROUTE)
        rows = diag(namespace, "netlink")
    assert sorted(row["portid"] for row in rows if row["protocol"] == 0) == [0, *portids]
    assert [row["kernel"] for row in rows if row["module"]] == [True]


def test_list_agrees_with_ss_on_packet_sockets(busy, diag):
    ours = {(row["cookie"], row["type"][0], row["interface"] or "*",
             row["protocol"]) for row in diag(busy.namespace, "packet")}
    theirs = set()
    with busy.namespace:
        for netid, _, _, _, place, _, _, cookie, *_ in sockets.ss("-0"):
            protocol, device = place.rsplit(":", 1)
            protocol = sockets.ETH_P_ALL if protocol == "*" else int(protocol.strip("[]"))
            theirs.add((int(cookie.removeprefix("sk:"), 16), netid[2], device, protocol))
    assert ours == theirs and len(ours) == 2


def test_list_has_ping_sockets(busy, diag):
    """The list has ping sockets, although sock_diag does not list them: nldemo reads them from /proc."""
    ours = {(row["family"], *end(row, "local"), row["cookie"]) for row in diag(busy.namespace, "icmp")}
    assert ours == {("ipv4", "127.0.0.1", 7, None), ("ipv6", "::1", 8, None)}


def test_list_without_filter_has_every_kind(busy, diag):
    """Without a filter, the list has all kinds, as if the command named each kind."""
    kinds = ("tcp", "udp", "raw", "icmp", "unix", "netlink", "packet")
    each = [row for kind in kinds for row in lasting(diag(busy.namespace, kind, "-P"))]
    everything = lasting(diag(busy.namespace, "-P"))
    assert [identity(row) for row in everything] == [identity(row) for row in each]
    assert {row["kind"] for row in everything} == set(kinds)


def test_table_has_what_json_has(busy, diag, peer):
    rows = diag(busy.namespace, "tcp", "packet")
    with busy.namespace:
        status, output, errors = peer("diag", "list", "tcp", "packet")
    assert (status, errors) == (DONE, "") and "\x1b" not in output
    heading, *lines = output.splitlines()
    assert heading.split() == ["kind", "state", "recv-q", "send-q", "local", "remote", "inode"]
    assert [line.split()[1] for line in lines] == [row["state"] for row in rows]
    assert [int(line.split()[-1]) for line in lines] == [row["inode"] for row in rows]
    for text in ("127.0.0.1:80 ", "[::1]:83 ", "[::]:84 ", "[::ffff:127.0.0.1]:84", " 0.0.0.0:* "):
        assert text in output


def test_names_of_unix_sockets_are_told_whatever_their_bytes(busy, diag, peer):
    """Names of unix sockets can have NULs and bytes that are not text. They reach a terminal only in escaped
    form."""
    names = {(row["name"], row["abstract"]) for row in diag(busy.namespace, "unix")}
    path = rf"/tmp/socket-{os.getpid()} @\xff\x1b[31m"
    assert names == {(r"nul\x00 and \xff\x0a", True), ("", True), (path, False), (None, False)}
    with busy.namespace:
        output = peer("diag", "list", "unix")[1]
    assert r" @nul\x00 and \xff\x0a " in output and " @ " in output and f" {path} " in output


def test_names_of_interfaces_do_a_terminal_no_harm(diag, peer, namespaces):
    namespace, name = namespaces(), "if\x1b[31m"
    namespace.ip(f"link add {name} type veth peer name veth0")
    with sockets.Sockets(namespace) as all_:
        one = all_.new(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, sockets.SO_BINDTODEVICE, name.encode())
        one.bind(("0.0.0.0", 68))
        all_.bound(socket.AF_PACKET, socket.SOCK_RAW, (name, sockets.ETH_P_IP))
        assert [row["interface"] for row in diag(namespace, "udp", "packet")] == [name] * 2
        with namespace:
            output = peer("diag", "list", "udp", "packet")[1]
    assert r" 0.0.0.0%if\x1b[31m:68 " in output and r" 0x0800:if\x1b[31m " in output


def test_what_is_no_whole_socket_belongs_to_nobody(busy, diag):
    """The kernel stores no user for a half-open connection (SYN_RECV), nor for a closed connection of which
    it keeps only a small record (struct inet_timewait_sock). For such a connection the list must show no
    user. The list must not show root."""
    client, _ = busy.pair(busy.listener(("127.0.0.1", 86)))
    port = client.getsockname()[1]
    client.shutdown(socket.SHUT_WR)
    wait_until(lambda: sockets.states(busy.namespace, port) == ["close-wait", "fin-wait-2"])
    # The client is now in FIN_WAIT2. If it were closed in an earlier state, the kernel could keep the whole
    # socket, without a file, for up to a minute.
    client.close()
    remembered = [row for row in diag(busy.namespace, "tcp") if row["inode"] == 0]
    assert {row["state"] for row in remembered} == {"syn-recv", "time-wait", "fin-wait-2"}
    assert {row["uid"] for row in remembered} == {None}
    whole = diag(busy.namespace, "tcp", "state=fin-wait-2", "remote-port=80")
    assert [row["uid"] for row in whole] == [0]


# Filters.


def within(network):
    """Returns a function that tells whether an address is in a network. IPv4 addresses can be mapped to
    IPv6."""
    network = ipaddress.ip_network(network)

    def holds(address):
        address = ipaddress.ip_address(address)
        mapped = getattr(address, "ipv4_mapped", None)
        return address in network or mapped is not None and mapped in network

    return holds


FILTERS = {
    ("tcp", "state=listen"): lambda row: row["state"] == "listen",
    ("tcp", "state=time-wait,syn-recv"): lambda row: row["state"] in ("time-wait", "syn-recv"),
    ("raw", "state=established"): lambda row: False,
    ("tcp", "udp", "family=ipv6"): lambda row: row["family"] == "ipv6",
    ("tcp", "local=127.0.0.0/8"): lambda row: within("127.0.0.0/8")(row["local"]["address"]),
    ("tcp", "udp", "remote=127.0.0.1"): lambda row: within("127.0.0.1")(row["remote"]["address"]),
    ("tcp", "address=::1"): lambda row: "::1" in (row["local"]["address"], row["remote"]["address"]),
    ("tcp", "address=::ffff:0:0/96"):
        lambda row: any(within("::ffff:0:0/96")(row[end]["address"]) for end in ("local", "remote")),
    ("tcp", "local=127.0.0.1:80"): lambda row: end(row, "local") == ("127.0.0.1", 80),
    ("tcp", "local=[::1]:83,0.0.0.0/0:80-81"):
        lambda row: end(row, "local") in (("::1", 83), ("127.0.0.1", 80), ("127.0.0.1", 81)),
    ("tcp", "port=80"): lambda row: 80 in (row["local"]["port"], row["remote"]["port"]),
    ("tcp", "local-port=80-82,84"): lambda row: row["local"]["port"] in (80, 81, 82, 84),
    ("tcp", "remote-port=0"): lambda row: row["remote"]["port"] == 0,
    ("udp", "remote=*:1-65535"): lambda row: row["remote"]["port"] != 0,
    ("udp", "local=0.0.0.0%lo"): lambda row: row["interface"] == "lo",
    ("udp", "local=*%lo:68"): lambda row: row["interface"] == "lo",
    ("tcp", "local=127.0.0.1", "state=established", "remote-port=80"):
        lambda row: (row["local"]["address"], row["state"], row["remote"]["port"]) == (
            "127.0.0.1", "established", 80),
    ("raw", "protocol=58"): lambda row: row["protocol"] == 58,
    ("netlink", "protocol=0"): lambda row: row["protocol"] == 0,
    ("packet", "protocol=2048"): lambda row: row["protocol"] == 2048,
}


def test_filters_leave_what_they_mean(busy, diag):
    """A filter selects the right sockets, whether the kernel evaluates the filter or nldemo does."""
    everything = diag(busy.namespace)
    for terms, holds in FILTERS.items():
        kinds = [term for term in terms if "=" not in term]
        found = [row["cookie"] for row in diag(busy.namespace, *terms)]
        for attempt in (1, 2):
            of_kinds = [row for row in everything if row["kind"] in kinds]
            expected = [row["cookie"] for row in of_kinds if holds(row)]
            if found == expected or attempt == 2:
                break
            # The kernel forgets a closed connection within a minute. So the list is read again.
            everything = diag(busy.namespace)
        assert found == expected, terms
        assert len(expected) < len(of_kinds), terms
        assert expected or terms == ("raw", "state=established")


def test_filter_by_inode_and_cookie(busy, diag):
    for row in diag(busy.namespace, "state=listen"):
        by_inode = diag(busy.namespace, f"inode={row['inode']}")
        assert by_inode == diag(busy.namespace, f"cookie={row['cookie']}") == [row]


def test_filter_by_process(busy, diag, peer):
    """The filter takes a process's number or its name. The list shows both."""
    child = subprocess.Popen(["sleep", "1000"], stdout=busy.new(socket.AF_INET, socket.SOCK_DGRAM),
                             stderr=busy.listener(("127.0.0.1", 99)))
    try:
        (by_pid,) = diag(busy.namespace, f"process={child.pid}")
        assert end(by_pid, "local") == ("127.0.0.1", 99)
        assert {"pid": child.pid, "name": "sleep"} in by_pid["processes"]
        # The test's own process has the socket open, too.
        assert os.getpid() in [process["pid"] for process in by_pid["processes"]]
        assert diag(busy.namespace, "process=sleep,no-such-process") == [by_pid]
        assert diag(busy.namespace, "process=no-such-process") == []
        without = diag(busy.namespace, "local=127.0.0.1:99")
        assert without == [by_pid | {"processes": None}]
        assert diag(busy.namespace, "local=127.0.0.1:99", "--processes") == [by_pid]
        with busy.namespace:
            output = peer("diag", "list", "-P", "local=127.0.0.1:99")[1]
        assert f"{child.pid} sleep" in output.splitlines()[1]
    finally:
        child.kill()
        child.wait()


MALFORMED = {
    "tpc": ["unknown kind 'tpc'", "tcp, udp, raw"],
    "prot=80": ["did you mean 'port'?"],
    "port=65536": ["'65536' is no value of port", "0 to 65535"],
    "port=-1": ["'-1' is no value of port"],
    "inode=4294967296": ["is no value of inode"],
    "local=127.0.0.1/33": ["is no value of local"],
    "local=[::1": ["is no value of local"],
    "local=[::1]80": ["is no value of local"],
    "local=fe80::1%no-such0": ["there is no interface 'no-such0'"],
    "state=open": ["'open' is no value of state", "established"],
    "state=listen state=close": ["state is given twice"],
    "unix port=80": ["no unix socket can match"],
}


@pytest.mark.parametrize("command", ["list", "kill"])
def test_malformed_filters_are_usage_errors(peer, command):
    for terms, words in MALFORMED.items():
        status, output, errors = peer("diag", command, *terms.split())
        assert (status, output) == (ERROR, ""), terms
        for word in words:
            assert word in errors, errors


# The module, namespaces, rights.


def test_kernel_socket_of_the_module_is_shown_as_such(module, diag, peer, namespaces):
    """In each network namespace, the module's kernel socket is marked as the module's. Sockets of clients are
    not marked."""
    namespace = namespaces()
    with namespace.client() as client:
        client.echo(b"!")
        rows = diag(namespace, "netlink", "protocol=23")
        ours = {row["portid"]: (row["kernel"], row["module"]) for row in rows}
        assert ours == {0: (True, MODULE), client.portid: (False, None)}
        with namespace:
            output = peer("diag", "list", "netlink")[1]
    lines = [line for line in output.splitlines() if MODULE in line]
    assert len(lines) == 1 and lines[0].startswith("netlink/23 ") and f"kernel:{MODULE}" in lines[0]
    others = [row for row in diag(namespace, "netlink") if row["kernel"] and row["protocol"] != 23]
    assert others and all(row["module"] is None for row in others)


def test_kernel_socket_of_another_protocol_number(load, diag, namespaces):
    namespace = namespaces()
    load(protocol=25)
    (row,) = diag(namespace, "netlink", "protocol=25")
    assert (row["kernel"], row["module"]) == (True, None)
    (row,) = diag(namespace, "netlink", "protocol=25", "--protocol", "25")
    assert (row["kernel"], row["module"]) == (True, MODULE)


def test_list_of_another_namespace(blue, diag, namespaces):
    """With -N, the list has only sockets of the named namespace, and the processes that have them open."""
    here = namespaces()
    with sockets.Sockets(here) as ours:
        ours.listener(("127.0.0.1", 80))
        assert diag(here, "tcp")
        status = subprocess.Popen(["ip", "netns", "exec", blue, "python3", "-ISc",
                                   "import socket, sys; s = socket.socket(); s.bind(('', 88));"
                                   "s.listen(); print('!', flush=True); sys.stdin.read()"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert status.stdout.readline() == b"!\n"
        rows = diag(here, "-N", blue, "tcp", "--processes")
        status.communicate()
        (row,) = rows
        assert end(row, "local") == ("0.0.0.0", 88)
        assert [process["name"] for process in row["processes"]] == ["python3"]


def test_list_needs_no_rights(busy, diag):
    """Every user sees all values except marks."""
    def known(rows):
        # The timers change between the two lists, so they are left out, too.
        return [row | {"mark": None, "timer": None} for row in rows]

    rows = diag(busy.namespace, "tcp")
    assert {row["mark"] for row in rows} == {0}
    theirs = diag(busy.namespace, "tcp", **as_nobody())
    assert {row["mark"] for row in theirs} == {None} and known(theirs) == known(rows)


# The test removes the module raw_diag. That is impossible if raw_diag is built into the kernel.
if "/raw_diag.ko" not in BUILT_IN:
    def test_missing_family_is_an_error_where_it_is_asked_for(busy, diag, peer):
        """If the command names a family that the kernel lacks, that is an error. If it names no family, the
        command lists the other families and prints a warning."""
        run("modprobe", "-r", "raw_diag")
        try:
            with busy.namespace:
                status, output, errors = peer("-j", "diag", "list", "raw")
                assert (status, output) == (ERROR, "")
                assert "list IPv4 raw sockets: ENOENT" in errors and "modprobe raw_diag" in errors
                status, output, errors = peer("-j", "diag", "list")
            assert status == DONE and errors.startswith("warning: list IPv4 raw sockets: ENOENT")
            kinds = {json.loads(line)["kind"] for line in output.splitlines()}
            assert kinds == {"tcp", "udp", "icmp", "unix", "netlink", "packet"}
        finally:
            # A fixture prevents that the kernel runs modprobe. The test itself can still run modprobe.
            run("modprobe", "raw_diag")


# Output.


def test_pretty_json_and_colours(busy, peer):
    with busy.namespace:
        output = peer("-p", "diag", "list", "local=127.0.0.1:80", "state=listen")[1]
        assert json.loads(output)["state"] == "listen" and output.count("\n") > 10
        assert "\x1b[34mlisten" in peer("--color=always", "diag", "list", "tcp")[1]


def hold(ready, namespace, count):
    """Opens `count` TCP sockets, which are bound but not connected, and keeps them open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
    held = []
    with namespace:
        for number in range(count):
            held.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
            held[-1].bind((f"127.0.0.{1 + number // 50_000}", 1024 + number % 50_000))
    ready.set()
    signal.pause()


@pytest.fixture
def holding(namespaces, start):
    """Returns a function that lets another process open `count` TCP sockets in a new network namespace."""
    def holding(count):
        namespace, ready = namespaces(), Stop()
        holder = start(hold, ready, namespace, count)
        while not ready.wait(1):
            holder.check()
        ready.close()
        return namespace

    return holding


def measured(namespace, *command):
    """Runs a command, which must succeed. Returns the number of its output lines and its CPU time in
    seconds."""
    counted = []

    def count(pipe):
        counted.append(sum(chunk.count(b"\n") for chunk in iter(functools.partial(
            os.read, pipe.fileno(), 1 << 20), b"")))

    with namespace:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    reader = threading.Thread(target=count, args=(process.stdout,))
    reader.start()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    reader.join()
    process.stdout.close()
    assert process.returncode == DONE
    return counted[0], usage.ru_utime + usage.ru_stime


def test_very_many_sockets_are_listed_in_little_memory_and_time(holding, peer_program):
    """nldemo keeps no list of sockets in memory. Its CPU time is below twice that of ss. Other processes can
    disturb the measurement."""
    many = holding(MANY)
    # The limit is for the mapped memory of the command. Its resident memory, as the kernel measures it, would
    # include memory of this process.
    limited = "prlimit", f"--as={MEMORY_LIMIT}", peer_program
    times = []
    while not times or times[-1][0] > 2 * times[-1][1]:
        assert len(times) < 3, times
        lines, time = measured(many, *limited, "diag", "list", "tcp")
        assert lines == MANY + 1
        lines, ss_time = measured(many, "ss", "-Htan")
        assert lines == MANY
        times.append((time, ss_time))
    lines, _ = measured(many, *limited, "-j", "diag", "list", "tcp", "--processes")
    assert lines == MANY


def test_reader_that_has_seen_enough_ends_a_listing(holding, peer_program):
    """If the reader of the command's output closes the pipe, the command ends without an error."""
    with holding(PIPEFUL):
        process = subprocess.Popen([peer_program, "diag", "list", "tcp"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout.readline().startswith(b"kind ")
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", DONE)
    process.stderr.close()


def test_signal_ends_a_listing(holding, peer_program):
    """A signal ends the command between two lines of output, so the last line is whole."""
    with holding(PIPEFUL):
        process = subprocess.Popen([peer_program, "-j", "diag", "list", "tcp"],
                                   stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout.readline().startswith(b"{")
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait() == DONE and rest.endswith(b"}\n")
    process.stdout.close()
    assert rest.count(b"\n") < PIPEFUL - 1


def test_another_signal_ends_what_is_stuck(holding, peer_program):
    """The command waits because the reader of its output does not read. A second signal kills the command."""
    with holding(PIPEFUL):
        process = subprocess.Popen([peer_program, "-j", "diag", "list", "tcp"],
                                   stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout.readline().startswith(b"{")
    # The command must first fill the pipe. Before that, the first signal would already end the command.
    wait_for_call(process, WRITE)

    def dies():
        process.send_signal(signal.SIGINT)
        return process.poll() is not None

    wait_until(dies, interval=0.05)
    assert process.returncode == -signal.SIGINT
    process.stdout.close()
