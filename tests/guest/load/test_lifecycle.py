# SPDX-License-Identifier: GPL-2.0

"""The module is loaded and unloaded, and network namespaces come and go, at the worst moments."""

import contextlib
import errno
import os
import re
import select
import time
from pathlib import Path

import pytest

import module as modules
import nfqueue
from control import DEFAULTS, Control, Monitor, Refused, told
from module import TWIN, is_loaded, remove, remove_when_unused
from netlink import (
    DEADLINE,
    ECHO,
    SLOW,
    Client,
    has_kernel_socket,
    pack,
    wait_until,
)
from network import NO_CROWD, Namespace, Pinger, crowd, loopback_up, nft, pinned, run, unshare
from nfqueue import ACCEPT, DROP, Listener
from traffic import (
    Here,
    counts,
    keep_accepting,
    keep_echoing,
    keep_flooding,
    keep_pinging,
    ping_and_echo,
)
from workers import make_lock

pytestmark = pytest.mark.all_cpus


def assert_echoes(protocol=23):
    with Client(protocol) as client:
        assert client.echo(b"payload").payload == b"payload"


def assert_not_served(protocol=23):
    """Checks that there is no kernel socket, and that the protocol number is free."""
    assert not has_kernel_socket(protocol)
    with pytest.raises(OSError) as failure:
        Client(protocol)
    assert failure.value.errno == errno.EPROTONOSUPPORT


def references(name=modules.NAME):
    return int(Path("/sys/module", name, "refcnt").read_text(encoding="ascii"))


# Unloading.


@pytest.mark.smoke
def test_unload_with_an_open_socket_is_refused(module, namespaces):
    """Bug: the module gives the kernel no THIS_MODULE, and its code is unloaded while a socket of the
    protocol is open."""
    for namespace in (None, namespaces()):
        client = namespace.client() if namespace else Client()
        assert references() == 1
        # The socket is first unused, then used, and then has a reply that was not read.
        for step in (lambda: None, lambda: client.echo(b"used"), lambda: client.send(pack(ECHO))):
            step()
            with pytest.raises(OSError) as failure:
                remove()
            assert failure.value.errno in (errno.EBUSY, errno.EWOULDBLOCK)
            assert is_loaded()
        client.receive()
        assert client.echo(b"still served").payload == b"still served"
        client.close()
        assert references() == 0
    remove()
    assert not is_loaded()
    assert_not_served()


def test_rmmod_says_that_the_module_is_in_use(module):
    """The error of rmmod tells the user that the module is in use."""
    with Client():
        with pytest.raises(AssertionError, match="in use"):
            run("rmmod", modules.NAME)
    run("rmmod", modules.NAME)
    assert not is_loaded()


def test_unload_with_a_socket_of_an_ended_process(module, start):
    """A client that was killed while it sent requests does not keep the module in use."""
    def flood():
        with Client() as client:
            while True:
                client.send(pack(ECHO, bytes(1000)) * 20)

    worker = start(flood)
    wait_until(lambda: references() == 1)
    worker.kill()
    remove_when_unused()
    assert_not_served()


@pytest.mark.smoke
def test_nothing_is_left_behind(load, namespaces, link):
    """After unloading, no namespace has a socket or a hook, and the module can be loaded again."""
    places = [namespaces(), link.near, link.far]
    for _ in range(3):
        load(hooks=31, bypass=0)
        for place in places:
            with place:
                assert has_kernel_socket()
        remove()
        for place in places:
            with place:
                assert_not_served()
        assert_not_served()
        with link.far, Listener() as listener, link.pinger() as pinger:
            pinger.ping()
            assert not listener.waiting()


def test_unload_drops_what_is_queued(load, link):
    """Bug: after unloading, packets stay in a queue, and refer to a hook that no longer exists."""
    with link.far, Listener() as listener, link.pinger() as pinger:
        for seq in (1, 101):
            load()
            for number in range(10):
                pinger.send(seq + number)
            packets = [listener.receive() for _ in range(10)]
            remove()
            assert nfqueue.statistics()[0][0] == 0
            for packet in packets:
                with pytest.raises(FileNotFoundError):
                    listener.verdict(packet, ACCEPT)
            pinger.ping(50)
            assert not pinger.replies() and not listener.waiting()


