// SPDX-License-Identifier: GPL-2.0
/* Sends packets from one socket to another. */
#include <string.h>
#include <sys/socket.h>

#include "pair.h"

static uint8_t *sent(const struct pair *pair, unsigned int i)
{
	return pair->sent + i * pair->sent_size;
}

static uint8_t *received(const struct pair *pair, unsigned int i)
{
	return pair->received + i * pair->received_size;
}

static void prepare(void *context, unsigned int n)
{
	struct pair *pair = context;

	pair->seed += n;
	for (unsigned int i = 0; i < n; i++)
		pair->make(sent(pair, i), pair->sent_size, pair->seed + i);
	memset(pair->received, 0, n * pair->received_size);
}

static void once(void *context, unsigned int n)
{
	struct pair *pair = context;
	size_t len = 0;

	if (send(pair->from, sent(pair, n), pair->sent_size, 0) < 0)
		die("send");
	if (pair->between)
		pair->between();
	/* On a stream socket, one recv() may return only a part of the data. */
	while (len < pair->received_size) {
		ssize_t more = recv(pair->to, received(pair, n) + len, pair->received_size - len, 0);

		if (more <= 0)
			die("recv");
		len += (size_t)more;
	}
	if (pair->after)
		pair->after();
}

static bool right(void *context, unsigned int n)
{
	const struct pair *pair = context;

	for (unsigned int i = 0; i < n; i++)
		if (memcmp(sent(pair, i) + pair->sent_start,
			   received(pair, i) + pair->received_start,
			   pair->sent_size - pair->sent_start))
			return false;
	return true;
}

void measure_pair(struct pair *pair, struct repetition often)
{
	struct work work = {
		.prepare = prepare, .once = once, .right = right, .context = pair,
	};

	if (!pair->make)
		pair->make = fill;
	pair->received_size = pair->received_start + pair->sent_size - pair->sent_start;
	pair->sent = allocate(often.times, pair->sent_size);
	pair->received = allocate(often.times, pair->received_size);
	print(measure(&work, often), often.rounds);
}
