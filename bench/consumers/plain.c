// SPDX-License-Identifier: GPL-2.0
/*
 * An NFQUEUE consumer on libnetfilter_queue, written like the example in the library's
 * documentation. The consumer accepts every packet, and sends one verdict for each packet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include <linux/netfilter.h>

#include "library.h"

static int accept_packet(struct nfq_q_handle *queue, struct nfgenmsg *message,
			 struct nfq_data *packet, void *data)
{
	struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(packet);

	(void)message;
	(void)data;
	if (!header)
		return -1;
	return nfq_set_verdict(queue, ntohl(header->packet_id), NF_ACCEPT, 0, NULL);
}

int main(int argc, char **argv)
{
	static char buffer[128 * 1024];
	struct nfq_handle *handle;
	struct nfq_q_handle *queue;

	handle = open_queue(argc, argv, accept_packet, NULL, &queue);
	for (;;) {
		ssize_t len = recv(nfq_fd(handle), buffer, sizeof(buffer), 0);

		if (len >= 0)
			nfq_handle_packet(handle, buffer, (int)len);
		else if (errno != ENOBUFS && errno != EINTR)
			die("recv");
	}
}
