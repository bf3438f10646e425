# SPDX-License-Identifier: GPL-2.0

"""Where packets go while they are measured, in network namespaces of their own."""

from network import Namespace, connect_by_router


class Loopback:
    """Within one namespace."""

    def __init__(self):
        self.near = self.far = self.hooked = Namespace()
        self.address = "127.0.0.1"


class Router:
    """From one namespace to another, by way of a third where the hook is."""

    def __init__(self):
        self.near, self.hooked, self.far = Namespace(), Namespace(), Namespace()
        connect_by_router(self.near, self.hooked, self.far)
        self.address = "198.51.100.1"


class Places:
    """One for each hook, which passes it."""

    def __init__(self):
        self._loopback, self._router = Loopback(), Router()

    def of(self, hook):
        return self._router if hook == "forward" else self._loopback
