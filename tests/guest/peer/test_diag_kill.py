# SPDX-License-Identifier: GPL-2.0

"""The command `nldemo diag kill`: the sockets that it destroys, and the sockets that it must not destroy."""

import concurrent.futures
import errno
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

import sockets
from netlink import DEADLINE, wait_until
from program import POLL, RECVFROM, as_nobody, wait_for_call

DONE, NO, ERROR = 0, 1, 2
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.fixture
def all_(namespaces):
    """Makes sockets in a network namespace that has none at first."""
    with sockets.Sockets(namespaces()) as all_:
        yield all_


@pytest.fixture
def listing(all_, peer):
    """Runs `nldemo -j diag list`. Returns the sockets."""
    def listing(*arguments):
        with all_.namespace:
            status, output, errors = peer("-j", "diag", "list", *arguments)
        assert (status, errors) == (DONE, "")
        return [json.loads(line) for line in output.splitlines()]

    return listing


@pytest.fixture
def kill(all_, peer):
    """Runs `nldemo -j diag kill`. Returns its exit status, [(outcome, local port)] and its standard error."""
    def kill(*arguments, **options):
        with all_.namespace:
            status, output, errors = peer("-j", "diag", "kill", *arguments, **options)
        rows = [json.loads(line) for line in output.splitlines()]
        return status, [(row["outcome"], row["local"]["port"]) for row in rows], errors

    return kill


@pytest.fixture
def kill_listed(all_, peer_program):
    """Runs `nldemo -j diag kill --stdin` with rows of a list. Returns its exit status, the outcomes and its
    standard error."""
    def kill_listed(*rows, text=None):
        text = text if text is not None else "\n".join(map(json.dumps, rows))
        with all_.namespace:
            done = subprocess.run([peer_program, "-j", "diag", "kill", "--stdin"],
                                          input=text, capture_output=True, text=True, check=False)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, [row["outcome"] for row in rows], done.stderr

    return kill_listed


def port_of(one):
    return one.getsockname()[1]


def address_pair(one):
    """Returns the filter terms that match only this socket's connection. Their addresses have the form that
    the table of `diag list` has."""
    def text(address):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    return f"local={text(one.getsockname())}", f"remote={text(one.getpeername())}"


def error(one):
    """Returns the error that a reader of the socket gets."""
    with pytest.raises(OSError) as raised:
        one.recv(1)
    return raised.value.errno


def reading_threads():
    """Returns the number of threads that wait in recvfrom()."""
    calls = (Path(task, "syscall") for task in Path("/proc/self/task").iterdir())
    return sum(call.read_text(encoding="ascii").startswith(f"{RECVFROM} ") for call in calls)


# Sockets that are destroyed.


@pytest.mark.parametrize("family", LOOPBACK, ids=lambda family: family.name)
def test_connection_dies_by_its_address_pair(all_, kill, family):
    """A reader of the destroyed socket gets ECONNABORTED, the other end gets a reset. Another connection
    stays."""
    listener = all_.listener((LOOPBACK[family], 80), family)
    (client, accepted), (other, its_accepted) = all_.pair(listener), all_.pair(listener)
    status, killed, errors = kill(*address_pair(client))
    assert (status, killed, errors) == (DONE, [("destroyed", port_of(client))], "")
    assert error(client) == errno.ECONNABORTED
    assert error(accepted) == errno.ECONNRESET
    other.send(b"!")
    assert its_accepted.recv(2) == b"!"


def test_reader_that_waits_is_woken(all_, kill):
    """A reader that already waits gets the error, and a reader that waits at the other end gets the reset."""
    client, accepted = all_.pair(all_.listener(("127.0.0.1", 80)))
    with concurrent.futures.ThreadPoolExecutor() as readers:
        told = [readers.submit(error, one) for one in (client, accepted)]
        wait_until(lambda: reading_threads() == 2)
        assert kill(*address_pair(client))[0] == DONE
        assert [each.result() for each in told] == [errno.ECONNABORTED, errno.ECONNRESET]


