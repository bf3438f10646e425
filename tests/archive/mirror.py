#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Serves Debian's archive as it could be on a later day.

usage: tests/archive/mirror.py MIRROR SUITE SERIES HOME

Below http://127.0.0.1:PORT/newer/, SUITE of MIRROR also has each package of the kernel series SERIES
in a series with the next number: 7.4 beside 7.3. Below /gone/, SUITE has no package of SERIES. Only
the list of packages for amd64 is changed. Every other request is redirected to MIRROR.

The changed list is signed with the key in HOME, a directory of GnuPG. Prints the port when it can
answer, and ends when standard input ends.
"""

import hashlib
import http.server
import lzma
import re
import subprocess
import sys
import threading
import urllib.request


def following(series):
    """The series after `series`: "7.4" for "7.3"."""
    major, minor = series.split(".")
    return f"{major}.{int(minor) + 1}"


def packages_of(series):
    """A pattern for the paragraphs, in a list of packages, of the kernel `series`."""
    return re.compile(rf"^Package: linux-\S*{re.escape(series)}(?!\d)", re.MULTILINE)


def newer(paragraphs, series):
    """`paragraphs`, and a copy of each paragraph of the kernel `series`, with the number of the next series."""
    number = re.compile(rf"(?<![\d.]){re.escape(series)}(?!\d)")
    # A copy names the same file as the paragraph that it copies, because nothing should fetch this file.
    added = (
        "\n".join(
            line if line.startswith("Filename:") else number.sub(following(series), line)
            for line in paragraph.split("\n")
        )
        for paragraph in paragraphs
        if packages_of(series).search(paragraph)
    )
    return [*paragraphs, *added]


def gone(paragraphs, series):
    """`paragraphs` without those of the kernel `series`."""
    return [paragraph for paragraph in paragraphs if not packages_of(series).search(paragraph)]


def _entry(path, content):
    """The line of a release for the file `path`."""
    return f" {hashlib.sha256(content).hexdigest()} {len(content)} {path}\n"


class Archive:
    """The files of the changed suite, by their paths below MIRROR."""

    def __init__(self, mirror, suite, series, home):
        self.mirror = mirror.rstrip("/")
        top = f"dists/{suite}"
        packages = "main/binary-amd64/Packages.xz"
        paragraphs = lzma.decompress(self._fetch(f"{top}/{packages}")).decode().strip("\n").split("\n\n")
        fields = self._release_fields(self._fetch(f"{top}/InRelease").decode())
        self.files = {}
        for change in newer, gone:
            changed = change(paragraphs, series)
            if len(changed) == len(paragraphs):
                sys.exit(f"{suite} of {mirror} has no package of the kernel series {series}; name a series that it has"
                         " first in KNOWN_SERIES (scripts/kernels.sh)")
            text = ("\n\n".join(changed) + "\n").encode()
            content = lzma.compress(text, preset=0)
            # apt ignores a list whose uncompressed form the release does not name.
            release = f"{fields}\nSHA256:\n{_entry(packages, content)}{_entry(packages.removesuffix('.xz'), text)}"
            self.files[f"/{change.__name__}/{top}/{packages}"] = content
            self.files[f"/{change.__name__}/{top}/InRelease"] = self._sign(release.encode(), home)

    def _fetch(self, path):
        url = f"{self.mirror}/{path}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return answer.read()
        except (OSError, ValueError) as error:
            sys.exit(f"cannot read {url}: {error}; run this again when the network works, or name a mirror with"
                     " NLDEMO_MIRROR=URL")

    @staticmethod
    def _release_fields(release):
        """The lines of the signed `release` that describe the suite. apt and its pins use them."""
        wanted = "Origin:", "Label:", "Suite:", "Codename:", "Date:", "Architectures:", "Components:", "NotAutomatic:"
        return "\n".join(line for line in release.split("\n") if line.startswith((*wanted, "ButAutomaticUpgrades:")))

    @staticmethod
    def _sign(content, home):
        command = "gpg", "--homedir", home, "--batch", "--quiet", "--digest-algo", "SHA512", "--clearsign"
        return subprocess.run(command, input=content, stdout=subprocess.PIPE, check=True).stdout


def handler(archive):
    """A class for the HTTP server: it answers requests with the files of `archive`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            content = archive.files.get(self.path, b"")
            if content:
                self.send_response(200)
            else:
                _, _, path = self.path[1:].partition("/")
                self.send_response(302)
                self.send_header("Location", f"{archive.mirror}/{path}")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass  # apt prints what it fetches

    return Handler


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(Archive(*sys.argv[1:])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
