// SPDX-License-Identifier: GPL-2.0
/* Packets from one socket to another. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "pair.h"

static void prepare(void *context, unsigned int n)
{
	struct pair *pair = context;

	pair->seed += n;
	for (unsigned int i = 0; i < n; i++)
		pair->make(pair->sent + i * pair->sent_size, pair->sent_size, pair->seed + i);
	memset(pair->received, 0, n * pair->received_size);
}

static void once(void *context, unsigned int n)
{
	struct pair *pair = context;
	uint8_t *received = pair->received + n * pair->received_size;
	size_t len = 0;

	if (send(pair->from, pair->sent + n * pair->sent_size, pair->sent_size, 0) < 0)
		die("send");
	if (pair->between)
		pair->between();
	/* A stream may come in pieces. */
	while (len < pair->received_size) {
		ssize_t more = recv(pair->to, received + len, pair->received_size - len, 0);

		if (more <= 0)
			die("recv");
		len += (size_t)more;
	}
	if (pair->after)
		pair->after();
}

static bool right(void *context, unsigned int n)
{
	struct pair *pair = context;
	size_t len = pair->sent_size - pair->sent_start;

	for (unsigned int i = 0; i < n; i++)
		if (memcmp(pair->sent + i * pair->sent_size + pair->sent_start,
			   pair->received + i * pair->received_size + pair->received_start, len))
			return false;
	return true;
}

void measure_pair(struct pair *pair, unsigned int rounds, unsigned int times)
{
	struct work work = {
		.once = once, .right = right, .prepare = prepare, .context = pair,
	};

	if (!pair->make)
		pair->make = fill;
	pair->received_size = pair->received_start + pair->sent_size - pair->sent_start;
	pair->sent = allocate(times * pair->sent_size);
	pair->received = allocate(times * pair->received_size);
	measure(&work, rounds, times);
}
