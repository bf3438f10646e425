# SPDX-License-Identifier: GPL-2.0
"""Changes Rust sources of this repository into those of the kernel tree.

The sources of this repository are written as the tree needs them, with these exceptions:

- In this repository, a module imports `net/` as `crate::net`; in the tree, as `kernel::net`.
- The tree has all C items in one crate, and supports no older kernels. So it needs neither net/bindings.rs nor
  net/compat.rs: the items that these files re-export are imported from their place in the tree.
- The tree always builds the tests of net/. This repository builds them only with `net_kunit`.
- The tree runs the examples of the documentation as tests, so the examples import `kernel::net`.
- The type of a module must belong to the module's own crate. In this repository, this type is `pernet::Module`. In
  the tree, `pernet::Module` belongs to the kernel crate, so `module_pernet_subsystem!` makes a type in the module's
  crate.
- In the tree, `module!` declares a module's parameters. In the tree, bindgen does not read a module's own C
  header.
"""

import re

# An import, without its attributes.
IMPORT = re.compile(r"^(?P<indent> *)(?P<visibility>pub(?:\([a-z]+\))? )?use (?P<tree>[^;]+);\n", re.M)
# Imports that follow each other. An import with an attribute or a visibility is not part of such a group.
IMPORTS = re.compile(r"(?<!\]\n)(?:^(?P<indent> *)use [^;]+;\n(?:\n(?=(?P=indent)use ))?)+", re.M)
MODULE = re.compile(r"^(?P<attributes>(?:#\[[^\n]*\n)*)(?:pub )?mod (?P<name>[a-z_]+);\n", re.M)
# The targets of links in documentation: [`this`], or [text](this).
LINK = re.compile(r"(?:\[`|\]\()[^`)]*")
EXAMPLE = re.compile(r"^(?P<comment> *//[/!]) ```\n(?:(?P=comment)(?! ```)[^\n]*\n)*(?P=comment) ```\n", re.M)


def leaves(tree):
    """The paths that a `use` imports. `tree` is the text between `use` and the semicolon."""
    tree = re.sub(r"//[^\n]*", "", tree).strip()
    if not tree.endswith("}"):
        return [tree]
    prefix, inner = tree[:-1].split("{", 1)
    parts, depth = [""], 0
    for character in inner:
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [prefix.strip() + leaf for part in parts if part.strip() for leaf in leaves(part)]


def place(name):
    """The key by which imported names are sorted, in the order of rustfmt: modules and functions, types, constants."""
    return (name != "self", name[:1].isupper(), name.isupper(), name)


def import_tree(paths, indent=""):
    """The text of a `use` that imports these paths, in the vertical form of the kernel's coding guidelines."""
    children = {}
    for path in sorted(paths, key=lambda path: place(path.partition("::")[0])):
        head, _, rest = path.partition("::")
        children.setdefault(head, []).append(rest or "self")
    inner = indent + "    "
    items = [
        head if rests == ["self"] else f"{head}::{import_tree(rests, inner if len(children) > 1 else indent)}"
        for head, rests in children.items()
    ]
    if len(items) == 1:
        return items[0]
    return "{\n" + ",\n".join(inner + item for item in items) + f", //\n{indent}}}"


def newest(compat):
    """The items that net/compat.rs re-exports for the newest kernel, as {name: path in the tree}."""
    paths = [leaf for found in IMPORT.finditer(compat.split("#[cfg(before_7_3)]")[0]) for leaf in leaves(found["tree"])]
    return {path.rpartition("::")[2]: path for path in paths}


