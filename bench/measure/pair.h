/* SPDX-License-Identifier: GPL-2.0 */
/* Packets that go from one socket to another, and must arrive as they were sent. */
#ifndef PAIR_H
#define PAIR_H

#include "measure.h"

struct pair {
	int from, to;
	size_t sent_size, received_size;
	/* Where in what is received that begins which was sent from offset `sent_start` on. */
	size_t sent_start, received_start;
	uint8_t *sent, *received;
	uint32_t seed;
	/* Writes what is to be sent, whose number is seed; by default, only a filling. */
	void (*make)(uint8_t *packet, size_t size, uint32_t seed);
	/* What happens between sending and receiving, and afterwards; may be NULL. */
	void (*between)(void), (*after)(void);
};

/* Measures sending a packet and receiving it. */
void measure_pair(struct pair *pair, unsigned int rounds, unsigned int times);

#endif
