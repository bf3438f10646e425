/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _RATE_LIMIT_H
#define _RATE_LIMIT_H

/* Types of messages. */
enum {
	RATE_LIMIT_MSG_GET = 16,
	RATE_LIMIT_MSG_COUNTS,
};

/* The attributes of RATE_LIMIT_MSG_COUNTS. Their values are unsigned integers of 4 or 8 bytes. */
enum {
	RATE_LIMIT_A_PASSED = 1,
	RATE_LIMIT_A_DROPPED,
};

#endif
