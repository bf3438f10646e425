/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COUNTER_H
#define _COUNTER_H

#define COUNTER_FAMILY_NAME	"counter"
#define COUNTER_FAMILY_VERSION	1

enum {
	COUNTER_CMD_GET = 1,
	COUNTER_CMD_ADD,
	COUNTER_CMD_ADD_NTF,
};

enum {
	COUNTER_A_NUMBER = 1,
	COUNTER_A_VALUE,
	COUNTER_A_BY,
};

#define COUNTER_MCGRP_CHANGES	"changes"

#endif
