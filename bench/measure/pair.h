/* SPDX-License-Identifier: GPL-2.0 */
/* Packets that go from one socket to another, and must arrive as they were sent. */
#ifndef PAIR_H
#define PAIR_H

#include "measure.h"

struct pair {
	int from, to;
	/* What is sent, from sent_start on, is what is received from received_start on. */
	size_t sent_size, sent_start, received_size, received_start;
	/* Writes the packet of that number; fill() unless it is set. */
	void (*make)(uint8_t *packet, size_t size, uint32_t seed);
	/* What happens between sending and receiving, and behind both; may be NULL. */
	void (*between)(void), (*after)(void);
	uint8_t *sent, *received;
	uint32_t seed;
};

/* Measures and prints what sending a packet and receiving it takes. */
void measure_pair(struct pair *pair, struct repetition often);

#endif