class Translation:
    """Translates sources for a crate of the tree."""

    def __init__(self, compat, crate):
        self.compat = newest(compat)
        self.crate = crate # "kernel", or the name of a module

    def path(self, path):
        """The path that an imported item has in the tree. `path` is its path in this repository."""
        root, _, below = path.partition("::")
        if root == "crate" and below.startswith("net::"):
            root, below = "net", below.removeprefix("net::")
        if root == "net" or root == "super" and self.crate == "kernel":
            place, _, name = below.partition("::")
            if place == "compat":
                path = self.compat[name]
            elif place == "bindings":
                path = f"kernel::{below}"
            elif root == "net":
                path = f"kernel::net::{below}"
        return path if self.crate != "kernel" else re.sub(r"^kernel::", "crate::", path)

    def imports(self, found):
        """The imports in the match `found`, with the paths of the tree, grouped by crate."""
        indent = found["indent"]
        groups = {}
        for one in IMPORT.finditer(found[0]):
            for leaf in leaves(one["tree"]):
                path = self.path(leaf)
                paths = groups.setdefault(path.partition("::")[0], [])
                if path not in paths:
                    paths.append(path)
        return "\n".join(f"{indent}use {import_tree(paths, indent)};\n" for paths in groups.values())

    def example(self, found):
        text = re.sub(r"^( *//[/!] (?:# )?)use net::", r"\1use kernel::net::", found[0], flags=re.M)
        text = re.sub(r"^ *//[/!] # mod net;\n", "", text, flags=re.M)
        # Rustdoc puts an example into a function, where `module!` does not work. So rustdoc must ignore examples of
        # modules.
        return text.replace("```\n", "```ignore\n", 1) if "subsystem! {" in text else text

    def source(self, text):
        text = IMPORTS.sub(self.imports, text)
        text = re.sub(r"all\(net_kunit, ([^()]*)\)", r"\1", text.replace("#[cfg(net_kunit)]\n", ""))
        text = re.sub(r"(?<!kernel::)\bmodule! \{(\n.* type: )pernet::Module<(\w+)>", r"kernel::module_pernet_subsystem! {\1\2", text)
        text = text.replace("type Module = pernet::Module<Self>;", "type Module = crate::LocalModule;")
        text = EXAMPLE.sub(self.example, text)
        return text if self.crate == "kernel" else text.replace("crate::net", "kernel::net").replace("[`net`]", "[`kernel::net`]")


def blocks(docs):
    """The paragraphs, list items, headings and examples in the documentation of a file."""
    found, fenced, blank = [], False, True
    for line in docs.splitlines(keepends=True):
        if line.startswith("//! ```"):
            fenced = not fenced
        if blank or (not fenced and line.startswith("//! - ")):
            found.append("")
        found[-1] += line
        blank = line == "//!\n" and not fenced
    return found


def cut(text, present):
    """A version of a mod.rs for a tree that has only the modules `present`: without code for other modules, and
    without links to other modules."""
    missing = {found["name"] for found in MODULE.finditer(text)} - set(present)

    def exports(found):
        paths = leaves(found["tree"])
        kept = [path for path in paths if path.split("::")[1] not in missing]
        dropped.update(path.rpartition("::")[2] for path in paths if path not in kept)
        return f"{found['indent']}{found['visibility']}use {import_tree(kept)};\n" if kept else ""

    dropped = set(missing)
    head, docs, code = re.match(r"(//[^!][^\n]*\n\n)((?://![^\n]*\n)*)(.*)", text, re.S).groups()
    code = MODULE.sub(lambda found: "" if found["name"] in missing else found[0], code)
    code = re.sub(r"^(?:#\[[^\n]*\n)*(pub[^\n]* use [^;]+;\n)", lambda found: IMPORT.sub(exports, found[1]), code, flags=re.M)
    kept = []
    for block in blocks(docs):
        linked = [block] if "//! ```" in block else LINK.findall(block)
        names = re.findall(r"\w+", " ".join(linked))
        if not dropped & set(names):
            kept.append(block)
        elif kept and kept[-1].startswith("//! # "):
            kept.pop()
        elif kept and block.endswith("//!\n") and not kept[-1].endswith("//!\n"):
            kept[-1] += "//!\n"
    return head + "".join(kept).removesuffix("//!\n") + code


def unused(text):
    """A mod.rs with an attribute that allows unused items, because only later patches use or export some items."""
    return re.sub(r"\A(//[^!][^\n]*\n\n(?://![^\n]*\n)*)", r"\1\n#![allow(dead_code, unreachable_pub)] // Until all users are there.\n", text)


def merged(tree, ours):
    """The tree's mod.rs, with the documentation and the modules of this repository's mod.rs."""
    head, docs, code = re.match(r"(//[^!][^\n]*\n\n)((?://![^\n]*\n)*)(.*)", ours, re.S).groups()
    theirs = re.sub(r"\A//[^!][^\n]*\n\n(?://![^\n]*\n)*\n*", "", tree)
    known = {found["name"] for found in MODULE.finditer(theirs)}
    code = MODULE.sub(lambda found: "" if found["name"] in known else found[0], code)
    # Attributes of the whole crate are left out, because in the tree net/ is a part of the kernel crate.
    code = re.sub(r"^(?://[^\n]*\n)*#!\[[^\n]*\n", "", code, flags=re.M)
    return f"{head}{docs}\n{theirs}\n{code.strip()}\n"
