/* SPDX-License-Identifier: GPL-2.0 */
/* Packets that go from one socket to another, and must arrive unchanged. */
#ifndef PAIR_H
#define PAIR_H

#include "measure.h"

struct pair {
	int from, to;
	/* Sent bytes from sent_start on must equal received bytes from received_start on. */
	size_t sent_size, sent_start, received_size, received_start;
	/* Writes a packet that depends on the seed. If "make" is NULL, measure_pair() sets it
	 * to fill(). */
	void (*make)(uint8_t *packet, size_t size, uint32_t seed);
	/* between() is called between sending and receiving, after() after receiving. Each may
	 * be NULL. */
	void (*between)(void), (*after)(void);
	uint8_t *sent, *received;
	uint32_t seed;
};

/* Measures and prints the time to send a packet and receive it. */
void measure_pair(struct pair *pair, struct repetition often);

#endif