def test_connection_of_ipv4_dies_through_an_ipv6_socket(all_, kill):
    listener = all_.listener(("::", 80), socket.AF_INET6)
    client = all_.connect(("127.0.0.1", 80))
    accepted = all_.accept(listener)
    status, killed, _ = kill("tcp", f"remote=127.0.0.1:{port_of(client)}")
    assert (status, killed) == (DONE, [("destroyed", 80)])
    assert error(accepted) == errno.ECONNABORTED
    assert error(client) == errno.ECONNRESET


def test_connection_of_a_link_local_address_dies(all_, kill):
    """A link-local address in a filter needs its interface to be complete."""
    all_.namespace.ip("address add fe80::1/64 dev lo nodad")
    scope = 1
    listener = all_.listener(("fe80::1", 80, 0, scope), socket.AF_INET6)
    client, accepted = all_.pair(listener)
    status, killed, _ = kill(f"local=[fe80::1%lo]:{port_of(client)}", "remote=[fe80::1]:80")
    assert (status, killed) == (DONE, [("destroyed", port_of(client))])
    assert error(client) == errno.ECONNABORTED
    assert error(accepted) == errno.ECONNRESET


@pytest.mark.parametrize("family", LOOPBACK, ids=lambda family: family.name)
def test_listening_socket_dies(all_, kill, family):
    """When a listening socket dies, accept() gets an error, and no client can connect. An accepted connection
    stays."""
    listener = all_.listener((LOOPBACK[family], 80), family)
    client, accepted = all_.pair(listener)
    assert kill("state=listen", "port=80") == (DONE, [("destroyed", 80)], "")
    # This accept() fails, because the socket no longer listens.
    with pytest.raises(OSError) as raised:
        listener.accept()
    assert raised.value.errno in (errno.EINVAL, errno.ECONNABORTED)
    with pytest.raises(ConnectionRefusedError):
        all_.connect((LOOPBACK[family], 80), family)
    client.send(b"!")
    assert accepted.recv(2) == b"!"


def test_all_that_listen_together_die(all_, kill):
    """All sockets that listen on a shared port (SO_REUSEPORT) are destroyed, although at each look-up the
    kernel finds only one of them."""
    for _ in range(8):
        listener = all_.new(socket.AF_INET, TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 80))
        listener.listen()
    assert kill("port=80") == (DONE, [("destroyed", 80)] * 8, "")
    assert sockets.states(all_.namespace, 80) == []


def test_half_open_connection_dies(all_, kill):
    """A connection whose handshake is not complete (SYN_RECV) belongs to no process. Such a connection can be
    destroyed, too."""
    all_.half_open()
    status, killed, errors = kill("state=syn-recv")
    assert (status, killed, errors) == (DONE, [("destroyed", 81)], "")
    assert sockets.states(all_.namespace, 81) == ["established", "listen"]


def test_remembered_connection_dies(all_, kill):
    """A connection that the kernel remembers after its end (TIME_WAIT) can be destroyed, too."""
    port = all_.time_wait(all_.listener(("127.0.0.1", 80)))[1]
    assert kill("tcp", f"local-port={port}") == (DONE, [("destroyed", port)], "")
    assert sockets.states(all_.namespace, port) == []


@pytest.mark.parametrize("family", LOOPBACK, ids=lambda family: family.name)
def test_udp_sockets_die(all_, kill, family):
    """UDP sockets can be destroyed, whether they are connected or not."""
    host = LOOPBACK[family]
    server = all_.bound(family, UDP, (host, 53))
    client = all_.connect((host, 53), family, UDP)
    port = port_of(client)
    assert kill(*address_pair(client)) == (DONE, [("destroyed", port)], "")
    assert error(client) == errno.ECONNABORTED
    server.setblocking(False)
    assert error(server) == errno.EAGAIN
    assert kill("udp", "local-port=53") == (DONE, [("destroyed", 53)], "")
    assert error(server) == errno.ECONNABORTED


