/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C headers of which this module, beside what net/ binds for itself, uses items. Kbuild says
 * which items.
 */
#include "uapi/nldemo.h"
