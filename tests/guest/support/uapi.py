# SPDX-License-Identifier: GPL-2.0

"""The numbers of the module's protocol, read from the C header: `from uapi import NLDEMO_MSG_ECHO`."""

import re
from checkout import CHECKOUT

HEADER = CHECKOUT / "uapi" / "nldemo.h"
# This expression finds macros and the members of enumerations.
NUMBERS = {name: int(number) for name, number in re.findall(
    r"^(?:#define\s+|\t)(NLDEMO_\w+)\s+(?:= )?(\d+)", HEADER.read_text(encoding="ascii"), re.MULTILINE)}


def __getattr__(name):
    try:
        return NUMBERS[name]
    except KeyError:
        raise AttributeError(name) from None


def members(prefix):
    """The numbers whose names begin with `prefix`, as {name: number}. The name is without the prefix, and is
    spelled as in YNL: in lower case, with "-".

    The constant MAX is left out.
    """
    return {name.removeprefix(prefix).lower().replace("_", "-"): number
            for name, number in NUMBERS.items() if name.startswith(prefix) and name != f"{prefix}MAX"}
