# SPDX-License-Identifier: GPL-2.0

"""The network namespaces that measured packets go through."""

from network import Namespace, connect_by_router


class Loopback:
    """Packets stay within one namespace."""

    def __init__(self):
        self.near = self.far = self.hooked = Namespace()
        self.address = "127.0.0.1"


class Router:
    """Packets go from one namespace to another through a third namespace, which has the hook."""

    def __init__(self):
        self.near, self.hooked, self.far = Namespace(), Namespace(), Namespace()
        connect_by_router(self.near, self.hooked, self.far)
        self.address = "198.51.100.1"


class Places:
    """For each hook, network namespaces whose packets meet the hook."""

    def __init__(self):
        self._loopback, self._router = Loopback(), Router()

    def of(self, hook):
        return self._router if hook == "forward" else self._loopback
