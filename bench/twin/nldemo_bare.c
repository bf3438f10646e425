// SPDX-License-Identifier: GPL-2.0
/*
 * nldemo_twin.c without the call for tracing (__fentry__) and without stack protectors. The
 * kernel's compiler flags add the call and the protectors to C functions. rustc adds neither of
 * them to the functions of a Rust module.
 */
#include "nldemo_twin.c"
