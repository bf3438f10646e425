# SPDX-License-Identifier: GPL-2.0

"""Checks and runs the commands that the documentation shows, exactly as written.

usage: doc_commands.py            checks all commands, and lists those that no test runs, with the reasons
       doc_commands.py files      lists the documents
       doc_commands.py host DIR   runs the commands for the host, some of which boot guests. DIR is an empty
                                  directory for files
                                  (tests/guest/peer/test_documents.py runs the commands for the guest)

Commands are the lines after "$ " and "# " in fenced blocks of `console`. A comment directly above each of these
blocks, and above each block of `sh`, says where its commands run:

    <!-- run: host -->              in the checkout
    <!-- run: module -->            on the host, in a folder with the module that net/README.md shows, and with the
                                    checkout's path in CHECKOUT
    <!-- run: guest -->             as root, with the module loaded and nldemo in PATH
    <!-- run by: COMMAND -->        another test runs the block: "tests/scripts/run NAME", "scripts/test-packages NAME"
    <!-- not run: REASON -->

If a block runs, more lines in the comment can name single commands:

    not `COMMAND`: REASON
    `COMMAND` fails

A comment "output of `COMMAND`" above a block of `text` says that a command for the host prints these lines. "[...]"
stands for any lines, and numbers may differ. "the same as in FILE" above a block of `rs` says that FILE has the same
lines.

Exit status: 0 all is right, 1 there is a mistake.
"""

import html
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("*.md", "docs/*.md", "net/*.md", "tests/*.md", "bench/report/*.md", "userspace/*.md", "userspace/*/*.md")
BLOCK = re.compile(r"(?: *<!--(?P<mark>(?:(?!-->).)*)-->\n)?"
                   r" *```(?P<language>console|sh|text|rs)\n(?P<body>.*?)\n *```\n", re.DOTALL)
ABOUT_ONE = re.compile(r" (?:not `(?P<not_run>[^`]+)`: |`(?P<fails>[^`]+)` fails)")
# A script prints this character before the output of each command.
SEPARATOR = "\x1e"
WHERE = {"host": "run on the host", "module": "run on the host", "guest": "run in a guest", "by": "run by other tests"}


class Wrong(Exception):
    """A mistake in the documentation, with its place."""


@dataclass
class Command:
    """A command of the documentation."""

    text: str
    fails: bool = False
    # The reason why no test runs the command; empty if a test runs it.
    not_run: str = ""


@dataclass
class Block:
    """The commands of a fenced block. They run in one shell."""

    place: str
    # Where the block runs: "host", "module", "guest", "by" (by another test) or "nowhere".
    where: str
    # The test that runs the block, if `where` is "by".
    by: str
    commands: list

    def script(self):
        """A script for bash that runs the commands. It ends at the first command that fails, or that succeeds
        although it should fail."""
        lines = ["set -e"]
        for command in self.commands:
            if not command.not_run:
                lines.append(f"printf '{SEPARATOR}'")
                lines.append(f"if {command.text}; then exit 99; fi" if command.fails else command.text)
        return "\n".join(lines) + "\n"


def documents():
    """The documents, as paths below the checkout."""
    return sorted(path.relative_to(ROOT) for glob in DOCUMENTS for path in ROOT.glob(glob))


def fenced():
    """All blocks that can have commands or their output, as (place, mark, language, lines). `mark` is the comment above
    the block."""
    for document in documents():
        text = (ROOT / document).read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("language")) + 1
            mark = " ".join((match["mark"] or "").split())
            yield f"{document}:{line}", mark, match["language"], match["body"].splitlines()


def blocks():
    """The blocks of commands."""
    for place, mark, language, lines in fenced():
        if language in ("text", "rs"):
            continue
        shown = [re.sub(r" {2,}#.*", "", line) for line in re.findall(r"^ *[$#] (.*)", "\n".join(lines), re.MULTILINE)]
        commands = {text: Command(text) for text in shown} if language == "console" else {}
        about_one = list(ABOUT_ONE.finditer(mark))
        head = mark[:about_one[0].start()] if about_one else mark
        for match, following in zip(about_one, [*about_one[1:], None]):
            text = match["not_run"] or match["fails"]
            if text not in commands:
                raise Wrong(f"{place}: the block has no command '{text}'")
            if match["fails"]:
                commands[text].fails = True
            else:
                commands[text].not_run = mark[match.end():following.start() if following else None]
        if head in ("run: host", "run: module", "run: guest"):
            yield Block(place, head.removeprefix("run: "), "", list(commands.values()))
        elif head.startswith("run by: "):
            yield Block(place, "by", head.removeprefix("run by: "), list(commands.values()))
        elif head.startswith("not run: "):
            listed = list(commands.values()) or [Command("(lines of a file)")]
            for command in listed:
                command.not_run = head.removeprefix("not run: ")
            yield Block(place, "nowhere", "", listed)
        else:
            raise Wrong(f"{place}: no comment above the block says where its commands are run")


def has(path, text):
    """Whether a file of the checkout exists and contains a text."""
    return (ROOT / path).is_file() and text in (ROOT / path).read_text(encoding="utf-8")


