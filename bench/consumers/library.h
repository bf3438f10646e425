/* SPDX-License-Identifier: GPL-2.0 */
/* Code that the consumers on libnetfilter_queue share. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <libnetfilter_queue/libnetfilter_queue.h>

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/*
 * Opens the queue whose number is the program's only command-line argument. The kernel copies whole
 * packets to the program.
 */
static struct nfq_handle *open_queue(int argc, char **argv, nfq_callback *callback, void *data,
				     struct nfq_q_handle **queue)
{
	struct nfq_handle *handle;

	if (argc != 2) {
		fprintf(stderr, "usage: %s QUEUE\n", argv[0]);
		exit(2);
	}
	handle = nfq_open();
	if (!handle)
		die("nfq_open");
	*queue = nfq_create_queue(handle, (uint16_t)atoi(argv[1]), callback, data);
	if (!*queue)
		die("nfq_create_queue");
	if (nfq_set_mode(*queue, NFQNL_COPY_PACKET, 0xffff) < 0)
		die("nfq_set_mode");
	return handle;
}
