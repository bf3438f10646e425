/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C headers whose items this module uses. The file Kbuild lists the items. The library in net/
 * has a bindings_helper.h of its own.
 */
#include "uapi/nldemo.h"