def judge_command(place, text):
    """Raises `Wrong` if a target, script or test that the command names does not exist."""
    words = text.split()
    if re.match(r"make [a-z-]+( |$)", text) and not has("Makefile", f"\n{words[1]}: "):
        raise Wrong(f"{place}: make has no target '{words[1]}'")
    for word in words:
        test = re.fullmatch(r"(?:T=)?(test_\w+\.py)(?:::(\w+))?", word)
        if test:
            files = list((ROOT / "tests/guest").glob(f"*/{test[1]}"))
            if not files or (test[2] and not has(files[0], f"def {test[2]}(")):
                raise Wrong(f"{place}: there is no test '{word}'")
    if re.match(r"(scripts|tests|net)/", words[0]) and not (ROOT / words[0]).is_file():
        raise Wrong(f"{place}: there is no '{words[0]}'")
    if words[0] == "tests/scripts/run" and len(words) == 2:
        judge_test(place, text)


def judge_test(place, text):
    """Raises `Wrong` if the test that runs a block does not exist."""
    program, _, name = text.partition(" ")
    if not has(program, f"test_{name}() {{"):
        raise Wrong(f"{place}: there is no test '{text}'")


def judge(all_blocks):
    """Finds mistakes without running commands."""
    for block in all_blocks:
        if block.where == "by":
            judge_test(block.place, block.by)
        for command in block.commands:
            judge_command(block.place, command.text)
    for place, mark, language, lines in fenced():
        if language == "rs":
            file = mark.removeprefix("the same as in ").split(",")[0]
            if not has(file, "\n" + "\n".join(lines) + "\n"):
                raise Wrong(f"{place}: the example is not in '{file}'")


def plain(line):
    """A line without the parts that differ from run to run."""
    line = re.sub(r"\x1b\[[0-9]*m", "", line)
    return re.sub(r"\s+", " ", re.sub(r"\d[\d.,]*", "0", line)).strip()


def judge_output(place, wanted, output):
    """Raises `Wrong` if `output` does not have the `wanted` lines."""
    printed, at = [plain(line) for line in output.splitlines()], 0
    for part in "\n".join(wanted).split("[...]"):
        lines = [plain(line) for line in part.strip("\n").splitlines()]
        found = [i for i in range(at, len(printed) - len(lines) + 1) if printed[i:i + len(lines)] == lines]
        if not found:
            raise Wrong(f"{place}: the command no longer prints:\n{part.strip()}\nIt prints:\n{output}")
        at = found[0] + len(lines)


def judge_recording(output):
    """Raises `Wrong` if docs/demo.svg does not show this output of the demo."""
    def steady(lines):
        return [plain(line) for line in lines if line.strip() and not re.match(r"[0-9a-f]{4}  ", line)]

    if not has("docs/demo.svg", ""):
        raise Wrong("there is no docs/demo.svg (scripts/record-demo makes it)")
    recording = (ROOT / "docs/demo.svg").read_text(encoding="utf-8")
    shown = steady(html.unescape(text) for text in re.findall(r'<text class="."[^>]*>(.*?)</text>', recording))
    printed = steady(output.splitlines())
    if shown != printed:
        before, now = next((pair for pair in zip(shown, printed) if pair[0] != pair[1]), (len(shown), len(printed)))
        raise Wrong(f"docs/demo.svg is outdated (scripts/record-demo makes it): '{before}' is now '{now}'")


def make_module(directory):
    """Writes the module that net/README.md shows."""
    readme = (ROOT / "net/README.md").read_text(encoding="utf-8")
    for language, file in (("make", "Kbuild"), ("rust", "my_module.rs")):
        block = re.search(rf"^```{language}\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)[1]
        (directory / file).write_text(block, encoding="utf-8")


def run_on_host(all_blocks, directory):
    """Runs the blocks for the host, and compares their output with the output that the documentation shows."""
    outputs = {}
    make_module(directory)
    for block in all_blocks:
        if block.where not in ("host", "module"):
            continue
        start = time.monotonic()
        place = ROOT if block.where == "host" else directory
        done = subprocess.run(["bash"], input=block.script(), capture_output=True, text=True, errors="replace",
                              cwd=place, env=os.environ | {"CHECKOUT": str(ROOT)}, check=False)
        parts = done.stdout.split(SEPARATOR)[1:]
        ran = [command for command in block.commands if not command.not_run]
        if done.returncode:
            last = ran[len(parts) - 1]
            what = "does not fail" if last.fails else "fails"
            raise Wrong(f"{block.place}: '{last.text}' {what}:\n{parts[-1]}{done.stderr}")
        outputs |= dict(zip((command.text for command in ran), parts))
        print(f"{block.place}: {time.monotonic() - start:.0f} s")
    for place, mark, _, lines in fenced():
        if mark.startswith("output of `"):
            judge_output(place, lines, outputs[mark.split("`")[1]])
    judge_recording(outputs.get("make demo", ""))


def main():
    """Parses the arguments, and checks, lists or runs commands."""
    all_blocks = list(blocks())
    judge(all_blocks)
    if sys.argv[1:2] == ["host"] and len(sys.argv) == 3:
        run_on_host(all_blocks, Path(sys.argv[2]).resolve())
    elif sys.argv[1:] == ["files"]:
        print(*documents(), sep="\n")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        counts = {}
        for block in all_blocks:
            for command in block.commands:
                where = "not run" if command.not_run else WHERE[block.where]
                counts[where] = counts.get(where, 0) + 1
                if command.not_run:
                    print(f"{block.place}: {command.text}: {command.not_run}")
        print(", ".join(f"{count} {where}" for where, count in sorted(counts.items())))


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(str(wrong))
