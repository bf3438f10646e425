# SPDX-License-Identifier: GPL-2.0

"""The module is loaded and unloaded under traffic of every kind."""

from module import is_loaded, remove_when_unused
from netlink import wait_until
from nfqueue import statistics
from traffic import counts, keep_accepting, keep_echoing, keep_flooding, keep_pinging


def test_loads_and_unloads_under_traffic(load, namespaces, stop, start, tally):
    """Packets and requests arrive at each moment of loading and unloading. At half of the unloads, packets
    wait in a queue."""
    rounds = tally.of(500)
    heard = namespaces()
    echoer = start(keep_echoing, 8, stop)
    pinger = start(keep_pinging, stop, namespaces())
    flood, listener = start(keep_flooding, heard, stop), start(keep_accepting, heard, stop)

    def queued():
        with heard:
            return statistics().get(0, (0,))[0] > 0

    for number in range(rounds):
        load(hooks=31 if number % 2 else 1)
        # In half of the rounds, the module is unloaded while packets wait in the queue.
        if number % 4 >= 2:
            wait_until(queued, interval=0)
        remove_when_unused()
        assert not is_loaded()
        tally.progress("loads and unloads", number, rounds)
    stop.set()
    done, refused = counts(echoer)
    sent, received = counts(flood)
    decided, gone = counts(listener)
    pings = counts(pinger)[0]
    assert min(done, refused, received, decided, pings) > rounds // 5
    tally.survived(loads_and_unloads=rounds, requests_echoed_meanwhile=done,
                   requests_refused_meanwhile=refused, pings_sent_meanwhile=sent + pings,
                   verdicts_meanwhile=decided, verdicts_for_packets_that_were_gone=gone)
