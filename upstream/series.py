# SPDX-License-Identifier: GPL-2.0
"""The series of patches that series.toml lists.

usage: series.py cover                         prints the cover letter
       series.py count                         prints the number of patches
       series.py apply NUMBER SOURCE TREE      applies the patch with that number (from 0) to TREE, and prints its
                                               message. TREE is SOURCE with all earlier patches
"""

import re
import sys
import tomllib
from pathlib import Path

from rust_source import Translation, cut, merged, unused

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
BINDINGS = "rust/bindings/bindings_helper.h"
NET = "rust/kernel/net"
SAMPLES = "samples/rust"


def glue(name):
    """The text of a file in upstream/glue. These files have code that only the kernel tree needs."""
    return (HERE / f"glue/{name}.in").read_text()


def without_licence(text):
    """The text without its licence line, for a file that already has a licence line."""
    return text.partition("\n")[2]


def changed(pattern, replacement, text):
    """Replaces all matches of the pattern. Without a match it exits: the sources have changed, so the pattern is out of
    date."""
    text, places = re.subn(pattern, replacement, text, flags=re.M)
    if not places:
        sys.exit(f"upstream/series.py: no source matches /{pattern}/ any more; change the pattern")
    return text


class Patch:
    """Applies patches to a tree."""

    def __init__(self, source, tree):
        self.source, self.tree = source, tree

    def apply(self, patch, before, later):
        if patch.get("bindings"):
            self.bindings()
        if "rename" in patch:
            self.rename(patch["rename"])
        if "net" in patch:
            self.net(patch["net"], before, later)
        if patch.get("sample"):
            self.sample()

    def read(self, path):
        return (self.tree / path).read_text()

    def write(self, path, text):
        (self.tree / path).parent.mkdir(parents=True, exist_ok=True)
        (self.tree / path).write_text(text)

    def insert(self, path, text, before):
        """Adds text to a file, before the only match of `before`."""
        old = self.read(path)
        place, = re.finditer(before, old, re.M)
        self.write(path, old[: place.start()] + text + old[place.start() :])

    def bindings(self):
        """Adds headers and constants to the tree's bindings_helper.h. Headers are added in the order of their names."""
        ours = (CHECKOUT / "net/bindings_helper.h").read_text()
        tree = self.read(BINDINGS)
        start, end = tree.index("#include <linux/acpi.h>"), tree.index("#include <trace/events/rust_sample.h>")
        known = tree[start:end].split("\n")
        headers = [line for line in re.findall(r"^#include <.*>$", ours, re.M) if line not in tree]
        for header in headers:
            # Ignores the tree's headers of drm/, because they are not in the order of names.
            place = next((i for i, line in enumerate(known) if line > header and "<drm/" not in line), len(known) - 1)
            known.insert(place, header)
        tree = tree[:start] + "\n".join(known) + tree[end:]
        constants = "".join(
            f"const size_t RUST_CONST_HELPER_{name} = {value};\n"
            for name, value in re.findall(r"^static const size_t (\w+) = (.*);$", ours, re.M)
        )
        place = tree.index("const gfp_t RUST_CONST_HELPER_GFP_ATOMIC")
        self.write(BINDINGS, tree[:place] + constants + tree[place:])

    def rename(self, names):
        for old, new in names.items():
            text = self.read(old)
            (self.tree / old).unlink()
            self.write(new, text)
            self.write(f"{NET}/netlink/mod.rs", glue("netlink_mod.rs"))

    def net(self, files, before, later):
        """Adds files of net/. The tree has the files `before` already; later patches add the files `later`."""
        translation = Translation((CHECKOUT / "net/compat.rs").read_text(), "kernel")
        for file in files:
            if file.endswith("/mod.rs"):
                continue
            text = translation.source((CHECKOUT / "net" / file).read_text())
            if file == "pernet.rs":
                text += "\n" + without_licence(glue("module_pernet_subsystem.rs"))
            self.write(f"{NET}/{file}", text)
        there = before + files
        for folder in sorted({Path(file).parent for file in files} | {Path()}):
            ours = translation.source((CHECKOUT / "net" / folder / "mod.rs").read_text())
            present = {path.stem for file in there if (path := Path(file)).parent == folder}
            present |= {Path(file).parts[0] for file in there if folder == Path() and "/" in file}
            text = cut(ours, present)
            target = f"{NET}/{folder}/mod.rs" if folder != Path() else f"{NET}/mod.rs"
            theirs = {
                f"{NET}/mod.rs": (self.source / NET / "mod.rs").read_text(),
                f"{NET}/netlink/mod.rs": glue("netlink_mod.rs"),
            }
            if target in theirs:
                text = merged(theirs[target], text)
            # Only net/mod.rs gets the attribute that unused() adds: the attribute also applies to all modules below.
            self.write(target, unused(text) if later and folder == Path() else text)

    def sample(self):
        """Adds the module."""
        translation = Translation((CHECKOUT / "net/compat.rs").read_text(), "rust_nldemo")
        root = (CHECKOUT / "rust_nldemo.rs").read_text()
        # Removes the lines `pub mod net;` and `net::module_version!(...)`: in the tree, net/ is a part of the kernel
        # crate, and modules have no version of their own.
        root = changed(r"^pub mod net;\n", "", changed(r"^net::module_version!\(.*\);\n\n", "", root))
        self.write(f"{SAMPLES}/rust_nldemo.rs", parameters(translation.source(root)))
        for file in sorted((CHECKOUT / "nldemo").rglob("*.rs")):
            path = file.relative_to(CHECKOUT)
            text = file.read_text()
            self.write(f"{SAMPLES}/{path}", translation.source(numbers(text) if path.name == "uapi.rs" else text))
        self.insert(f"{SAMPLES}/Kconfig", without_licence(glue("Kconfig")), r"^config SAMPLE_RUST_HOSTPROGS$")
        self.insert(f"{SAMPLES}/Makefile", "obj-$(CONFIG_SAMPLE_RUST_NLDEMO)		+= rust_nldemo.o\n", r"^\nrust_print-y")