@pytest.mark.parametrize("family", LOOPBACK, ids=lambda family: family.name)
def test_raw_sockets_die_and_no_other_of_their_protocol(all_, listing, kill, kill_listed, family):
    """Bug: the wrong socket dies. For raw sockets the kernel checks no cookie, and destroys the first socket
    of the protocol."""
    raw = [all_.new(family, socket.SOCK_RAW, 89) for _ in range(3)]
    one = all_.new(family, socket.SOCK_RAW, 90)
    for each in raw:
        each.setblocking(False)
    *later, first = reversed(listing("raw", "protocol=89"))
    assert [kill_listed(row)[:2] for row in later] == [(NO, ["replaced"])] * 2
    assert kill_listed(first)[:2] == (DONE, ["destroyed"])
    errors = sorted(map(error, raw))
    assert errors == [errno.EAGAIN, errno.EAGAIN, errno.ECONNABORTED]
    assert kill("raw", "protocol=90") == (DONE, [("destroyed", 0)], "")
    assert error(one) == errno.ECONNABORTED


@pytest.mark.parametrize("family", LOOPBACK, ids=lambda family: family.name)
def test_raw_sockets_of_one_protocol_die_together(all_, kill, family):
    """All raw sockets of the protocol are destroyed, in whatever order the kernel finds them."""
    raw = [all_.new(family, socket.SOCK_RAW, 89) for _ in range(4)]
    raw.append(all_.bound(family, socket.SOCK_RAW, (LOOPBACK[family], 0), 89))
    assert kill("raw", "protocol=89") == (DONE, [("destroyed", 0)] * 5, "")
    assert {error(each) for each in raw} == {errno.ECONNABORTED}


