# SPDX-License-Identifier: GPL-2.0

"""Makes a recording of a command's output, as an SVG that plays by itself.

usage: COMMAND | recording.py TITLE >FILE.svg

Reads the output line by line, and records the time of each line. The recording is a terminal of ROWS lines
that scrolls at the speed of the output, with two exceptions: a pause takes at most LONGEST, and the pause
before a heading ("== ...") takes at least HEADING. The file has the text once. A CSS animation moves the
group of all lines. A viewer without animations, or with motion turned off, shows the first lines.
"""

import re
import sys
import time
from xml.sax.saxutils import escape

ROWS, FONT, LINE, PAD = 24, 12, 17, 12
# The width of a character of a monospaced font, divided by the font's height.
WIDTH_OF_CHARACTER = 0.602
# These times are in seconds.
LONGEST, HEADING, END = 1.2, 1.8, 5.0
# Lines that follow each other within AT_ONCE seconds are shown by a single move of the screen.
AT_ONCE = 0.05
CLASSES = {"\x1b[1m": "h", "\x1b[2m": "c"}


def read(stream):
    """The lines, as (moment, class, text)."""
    for line in iter(stream.readline, ""):
        line = line.rstrip("\n")
        style = next((name for code, name in CLASSES.items() if line.startswith(code)), "o")
        yield time.monotonic(), style, re.sub(r"\x1b\[[0-9]*m", "", line)


def moves(lines):
    """The moves of the screen, as (seconds from the start, number of lines printed until then)."""
    now, before, found = 0.0, lines[0][0], []
    for count, (moment, style, _) in enumerate(lines, 1):
        pause = min(moment - before, LONGEST)
        if style == "h" and count > 1:
            pause = max(pause, HEADING)
        if found and pause < AT_ONCE:
            found[-1] = (found[-1][0], count)
        else:
            now += pause
            found.append((now, count))
        before = moment
    return found


def svg(title, lines):
    """The recording as SVG."""
    steps = moves(lines)
    duration = steps[-1][0] + END
    width = round(max(len(text) for _, _, text in lines) * FONT * WIDTH_OF_CHARACTER) + 2 * PAD
    height = ROWS * LINE + 2 * PAD
    frames = "".join(f"{100 * at / duration:.2f}%{{transform:translateY({(ROWS - count) * LINE}px)}}" for at, count in steps)
    texts = "\n".join(f'<text class="{style}" x="{PAD}" y="{PAD + row * LINE - 4}">{escape(text)}</text>'
                      for row, (_, style, text) in enumerate(lines, 1) if text)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<!-- SPDX-License-Identifier: GPL-2.0 -->
<!-- Written by scripts/record-demo. -->
<title>{escape(title)}</title>
<style>
text{{font:{FONT}px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;white-space:pre;fill:#c9d1d9}}
.h{{font-weight:bold;fill:#e3b341}} .c{{fill:#79c0ff}}
#lines{{animation:scroll {duration:.1f}s step-end infinite}}
@keyframes scroll{{{frames}}}
@media (prefers-reduced-motion:reduce){{#lines{{animation:none}}}}
</style>
<clipPath id="screen"><rect x="0" y="{PAD}" width="{width}" height="{ROWS * LINE}"/></clipPath>
<rect width="{width}" height="{height}" rx="6" fill="#0d1117"/>
<g clip-path="url(#screen)"><g id="lines">
{texts}
</g></g>
</svg>
"""


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    lines = list(read(sys.stdin))
    while lines and not lines[0][2]:
        del lines[0]
    if not lines:
        sys.exit("recording: there is no output to record")
    sys.stdout.write(svg(sys.argv[1], lines))


if __name__ == "__main__":
    main()
