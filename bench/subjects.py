# SPDX-License-Identifier: GPL-2.0

"""What is measured against each other, each of which is in place for as long as a `with` takes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "guest"))

import module  # pylint: disable=wrong-import-position
from network import run  # pylint: disable=wrong-import-position

HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}


class Nothing:
    """No hook and no socket: what the path costs by itself."""

    name = "nothing"

    def __init__(self, hook="prerouting"):
        self.hook = hook

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Module(Nothing):
    """The module, in every network namespace."""

    name, loaded_as = "module", module.NAME

    def __init__(self, file, hook="prerouting"):
        super().__init__(hook)
        self._file = file

    def __enter__(self):
        module.insert(self._file, f"hooks={1 << HOOKS[self.hook]}")
        return self

    def __exit__(self, *_):
        module.remove(self.loaded_as)


class Twin(Module):
    """Its twin in C."""

    name, loaded_as = "twin", "nldemo_twin"


class Rules(Nothing):
    """Rules of nftables that do what the module's hooks do."""

    name = "nft"

    def __enter__(self):
        rules = {
            "ip": "ip protocol icmp queue num 0 bypass",
            "ip6": "icmpv6 type { echo-request, echo-reply } queue num 0 bypass",
        }
        run("nft", "; ".join(
            f"add table {family} bench; add chain {family} bench packets"
            f" {{ type filter hook {self.hook} priority filter; }}; add rule {family} bench packets {rule}"
            for family, rule in rules.items()))
        return self

    def __exit__(self, *_):
        run("nft", "delete table ip bench; delete table ip6 bench")