def test_one_dies_of_the_udp_sockets_that_share_an_address(all_, kill):
    """Of several UDP sockets that share an address, only one can be destroyed. The destroyed socket stays
    bound, so the kernel finds it again instead of the others. nldemo reports the others as replaced."""
    shared = []
    for _ in range(3):
        shared.append(all_.new(socket.AF_INET, UDP))
        shared[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared[-1].bind(("127.0.0.1", 53))
        shared[-1].setblocking(False)
    status, killed, errors = kill("udp", "port=53")
    assert (status, errors) == (NO, "error: 2 sockets were not destroyed\n")
    assert killed == [("destroyed", 53), ("replaced", 53), ("replaced", 53)]
    assert sorted(map(error, shared)) == [errno.EAGAIN, errno.EAGAIN, errno.ECONNABORTED]


@pytest.mark.parametrize("family", LOOPBACK, ids=lambda family: family.name)
@pytest.mark.parametrize("kind", [TCP, UDP], ids=["tcp", "udp"])
def test_sockets_of_one_port_of_which_one_is_of_a_device(all_, kill, family, kind):
    """Bug: nldemo reports an existing socket as gone, because the kernel finds the other socket of the port
    instead."""
    shared = [all_.new(family, kind) for _ in range(2)]
    for number, one in enumerate(shared):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if number == 0:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        one.bind((LOOPBACK[family], 80))
        if kind == TCP:
            one.listen()
    _, killed, _ = kill("tcp" if kind == TCP else "udp", "port=80")
    outcomes = [outcome for outcome, _ in killed]
    assert len(outcomes) == 2 and "gone" not in outcomes, outcomes
    found = [one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for one in shared]
    assert found.count(errno.ECONNABORTED) == outcomes.count("destroyed") > 0


def test_all_die_although_nobody_reads_who(all_, peer_program):
    """Bug: when the reader of nldemo's output closes the pipe, the remaining sockets are not destroyed."""
    pairs = [all_.pair(all_.listener(("127.0.0.1", port))) for port in (80, 81)]
    read_end, write_end = os.pipe()
    os.close(read_end)
    with all_.namespace:
        done = subprocess.run([peer_program, "diag", "kill", "remote-port=80,81"], check=False,
                              stdout=write_end, stderr=subprocess.PIPE)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (DONE, b"")
    for client, _ in pairs:
        assert error(client) == errno.ECONNABORTED


def test_sockets_of_a_process_die(all_, kill):
    """Sockets of kinds that the kernel cannot destroy match a filter only if the filter names their kind."""
    listener = all_.listener(("127.0.0.1", 80))
    child = subprocess.Popen(["sleep", "1000"], stdout=listener,
                                     stderr=all_.bound(socket.AF_UNIX, UDP, b"\0mine"))
    try:
        assert kill(f"process={child.pid}") == (DONE, [("destroyed", 80)], "")
    finally:
        child.kill()
        child.wait()


def test_all_die_only_on_demand(all_, kill):
    """A filter that selects every socket of a kind could be a mistake, so it needs --all."""
    listener = all_.listener(("127.0.0.1", 80))
    all_.pair(listener)
    all_.bound(socket.AF_INET, UDP, ("127.0.0.1", 53))
    for arguments in ((), ("--dry-run",)):
        status, killed, errors = kill(*arguments)
        assert (status, killed) == (ERROR, []) and "FILTER" in errors
    for arguments in (("tcp",), ("tcp", "udp", "--dry-run")):
        status, killed, errors = kill(*arguments)
        assert (status, killed) == (ERROR, []) and "--all" in errors
    for arguments in (("remote=*",), ("port=0-65535", "-n"), ("tcp", "family=ipv4,ipv6"),
                      ("local=0.0.0.0/0,::/0",)):
        status, killed, errors = kill(*arguments)
        assert (status, killed) == (ERROR, []) and "--all" in errors, arguments
    assert len(sockets.states(all_.namespace, 80)) == 3
    assert kill("--all", "udp") == (DONE, [("destroyed", 53)], "")
    status, killed, _ = kill("--all")
    assert {("destroyed", 80)} < set(killed)
    wait_until(lambda: sockets.states(all_.namespace, 80) == [])


def test_dry_run_touches_nothing(all_, kill, peer):
    """A dry run only reports what would happen. It destroys no socket, and needs no privilege."""
    client, accepted = all_.pair(all_.listener(("127.0.0.1", 80)))
    expected = DONE, [("would-be-destroyed", port_of(client))], ""
    assert kill("--dry-run", *address_pair(client)) == expected
    assert kill("-n", *address_pair(client), **as_nobody()) == expected
    with all_.namespace:
        output = peer("diag", "kill", "-n", *address_pair(client))[1]
    assert output.startswith("would be destroyed  tcp  127.0.0.1:")
    client.send(b"!")
    assert accepted.recv(2) == b"!"


def test_dry_run_tells_what_would_not_die(all_, kill):
    all_.bound(socket.AF_INET, TCP, ("127.0.0.1", 80))
    assert kill("-n", "tcp", "port=80") == (
        NO, [("out-of-reach", 80)], "error: 1 socket would not be destroyed\n")
    all_.bound(socket.AF_UNIX, UDP, b"\0mine")
    status, killed, errors = kill("-n", "--all", "unix")
    assert (status, killed) == (ERROR, []) and "destroy unix socket: EOPNOTSUPP: " in errors


def test_nothing_is_meant(all_, kill):
    assert kill("port=80") == (NO, [], "error: no tcp or udp socket matches\n")


def test_other_namespaces_are_left_alone(all_, blue, kill, peer):
    listener = all_.listener(("127.0.0.1", 80))
    listener.setblocking(False)
    assert kill("-N", blue, "port=80")[0] == NO
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert peer("-N", blue, "diag", "kill", "--all")[0] == NO


# In these tests nldemo cannot destroy a socket. The tests check that it reports why.


def test_kill_needs_rights(all_, kill):
    """Without CAP_NET_ADMIN the command fails with EPERM, and destroys no socket."""
    client, accepted = all_.pair(all_.listener(("127.0.0.1", 80)))
    status, killed, errors = kill(*address_pair(client), **as_nobody())
    assert (status, killed) == (ERROR, [])
    for word in ("destroy tcp socket: EPERM", "CAP_NET_ADMIN", "root"):
        assert word in errors, errors
    client.send(b"!")
    assert accepted.recv(2) == b"!"


@pytest.mark.parametrize("kind", [TCP, UDP], ids=["tcp", "udp"])
def test_socket_that_is_gone(all_, listing, kill_listed, kind):
    """If a socket was closed after the listing (ENOENT), its outcome is "gone"."""
    with all_.namespace.socket(socket.AF_INET, kind) as victim:
        victim.bind(("127.0.0.1", 80))
        if kind == TCP:
            victim.listen()
        (row,) = listing("port=80")
    assert kill_listed(row) == (NO, ["gone"], "error: 1 socket was not destroyed\n")


@pytest.mark.parametrize("family", LOOPBACK, ids=lambda family: family.name)
def test_connection_that_is_gone(all_, listing, kill_listed, family):
    """Bug: nldemo mistakes the listening socket at the same address for a new socket in the place of the
    closed connection."""
    listener = all_.listener((LOOPBACK[family], 80), family)
    client, accepted = all_.pair(listener)
    (row,) = listing("tcp", "local-port=80", "state=established")
    # The client closes with a reset, so that the kernel keeps no state of the connection.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, sockets.LINGER_RESET)
    client.close()
    assert error(accepted) == errno.ECONNRESET
    assert kill_listed(row) == (NO, ["gone"], "error: 1 socket was not destroyed\n")
    all_.connect(listener.getsockname(), family)


def test_connected_udp_socket_that_is_gone(all_, listing, kill_listed):
    """Bug: a connected UDP socket was closed, and nldemo mistakes another socket of the same port, which is
    bound to all addresses, for a new socket in the place of the closed one."""
    server = all_.bound(socket.AF_INET, UDP, ("0.0.0.0", 53))
    server.setblocking(False)
    with all_.namespace.socket(socket.AF_INET, UDP) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("127.0.0.1", 53))
        client.connect(("127.0.0.1", 99))
        (row,) = listing("udp", "remote-port=99")
    assert kill_listed(row) == (NO, ["gone"], "error: 1 socket was not destroyed\n")
    assert error(server) == errno.EAGAIN


