# SPDX-License-Identifier: GPL-2.0

"""Listeners of a packet queue are killed at every stage between the binding of the queue and the verdict."""

import os
import random

from control import Control
from netlink import wait_until
from network import Pinger
from nfqueue import ACCEPT, DROP, REPEAT, Listener, is_bound, statistics
from traffic import counts, keep_flooding
from workers import Stop

STAGES = ["bound", "packets wait", "packet read", "packet decided", "half decided", "batch decided",
          "queue full", "closed with packets"]


def _listen(namespace, stage, maxlen, reached):
    """A listener that works up to `stage`, sets `reached`, and stays in this stage until it is killed."""
    os.setns(namespace.fd, os.CLONE_NEWNET)
    listener = Listener(maxlen=maxlen)
    if stage == "packets wait":
        wait_until(lambda: statistics()[0][0] > 3)
    elif stage == "packet read":
        listener.receive()
    elif stage == "packet decided":
        listener.verdict(listener.receive(), ACCEPT)
    elif stage == "batch decided":
        wait_until(lambda: statistics()[0][0] > 3)
        listener.decide_up_to([listener.receive() for _ in range(3)][-1], ACCEPT)
    elif stage == "queue full":
        wait_until(lambda: statistics()[0][1] > 0)
    elif stage == "closed with packets":
        listener.receive()
        listener.close()
    reached.set()
    for number in range(1 << 40):
        if stage == "half decided":
            # The test kills the listener while the listener sends one of these verdicts.
            listener.decide(listener.receive(), (ACCEPT, DROP, REPEAT)[number % 3], mark=9)
        else:
            os.sched_yield()


def test_listeners_die(load, namespaces, start, stop, tally):
    """When a listener dies, the kernel drops the packets that wait for a verdict. Later packets pass with a
    new listener, and also without a listener if bypass is on."""
    count = tally.of(800)
    source = random.Random(8)
    place = namespaces()
    load(hooks=31, skip_mark=9)
    flood = start(keep_flooding, place, stop)
    with place:
        control = Control()
    with control:
        for number in range(count):
            stage = STAGES[number % len(STAGES)]
            with Stop() as reached:
                maxlen = 5 if stage == "queue full" else 1000
                listener = start(_listen, place, stage, maxlen, reached)
                wait_until(lambda: (listener.check(), reached.is_set())[1], interval=0.001)
                control.set(bypass=source.randrange(2))
                listener.kill()

            def gone():
                with place:
                    return not is_bound(0)

            wait_until(gone)
            tally.progress("deaths of listeners", number, count)
        control.set(bypass=1)
    stop.set()
    sent, _ = counts(flood)
    with Pinger(place, "127.0.0.1") as pinger:
        pinger.ping()
    tally.survived(deaths_of_listeners=count, pings_sent_meanwhile=sent)
