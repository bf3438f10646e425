// SPDX-License-Identifier: GPL-2.0
/*
 * An NFQUEUE consumer on libnetfilter_queue that accepts every packet. The consumer receives
 * packets until no packet waits in the queue, or until it has at least 64 packets. Then it sends
 * one batch verdict for all these packets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>

#include <linux/netfilter.h>

#include "library.h"

#define BATCH 64

/* The packets that were received and have no verdict yet. */
struct pending {
	uint32_t last_id;
	unsigned int count;
};

static int note_packet(struct nfq_q_handle *queue, struct nfgenmsg *message,
		       struct nfq_data *packet, void *data)
{
	struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(packet);
	struct pending *pending = data;

	(void)queue;
	(void)message;
	if (!header)
		return -1;
	pending->last_id = ntohl(header->packet_id);
	pending->count++;
	return 0;
}

int main(int argc, char **argv)
{
	static char buffer[128 * 1024];
	struct pending pending = { 0 };
	struct nfq_q_handle *queue;
	struct nfq_handle *handle;

	handle = open_queue(argc, argv, note_packet, &pending, &queue);
	for (;;) {
		ssize_t len = recv(nfq_fd(handle), buffer, sizeof(buffer),
				   pending.count ? MSG_DONTWAIT : 0);

		if (len >= 0)
			nfq_handle_packet(handle, buffer, (int)len);
		else if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
			die("recv");
		if (pending.count >= BATCH || (pending.count && len < 0)) {
			if (nfq_set_verdict_batch(queue, pending.last_id, NF_ACCEPT) < 0)
				die("nfq_set_verdict_batch");
			pending.count = 0;
		}
	}
}
