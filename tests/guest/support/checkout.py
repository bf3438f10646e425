# SPDX-License-Identifier: GPL-2.0

"""Where the checkout is."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
