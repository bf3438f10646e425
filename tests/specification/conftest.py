# SPDX-License-Identifier: GPL-2.0

"""Lets the tests of this folder import the code that they share with the tests in guests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest" / "support"))
