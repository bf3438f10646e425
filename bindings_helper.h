/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C headers whose items this module uses. Kbuild lists the items. net/ has such a header of
 * its own for the items that the library uses.
 */
#include "uapi/nldemo.h"
