// SPDX-License-Identifier: GPL-2.0
/*
 * The twin once more. Kbuild compiles it without what the kernel's own compiler flags add to functions
 * of C, and rustc adds to none of the module: the call for tracing (__fentry__) and stack protectors.
 */
#include "nldemo_twin.c"