@pytest.mark.parametrize("kind", [TCP, UDP], ids=["tcp", "udp"])
def test_socket_that_has_taken_its_place(all_, listing, kill_listed, kind):
    """Bug: nldemo does not check the cookie, and destroys a new socket at the address of the closed one."""
    def victim():
        one = all_.namespace.socket(socket.AF_INET, kind)
        one.bind(("127.0.0.1", 80))
        if kind == TCP:
            one.listen()
        return one

    with victim():
        (row,) = listing("port=80")
    with victim() as other:
        status, outcomes, errors = kill_listed(row)
        assert (status, outcomes) == (NO, ["replaced"]), errors
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept() if kind == TCP else other.recv(1)
        # If the list has the old row and also the row of the new socket, the new socket is destroyed.
        (true_row,) = listing("port=80")
        status, outcomes, errors = kill_listed(row, true_row)
        assert (status, sorted(outcomes)) == (NO, ["destroyed", "gone" if kind == TCP else "replaced"])
        assert errors == "error: 1 socket was not destroyed\n"


def test_socket_that_the_kernel_does_not_find(all_, kill):
    """The kernel does not find a TCP socket that is bound but neither listens nor is connected."""
    all_.bound(socket.AF_INET, TCP, ("127.0.0.1", 80))
    assert kill("tcp", "port=80")[:2] == (NO, [("out-of-reach", 80)])


@pytest.mark.parametrize("kind", ["unix", "netlink", "packet", "icmp"])
def test_kind_that_cannot_be_destroyed(namespaces, peer, kind):
    """The kernel refuses to destroy unix, netlink, packet and ICMP sockets. Its error is ENOENT for ICMP
    sockets, and EOPNOTSUPP for the others."""
    with sockets.busy(namespaces()) as busy, busy.namespace:
        status, output, errors = peer("diag", "kill", kind, "--all")
    assert (status, output) == (ERROR, "")
    errno_name = "ENOENT" if kind == "icmp" else "EOPNOTSUPP"
    assert errors.startswith(f"error: destroy {kind} socket: {errno_name}: ")
    assert "tcp, udp and raw sockets only" in errors