def test_device_that_goes_takes_its_queued_packets_along(module, link):
    """Bug: packets in a queue keep a device from being removed."""
    with link.far, Listener() as listener, link.pinger() as pinger:
        for seq in range(5):
            pinger.send(seq)
        packet = listener.receive()
        link.near.ip("link delete veth0")
        assert nfqueue.statistics()[0][0] == 0
        with pytest.raises(FileNotFoundError):
            listener.verdict(packet, ACCEPT)


# Loading.


def test_two_modules_on_one_protocol_number(module, twin_ko, load, kernel_log, namespaces, link):
    """Bug: the module mistakes NULL from netlink_kernel_create() for success. A second module with the same
    protocol number must fail to load, and leave nothing."""
    other = namespaces()
    with pytest.raises(OSError) as failure:
        load(twin_ko, bypass=0, queue=9, hooks=31)
    assert failure.value.errno in (errno.EADDRINUSE, errno.EBUSY, errno.EEXIST)
    (line,) = kernel_log.of_module(TWIN)
    assert "protocol" in line and re.search(r"\b23\b", line)
    assert not is_loaded(TWIN)
    # The second module had registered hooks here before it asked for the protocol number. They must be gone.
    with Pinger(Here(), "127.0.0.1") as pinger:
        pinger.ping()

    # The first module still works in every namespace, and only its hooks are registered.
    for place in (other, namespaces()):
        with place:
            assert_echoes()
    with link.far, Listener(9) as twins:
        with link.pinger() as pinger:
            pinger.ping()
        with Listener(0) as ours, link.pinger() as pinger:
            pinger.send()
            ours.verdict(ours.receive(), ACCEPT)
            assert pinger.reply() == 1
        assert not twins.waiting()
    remove()
    assert_not_served()


def test_two_modules_on_two_protocol_numbers(module, twin_ko, load, link):
    """Two modules work at the same time, each with its own number and queue. Each module can be unloaded
    alone."""
    load(twin_ko, protocol=24, queue=9)
    with link.far, Listener(0) as ours, Listener(9) as twins, link.pinger() as pinger:
        with Client(23) as one, Client(24) as two:
            assert one.echo(b"23").payload == b"23" and two.echo(b"24").payload == b"24"
            assert references() == references(TWIN) == 1
        # The packet meets the hooks of both modules. The hook of the module that was loaded later runs first.
        pinger.send(1)
        packet = twins.receive()
        assert not ours.waiting()
        twins.verdict(packet, ACCEPT)
        ours.verdict(ours.receive(), ACCEPT)
        assert pinger.reply() == 1

        remove()
        assert_not_served(23)
        assert_echoes(24)
        pinger.send(2)
        twins.verdict(twins.receive(), ACCEPT)
        assert pinger.reply() == 2
        assert not ours.waiting()

        load(queue=9, protocol=25)
        assert_echoes(25)
        pinger.send(3)
        for _ in range(2):
            twins.verdict(twins.receive(), ACCEPT)
        assert pinger.reply() == 3


@pytest.fixture
def crowded():
    """Returns a function that fills a hook point of the initial namespace with hooks."""
    crowded = []

    def crowded_at(point):
        nft(crowd(point))
        crowded.append(point)

    yield crowded_at
    if crowded:
        nft(NO_CROWD)


@pytest.mark.parametrize("point, hooks", [("prerouting", 1), ("forward", 31)])
def test_failure_in_the_middle_leaves_nothing(load, namespaces, crowded, point, hooks):
    """Bug: if the module fails to register one hook, the hooks that it has registered before stay."""
    places = [namespaces(), namespaces()]
    crowded(point)
    for _ in range(3):
        with pytest.raises(OSError) as failure:
            load(hooks=hooks, bypass=0)
        assert failure.value.errno == errno.E2BIG
        assert not is_loaded()
        for place in (Here(), *places):
            with place:
                assert_not_served()
                # If a hook were left, it would run code that is unloaded, or drop the packet.
                with Pinger(place, "127.0.0.1") as pinger:
                    pinger.ping()