def numbers(text):
    """Replaces bindgen's items by constants with the numbers and C names of uapi/nldemo.h."""
    header = (CHECKOUT / "uapi/nldemo.h").read_text()
    # The expression finds macros, and members of enums.
    found = re.findall(r"^(?:#define |\t)(NLDEMO_\w+)\s+(?:= )?(.*?),?(?:\s*/\*.*)?$", header, re.M)
    constants = "".join(f"pub(crate) const {name}: u32 = {int(value, 0)};\n" for name, value in found)
    text = changed(r", generated from `bindings_helper.h`, [^.]*(?=`uapi)", " in ", text)
    # Removes the names of lints, and the constants, that only bindgen's items need.
    text = changed(r"^    (?:non_camel_case_types|non_upper_case_globals|unreachable_pub),?\n", "", text)
    text = changed(r"\n*^pub\(crate\) const (\w+): u32 = \w+_\1;\n", "\n", text)
    return changed(r"^include!\(.*\);\n", constants, text)


def parameters(text):
    """Replaces the parameters of `module_parameters!` by parameters of `module!`."""
    declared = re.search(r"^///[^\n]*\nmod parameters \{\n.*?\n\}\n\n", text, re.M | re.S)
    listed = "".join(
        f'        {name}: {kind} {{\n            default: {default},\n            description: "{description}",\n        }},\n'
        for description, name, kind, default in re.findall(r"/// (.*)\n\s+(\w+): (\w+) = (.*),\n", declared[0])
    )
    text = changed(r'^    license: "GPL",\n', rf'\g<0>    params: {{\n{listed}    }},\n', text.replace(declared[0], ""))
    return changed(r"(?<!_)parameters::(\w+)\.value\(\)", r"module_parameters::\1.value()", text)


def main():
    series = tomllib.loads((HERE / "series.toml").read_text())
    match sys.argv[1:]:
        case ["cover"]:
            print(series["cover"].strip())
        case ["count"]:
            print(len(series["patch"]))
        case ["apply", number, source, tree]:
            number = int(number)
            files = [patch.get("net", []) for patch in series["patch"]]
            before, later = sum(files[:number], []), sum(files[number + 1 :], [])
            Patch(Path(source), Path(tree)).apply(series["patch"][number], before, later)
            print(series["patch"][number]["message"].strip())
        case _:
            sys.exit(__doc__)


main()
