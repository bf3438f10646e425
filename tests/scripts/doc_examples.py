# SPDX-License-Identifier: GPL-2.0

"""Makes modules from the examples in the documentation, so that the compiler checks them.

usage: doc_examples.py DIR

Examples are the fenced blocks of Rust in comments of net/ and nldemo/, and in Markdown files. Files of
userspace/ are left out, because cargo compiles their examples. An example with `module!` becomes a crate. All
other examples become functions of one crate. They can use `?`, `net::` and kernel::prelude. The rules of
rustdoc hold: a line that begins with "# " belongs to the example but is not shown, and a block in a comment is
Rust if it names no language. But no block may be left out ("ignore"). Another test builds the module of
net/README.md.

Writes Kbuild and the crates to DIR. Prints the number of examples.

Exit status: 0 done, 1 there is an example that cannot be compiled.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"( *)```(.*)")

LICENCE = "// SPDX-License-Identifier: GPL-2.0\n"
REST = LICENCE + """
//! The others.

#![deny(warnings)]
#![allow(unused)]

use kernel::prelude::*;

mod net;

module! {
    type: Examples,
    name: "examples",
    authors: ["The documentation"],
    description: "Examples of the documentation",
    license: "GPL",
}

struct Examples;

impl kernel::Module for Examples {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
"""


def comments(text):
    """Yields the text of each line of documentation in a Rust source, and None for each other line."""
    for line in text.splitlines():
        match = re.match(r" *//[/!](?: (.*)|)$", line)
        yield (match[1] or "") if match else None


def blocks(lines, plain):
    """The examples in Rust, as (line number, text). `plain` says whether a block without a language is Rust."""
    language, start, found = None, 0, []
    for number, line in enumerate(lines, 1):
        fence = FENCE.fullmatch(line) if line is not None else None
        if language is None and fence:
            language, start, found = fence[2], number, []
        elif language is not None and (fence or line is None):
            if language.startswith("rust") or (plain and language in ("", "ignore", "no_run", "should_panic")):
                if language not in ("", "rust"):
                    raise ValueError(f"line {start}: '{language}' is not compiled")
                yield start, "\n".join(found) + "\n"
            language = None
        elif language is not None:
            found.append(re.sub(r"^# ?(?!\[|!)", "", line) if plain else line)


def examples():
    for path in sorted([*ROOT.glob("net/**/*.rs"), *ROOT.glob("nldemo/**/*.rs"), *ROOT.glob("*.md"), *ROOT.glob("*/*.md")]):
        name = path.relative_to(ROOT)
        if name == Path("net/README.md"):
            continue
        text, plain = path.read_text(encoding="utf-8"), path.suffix == ".rs"
        try:
            for number, block in blocks(comments(text) if plain else text.splitlines(), plain):
                yield f"{name}:{number}", re.sub(r"\W", "_", f"{name}_{number}"), block
        except ValueError as error:
            sys.exit(f"{name}: {error}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    directory, count, crates, rest = Path(sys.argv[1]), 0, ["examples"], [REST]
    for place, name, block in examples():
        count += 1
        if re.search(r"^module! \{", block, re.MULTILINE):
            crates.append(name)
            (directory / f"{name}.rs").write_text(f"{LICENCE}\n//! {place}\n\n#![deny(warnings)]\n\n{block}", encoding="utf-8")
        else:
            rest.append(f"// {place}\nmod {name} {{\nuse kernel::prelude::*;\nuse crate::net;\n"
                        f"fn example() -> Result {{\n{block}\nOk(())\n}}\n}}\n")
    (directory / "examples.rs").write_text("\n".join(rest), encoding="utf-8")
    (directory / "Kbuild").write_text(
        f"obj-m := {' '.join(f'{crate}.o' for crate in crates)}\ninclude $(src)/net/module.mk\n", encoding="utf-8")
    print(count)


if __name__ == "__main__":
    main()