def test_nothing_is_destroyed_where_the_kernel_refuses_some(all_, kill):
    """Bug: nldemo destroys some sockets before the kernel refuses to destroy the others."""
    client, accepted = all_.pair(all_.listener(("127.0.0.1", 80)))
    all_.bound(socket.AF_UNIX, UDP, b"\0mine")
    status, killed, errors = kill("tcp", "unix", f"process={os.getpid()}")
    assert (status, killed) == (ERROR, []) and "destroy unix socket: EOPNOTSUPP: " in errors
    client.send(b"!")
    assert accepted.recv(2) == b"!"


def test_signal_ends_a_wait_for_standard_input(all_, listing, peer_program):
    """Bug: after a signal, nldemo destroys the sockets that it has read so far, or goes on waiting."""
    client, accepted = all_.pair(all_.listener(("127.0.0.1", 80)))
    (row,) = listing("tcp", "remote-port=80")
    with all_.namespace:
        process = subprocess.Popen([peer_program, "diag", "kill", "--stdin"], text=True,
                                   stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(json.dumps(row) + "\n")
    process.stdin.flush()
    # Now the command waits for more input, or has not read the row yet.
    wait_for_call(process, POLL)
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE) == NO
    assert process.stderr.read() == "error: stopped by a signal before the end\n"
    process.stdin.close()
    process.stderr.close()
    client.send(b"!")
    assert accepted.recv(2) == b"!"


@pytest.mark.parametrize("text, word", [
    ("", "standard input has no socket"),
    ("{}", "missing field `kind`"),
    ('{"kind":"tcp","state":"listen","cookie":1}', "addresses or its cookie are missing"),
    ('{"kind":"sctp"}', "unknown variant `sctp`"),
    ("null", "expected an object"),
    ('{"kind":"tcp"', "EOF"),
], ids=str)
def test_standard_input_without_sockets(all_, kill_listed, text, word):
    status, outcomes, errors = kill_listed(text=text)
    assert (status, outcomes) == (NO if not text else ERROR, []) and word in errors


def test_cookie_that_would_mean_any_socket_is_refused(all_, listing, kill_listed):
    listener = all_.listener(("127.0.0.1", 80))
    (row,) = listing("port=80")
    status, outcomes, errors = kill_listed(row | {"cookie": (1 << 64) - 1})
    assert (status, outcomes) == (ERROR, []) and "standard input" in errors
    assert sockets.states(all_.namespace, 80) == ["listen"]
    assert listener


def test_listed_sockets_die_in_any_form(all_, listing, kill_listed, peer):
    """The JSON objects can be one per line or indented. nldemo ignores keys that it does not know."""
    pairs = [all_.pair(all_.listener(("127.0.0.1", port))) for port in (80, 81)]
    rows = listing("state=established", "remote-port=80,81")
    text = "".join(json.dumps(row | {"note": 1}, indent=2) for row in rows)
    assert kill_listed(text=text) == (DONE, ["destroyed"] * 2, "")
    for client, accepted in pairs:
        assert error(client) == errno.ECONNABORTED
        assert error(accepted) == errno.ECONNRESET


def test_connection_of_mptcp_goes_on_without_its_subflow(all_, kill):
    """Bug: nldemo reports "destroyed" for a TCP subflow of an MPTCP connection, although both ends can still
    use the connection."""
    with all_.namespace, socket.socket(socket.AF_INET, TCP, socket.IPPROTO_MPTCP) as server:
        server.bind((LOOPBACK[socket.AF_INET], 0))
        server.listen()
        client = socket.socket(socket.AF_INET, TCP, socket.IPPROTO_MPTCP)
        client.connect(server.getsockname())
        other, _ = server.accept()
    with client, other:
        # Both ends use MPTCP only after data has been sent and acknowledged.
        for sender, receiver in ((client, other), (other, client)):
            sender.send(b"x")
            assert receiver.recv(1) == b"x"
        status, outcomes, errors = kill("tcp", *address_pair(client))
        assert (status, outcomes) == (NO, [("subflow-destroyed", port_of(client))])
        assert "MPTCP" in errors
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
