# SPDX-License-Identifier: GPL-2.0

"""Programs that libFuzzer drives."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

# The time limit for one input, in seconds. Even on a slow machine, an input takes this time only if the code hangs.
TIMEOUT = 300
LENGTH_MAX = 2048


class LibFuzzer:
    """A running program."""

    def __init__(self, program, directory, inputs, *, seconds=0, runs=-1, seed=1, environment=None,
                 stdin=subprocess.DEVNULL):
        """Starts the program with `inputs`. The program ends after `seconds`, or when it has tried `runs` inputs. 0
        seconds and -1 runs mean no limit."""
        self.target = Path(program).name
        self._command = [program, f"-seed={seed}", f"-artifact_prefix={directory}/", "-rss_limit_mb=0",
                         f"-timeout={TIMEOUT}", "-reload=0", f"-max_len={LENGTH_MAX}", "-len_control=0"]
        self._directory = Path(directory)
        self._corpus = self._directory / "corpus"
        self._environment = {**os.environ, **(environment or {})}
        self._stdin = stdin
        self._corpus.mkdir(parents=True)
        for number, data in enumerate(inputs):
            (self._corpus / f"{number:06}").write_bytes(data)
        self.process = self._start(f"-max_total_time={seconds}", f"-runs={runs}", self._corpus)

    def _start(self, *arguments):
        with open(self._directory / "log", "wb") as log:
            return subprocess.Popen([*self._command, *arguments], env=self._environment,
                                    stdin=self._stdin, stdout=log, stderr=log)

    def close(self):
        """Ends the program."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def log(self):
        """The program's output."""
        return (self._directory / "log").read_text(encoding="utf-8", errors="replace")

    @property
    def executed(self):
        """The number of inputs that the program has tried."""
        return max(map(int, re.findall(r"^#(\d+)\s", self.log, re.MULTILINE)), default=0)

    @property
    def reached(self):
        """The number of places in the code that the program has reached. libFuzzer prints this number."""
        return max(map(int, re.findall(r"\bcov: (\d+) ", self.log)), default=0)

    @property
    def inputs(self):
        """All inputs that libFuzzer kept, because they add coverage."""
        return [file.read_bytes() for file in sorted(self._corpus.iterdir())]

    @property
    def finding(self):
        """The input that stopped the program, or None."""
        for kind in ("crash", "timeout", "oom"):
            for file in self._directory.glob(f"{kind}-*"):
                return file.read_bytes()
        return None

    def merge(self):
        """Removes the inputs that add nothing to the coverage of shorter inputs."""
        merged = self._directory / "merged"
        merged.mkdir()
        self.process = self._start("-merge=1", merged, self._corpus)
        assert self.process.wait() == 0, self.log
        self._corpus = merged

    def describe(self, data):
        """Returns a text that describes the structures that the program makes from an input."""
        file = self._directory / "described"
        file.write_bytes(data)
        text = self._directory / "description"
        text.unlink(missing_ok=True)
        environment = {**self._environment, "RUST_LIBFUZZER_DEBUG_PATH": str(text)}
        subprocess.run([*self._command, file], env=environment, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return text.read_text(encoding="utf-8") if text.exists() else ""


def wait(programs, progress):
    """Waits until all programs have ended, or until one has failed because it found something. Prints the progress
    every ten seconds."""
    start = last = time.monotonic()
    while any(program.process.poll() is None for program in programs):
        if any(program.process.poll() for program in programs):
            break
        time.sleep(0.1)
        now = time.monotonic()
        if now - last >= 10:
            last = now
            said = ", ".join(map(progress, programs))
            print(f"[{now - start:5.0f} s] {said}", file=sys.stderr, flush=True)
    return time.monotonic() - start


def result(program, seconds):
    """The result of a program, in the form that fuzz/report.py reads, but without the inputs."""
    status = program.process.poll()
    finding = program.finding
    if status:
        print(f"{program.target} ended with status {status}:\n{program.log[-8000:]}", file=sys.stderr)
    return {
        "target": program.target, "seconds": round(seconds, 1), "executed": program.executed,
        "reached": program.reached, "status": status or 0, "finding": finding.hex() if finding is not None else None,
    }
