// SPDX-License-Identifier: GPL-2.0
/*
 * The twin without the call for tracing (__fentry__) and without stack protectors. The kernel's
 * compiler flags add both to C functions. rustc adds neither of them to the module's functions.
 */
#include "nldemo_twin.c"