def _count_sockets(stop):
    """Opens sockets of the protocol until `stop`. Returns how many times that succeeded."""
    opened = 0
    while not stop.is_set():
        with contextlib.suppress(OSError), Client():
            opened += 1
    return opened


def test_load_that_fails_at_once_has_no_clients(load, crowded, start, stop):
    """Bug: programs can open sockets of the protocol while the load can still fail. Then a failed load must
    wait until these programs close their sockets, however long that takes."""
    crowded("prerouting")
    workers = [start(_count_sockets, stop) for _ in range(2)]
    for _ in range(10):
        with pytest.raises(OSError) as failure:
            load()
        assert failure.value.errno == errno.E2BIG
    stop.set()
    assert [int(worker.result()) for worker in workers] == [0, 0]


def test_namespace_full_of_hooks_vetoes_no_load(load, namespaces, kernel_log):
    """Bug: if a user fills a network namespace of his own with hooks, the module cannot be loaded.

    The full namespace gets no hooks, and the kernel log says so. When the namespace has room again, the next
    request to set its configuration registers the hooks.
    """
    first, full, last = namespaces(), namespaces(), namespaces()
    full.nft(crowd("prerouting"))
    load(bypass=0)
    for place in (first, last):
        assert len(place.hooks(modules.NAME)) == 2
        with place, Control() as control:
            assert control.config() == {**DEFAULTS, "bypass": 0, **told(0)}
            assert control.stats()["hooked"] == 1
    assert full.hooks(modules.NAME) == set()
    (line,) = kernel_log.of_module()
    assert f"network namespace {os.fstat(full.fd).st_ino}: no hooks" in line

    with full, Control() as control, Monitor() as monitor, Pinger(full, "127.0.0.1") as pinger:
        assert_echoes()
        assert control.config() == {**DEFAULTS, "bypass": 0, **told(0, hooked=0)}
        assert control.stats()["hooked"] == 0
        pinger.ping()
        # The hook point is still full, so a request to register the hooks fails.
        with pytest.raises(Refused) as failure:
            control.set(bypass=0)
        assert failure.value.errno == errno.E2BIG and "too many hooks" in failure.value.text
        assert full.hooks(modules.NAME) == set() and not monitor.waiting()

        full.nft(NO_CROWD)
        control.set(bypass=0)
        expected = {**DEFAULTS, "bypass": 0, **told(1)}
        assert control.config() == expected and monitor.events() == [("config", expected)]
        assert control.stats()["hooked"] == 1
        assert len(full.hooks(modules.NAME)) == 2
        # The hook now queues the ping. The ping is dropped, because the queue has no listener and bypass is
        # off.
        pinger.send(2)
        wait_until(lambda: control.stats()["ipv4"]["queued"] == 1)
        assert not pinger.replies()
        # The hooks are registered now, so the same request changes nothing.
        control.set(bypass=0)
        assert not monitor.waiting()


# Namespaces.


def test_namespace_made_after_loading_is_served(module, namespaces):
    """Bug: the module serves only namespaces that existed when it was loaded."""
    with namespaces():
        ping_and_echo()
        with Listener() as listener, Pinger(Here(), "127.0.0.1") as pinger:
            pinger.send()
            for _ in range(2):
                listener.verdict(listener.receive(), ACCEPT)
            assert pinger.reply() == 1


def _in_user_namespace():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    loopback_up()
    ping_and_echo()
    with Listener() as listener, Pinger(Here(), "127.0.0.1") as pinger:
        pinger.send()
        listener.verdict(listener.receive(), DROP)
        assert not pinger.replies()
        pinger.send()
        for _ in range(2):
            listener.verdict(listener.receive(), ACCEPT)
        assert pinger.reply() == 1


