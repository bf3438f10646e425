# SPDX-License-Identifier: GPL-2.0

"""Processes that work beside a test, and report their errors to the test."""

import multiprocessing
import os
import select
import signal
import traceback

from netlink import DEADLINE

# In seconds. A worker that runs longer is killed.
TIME_LIMIT = int(9 * DEADLINE)


def make_lock():
    """Makes a lock that workers share. A lock of another context than "fork" would start a process that never ends, and
    since Python 3.14 another context is the default."""
    return multiprocessing.get_context("fork").Lock()


class Worker:
    """Runs `function(*arguments)` in a separate process."""

    def __init__(self, function, *arguments):
        self._pipe, write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self._pipe)
                signal.alarm(TIME_LIMIT)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                result = function(*arguments)
                os.write(write_end, repr(result).encode())
                status = 0
            except BaseException:  # pylint: disable=broad-exception-caught
                os.write(write_end, traceback.format_exc().encode()[-60000:])
            finally:
                os._exit(status)
        os.close(write_end)

    def result(self):
        """Waits until the worker ends. Returns the function's result as text, or raises an error with its traceback."""
        chunks = []
        while chunk := os.read(self._pipe, 1 << 16):
            chunks.append(chunk)
        status = self._reap()
        text = b"".join(chunks).decode()
        assert status == 0, f"a worker failed with wait status {status}:\n{text}"
        return text

    def kill(self, signum=signal.SIGKILL):
        """Kills the worker if it still runs. Raises an error if the function has failed before."""
        if self._pipe is None:
            return
        self.check()
        if self._pipe is not None:
            os.kill(self.pid, signum)
            self._reap()

    def check(self):
        """The result if the worker has ended, else None. Raises an error if the function failed."""
        if self._pipe is not None and select.select([self._pipe], [], [], 0)[0]:
            return self.result()
        return None

    def _reap(self):
        os.close(self._pipe)
        self._pipe = None
        return os.waitpid(self.pid, 0)[1]


class Stop:
    """A request to all workers to end."""

    def __init__(self):
        self._read, self._write = os.pipe()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def set(self):
        os.write(self._write, b"x")

    def is_set(self):
        return self.wait(0)

    def wait(self, timeout):
        """Waits for the request, at most `timeout` seconds. Returns whether it came."""
        return bool(select.select([self._read], [], [], timeout)[0])

    def close(self):
        os.close(self._read)
        os.close(self._write)
