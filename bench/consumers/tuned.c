// SPDX-License-Identifier: GPL-2.0
/*
 * An NFQUEUE consumer without a library that accepts every packet with as few system calls as
 * possible: one call receives up to 64 waiting packets, and one call sends the verdict for all
 * of them. The consumer reads only the id of each packet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

#define BATCH 64
/* Room for a packet and its attributes. The measured packets fit; longer packets would not. */
#define ROOM 4096
#define QUEUE_MESSAGE(type) (NFNL_SUBSYS_QUEUE << 8 | (type))

struct configuration {
	struct nlmsghdr header;
	struct nfgenmsg generic;
	struct nlattr command_head;
	struct nfqnl_msg_config_cmd command;
	struct nlattr params_head;
	struct nfqnl_msg_config_params params;
	char padding[3];
} __attribute__((packed));

struct verdict {
	struct nlmsghdr header;
	struct nfgenmsg generic;
	struct nlattr verdict_head;
	struct nfqnl_msg_verdict_hdr verdict;
};

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static int bind_queue(uint16_t queue)
{
	struct configuration configuration = {
		.header = { sizeof(configuration), QUEUE_MESSAGE(NFQNL_MSG_CONFIG),
			    NLM_F_REQUEST | NLM_F_ACK, 1, 0 },
		.generic = { AF_UNSPEC, NFNETLINK_V0, htons(queue) },
		.command_head = { NLA_HDRLEN + sizeof(configuration.command), NFQA_CFG_CMD },
		.command = { .command = NFQNL_CFG_CMD_BIND },
		.params_head = { NLA_HDRLEN + sizeof(configuration.params), NFQA_CFG_PARAMS },
		.params = { htonl(0xffff), NFQNL_COPY_PACKET },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0)
		die("socket");
	/* A connected netlink socket receives only from its peer, which is the kernel here. */
	if (connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)))
		die("connect");
	if (send(fd, &configuration, sizeof(configuration), 0) < 0)
		die("send");
	if (recv(fd, &answer, sizeof(answer), 0) < 0)
		die("recv");
	errno = -answer.error.error;
	if (errno)
		die("bind queue");
	return fd;
}

/* In the message of a packet, the kernel puts the attribute with the packet's id first. */
static uint32_t packet_id(const char *message)
{
	const struct nlmsghdr *header = (const void *)message;
	const struct nlattr *head = (const void *)(message + NLMSG_LENGTH(sizeof(struct nfgenmsg)));

	if (header->nlmsg_type != QUEUE_MESSAGE(NFQNL_MSG_PACKET) || head->nla_type != NFQA_PACKET_HDR) {
		fprintf(stderr, "not a packet\n");
		exit(2);
	}
	return ((const struct nfqnl_msg_packet_hdr *)(head + 1))->packet_id;
}

int main(int argc, char **argv)
{
	static char buffers[BATCH][ROOM];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec vectors[BATCH];
	struct verdict verdict = {
		.header = { sizeof(verdict), 0, NLM_F_REQUEST, 0, 0 },
		.verdict_head = { NLA_HDRLEN + sizeof(verdict.verdict), NFQA_VERDICT_HDR },
		.verdict = { htonl(NF_ACCEPT), 0 },
	};
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: %s QUEUE\n", argv[0]);
		return 2;
	}
	verdict.generic = (struct nfgenmsg) { AF_UNSPEC, NFNETLINK_V0, htons((uint16_t)atoi(argv[1])) };
	fd = bind_queue((uint16_t)atoi(argv[1]));
	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec) { buffers[i], ROOM };
		messages[i].msg_hdr = (struct msghdr) { .msg_iov = &vectors[i], .msg_iovlen = 1 };
	}
	for (;;) {
		int n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);

		if (n < 0) {
			if (errno != ENOBUFS && errno != EINTR)
				die("recvmmsg");
			continue;
		}
		for (int i = 0; i < n; i++)
			verdict.verdict.id = packet_id(buffers[i]);
		/* A batch verdict decides all packets up to this id. */
		verdict.header.nlmsg_type =
			QUEUE_MESSAGE(n > 1 ? NFQNL_MSG_VERDICT_BATCH : NFQNL_MSG_VERDICT);
		if (send(fd, &verdict, sizeof(verdict), 0) < 0)
			die("send");
	}
}