def test_namespace_of_an_unprivileged_user(module, start):
    """An unprivileged user uses the module in a network namespace that belongs to his own user namespace."""
    start(_in_user_namespace).result()


# The number of network namespaces that a user may have. A namespace is counted until the kernel has freed it.
LIMIT = Path("/proc/sys/user/max_net_namespaces")


@pytest.fixture
def limit():
    """Returns a function that sets the limit of namespaces. After the test the limit is as before."""
    before = LIMIT.read_text(encoding="ascii")
    yield lambda number: LIMIT.write_text(f"{number}\n", encoding="ascii")
    LIMIT.write_text(before, encoding="ascii")


def can_make_namespace():
    """Tries to make a network namespace. Returns False if there are too many namespaces."""
    try:
        Namespace().close()
        return True
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
        return False


def _churn(count):
    """Makes namespaces, and uses each. Open sockets keep the last few namespaces alive."""
    def made():
        try:
            os.close(unshare())
            return True
        except OSError as error:
            # There are too many namespaces: the kernel must free some first.
            assert error.errno == errno.ENOSPC, error
            return False

    alive = []
    for number in range(count):
        wait_until(made)
        ping_and_echo(number * 10)
        alive.append(Client())
        alive[-1].send(pack(ECHO, b"never read"))
        if len(alive) > number % 7:
            alive.pop(0).close()
    return count


def test_many_namespaces_come_and_go(module, start, limit):
    """Bug: the module uses its state in a namespace after the namespace was freed, or keeps the namespace
    from being freed."""
    def as_few_as_before():
        limit(before + 1)
        return can_make_namespace()

    before = 0
    while not as_few_as_before():
        before += 1
    limit(before + 40)
    count = int(100 / min(SLOW, 2))
    workers = [start(_churn, count) for _ in range(2)]
    assert [int(worker.result()) for worker in workers] == [count, count]
    wait_until(as_few_as_before)
    assert_echoes()


def test_namespaces_die_with_packets_in_a_queue(module, namespaces, start):
    """Bug: queued packets exist longer than their namespace, or keep it from being freed."""
    observer = namespaces()

    def live(path):
        with open(path, encoding="ascii") as namespace:
            os.setns(namespace.fileno(), os.CLONE_NEWNET)
        listener = Listener()
        client = Client()
        client.send(pack(ECHO, b"never read"))
        with Pinger(Here(), "127.0.0.1") as pinger:
            for seq in range(20):
                pinger.send(seq)
            listener.receive()
            while not select.select([], [], [], 60)[0]:
                pass

    for _ in range(5):
        # The namespace has one end of a pair of devices. When the kernel frees the namespace, the other end,
        # in `observer`, is removed, too.
        namespace = Namespace()
        observer.ip(f"link add veth0 type veth peer name veth0 netns {namespace.path}")
        worker = start(live, namespace.path)

        def queued():
            with namespace:
                return nfqueue.statistics().get(0, (0,))[0] == 20

        wait_until(queued)
        namespace.close()
        worker.kill()

        def gone():
            with observer:
                devices = Path("/proc/thread-self/net/dev").read_text(encoding="ascii")
                return "veth0" not in devices

        wait_until(gone)


# Loading and unloading while clients and packets use the module.


def test_load_and_unload_under_traffic(load, namespaces, stop, start):
    """Bug: a socket or a hook is registered before the state that it uses exists, or after this state was
    freed."""
    echoers = [start(keep_echoing, seed, stop) for seed in range(2)]
    pingers = [start(keep_pinging, stop, namespaces())]
    for round_ in range(int(20 / min(SLOW, 2))):
        load(hooks=31 if round_ % 2 else 1)
        # When a client has opened a socket, unload the module as soon as possible.
        wait_until(lambda: references() > 0, interval=0)
        remove_when_unused()
        assert not is_loaded()
    stop.set()
    # In each round the module served at least one client. A single client may never have been served, so the
    # sum over all clients is checked.
    done, refused = (sum(numbers) for numbers in zip(*map(counts, echoers)))
    assert done > 0 and refused > 0
    for worker in pingers:
        assert counts(worker)[0] > 20


