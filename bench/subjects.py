# SPDX-License-Identifier: GPL-2.0

"""The subjects that are compared with each other: modules, nftables rules, BPF programs, or
nothing. A subject is active while its `with` lasts."""

import subprocess
import time
from pathlib import Path

import module
from netlink import wait_until
from network import run

HOOKNUM = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}


class Nothing:
    """The subject without a hook and without a socket. Its cost is that of the packet's path through the kernel
    alone."""

    def __init__(self, hook, place):
        self._hook, self._place = hook, place

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Rules(Nothing):
    """Rules of nftables that do what the module's hooks do."""

    RULES = {
        "ip": "ip protocol icmp queue num 0 bypass",
        "ip6": "icmpv6 type { echo-request, echo-reply } queue num 0 bypass",
    }

    def _nft(self, commands):
        with self._place.hooked:
            run("nft", "; ".join(commands))

    def __enter__(self):
        chain = f"{{ type filter hook {self._hook} priority filter; }}"
        self._nft(f"add table {family} bench; add chain {family} bench packets {chain};"
                  f" add rule {family} bench packets {rule}" for family, rule in self.RULES.items())
        return self

    def __exit__(self, *_):
        self._nft(f"delete table {family} bench" for family in self.RULES)


class Program:
    """BPF programs at the hooks. They let all packets pass."""

    def __init__(self, programs, ipv4, ipv6):
        self._hook = self._place = self._process = None
        self._command = [programs / "attach", programs / "netfilter.bpf.o", ipv4, ipv6]

    def __call__(self, hook, place):
        self._hook, self._place = hook, place
        return self

    def __enter__(self):
        with self._place.hooked:
            self._process = subprocess.Popen([*self._command, str(HOOKNUM[self._hook])],
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout.readline() == b"attached\n", "the programs cannot be attached"
        return self

    def __exit__(self, *_):
        self._process.communicate()


class Module:
    """A module, which is active in every network namespace. The object records how long loading and unloading take."""

    def __init__(self, file, name, hooks=True):
        self.file, self._name, self._hooks = file, name, hooks
        self.loading, self.unloading = [], []
        self._parameters = ""

    def __call__(self, hook, _place=None, parameters=""):
        self._parameters = f"hooks={1 << HOOKNUM[hook]} {parameters}" if self._hooks else ""
        return self

    def __enter__(self):
        start = time.monotonic_ns()
        module.insert(self.file, self._parameters)
        self.loading.append(time.monotonic_ns() - start)
        return self

    def __exit__(self, *_):
        users = Path("/sys/module", self._name, "refcnt")
        wait_until(lambda: users.read_text(encoding="ascii") == "0\n")
        start = time.monotonic_ns()
        module.remove(self._name)
        self.unloading.append(time.monotonic_ns() - start)
