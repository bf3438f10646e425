# SPDX-License-Identifier: GPL-2.0

"""The path of the checkout."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