def test_load_and_unload_while_namespaces_come_and_go(load, stop, start):
    """Bug: the module fails if a namespace is made or deleted at the moment when the module is registered.

    No client sends while the module is being loaded: the kernel itself has a BUG() for a client that sends to
    a kernel socket that is just being made (see docs/soundness.md).
    """
    loading = make_lock()

    def churn():
        made = 0
        while not stop.is_set():
            os.close(unshare())
            made += 1
            with Pinger(Here(), "127.0.0.1") as pinger:
                pinger.ping()
            with loading:
                try:
                    with Client() as client:
                        assert client.echo(b"payload").payload == b"payload"
                except (ConnectionRefusedError, OSError) as error:
                    assert error.errno in (errno.EPROTONOSUPPORT, errno.ECONNREFUSED), error
        return made

    workers = [start(churn) for _ in range(2)]
    for _ in range(10):
        with loading:
            load(hooks=31)
        with Namespace() as namespace:
            assert_echoes()
        namespace.close()
        remove_when_unused()
    stop.set()
    for worker in workers:
        assert counts(worker)[0] > 10


def test_unload_during_a_ping_flood(load, namespaces, stop, start):
    """Bug: the module's code is freed while its hooks run, or while packets wait in a queue."""
    quiet, heard = namespaces(), namespaces()
    load(hooks=31)
    workers = [start(keep_flooding, quiet, stop), start(keep_flooding, heard, stop)]
    listener = start(keep_accepting, heard, stop)

    def busy():
        with heard:
            return nfqueue.statistics().get(0, (0,))[0] > 0

    for _ in range(5):
        # At this moment packets wait in the queue.
        wait_until(busy, interval=0)
        remove()
        assert not is_loaded()
        with heard:
            assert_not_served()
        load(hooks=31)
    wait_until(busy, interval=0)
    remove()
    stop.set()
    for worker in workers:
        sent, received = counts(worker)
        assert sent > 100 and received > 0
    assert counts(listener)[0] > 0
    for namespace in (quiet, heard):
        with Pinger(namespace, "127.0.0.1") as pinger:
            pinger.ping()


def _keep_pinging_on(cpu, stop):
    os.sched_setaffinity(0, {cpu})
    return keep_pinging(stop)


def test_unload_while_a_hook_runs(load, stop, start):
    """Bug: memory that a hook reads is freed while the hook runs on another CPU."""
    ours, *_, theirs = sorted(os.sched_getaffinity(0))
    pinger = start(_keep_pinging_on, theirs, stop)
    with pinned(ours):
        for _ in range(2):
            load(hooks=31)
            with Control() as control:
                wait_until(lambda: control.stats()["ipv4"]["seen"] > 0)
            remove()
    stop.set()
    assert counts(pinger)[0] > 0


def test_unload_while_echo_clients_run(load, stop, start):
    """Bug: the code is unloaded while a client uses it. Unloading must fail until no client has an open
    socket."""
    load()
    workers = [start(keep_echoing, seed, stop) for seed in range(4)]
    wait_until(lambda: references() > 0)
    remove_when_unused()
    assert_not_served()
    stop.set()
    # The client with an open socket was served. Other clients may have started when the module was gone.
    assert sum(counts(worker)[0] for worker in workers) > 0


def test_loading_takes_no_long_time(load, namespaces):
    """Bug: loading waits for a grace period in each namespace, one after the other."""
    for _ in range(40):
        namespaces()
    start = time.monotonic()
    load(hooks=31)
    loaded = time.monotonic()
    remove()
    removed = time.monotonic()
    print(f"40 namespaces: loaded in {loaded - start:.3f} s, removed in {removed - loaded:.3f} s")
    assert loaded - start < DEADLINE / 4 and removed - loaded < DEADLINE / 4
