// SPDX-License-Identifier: GPL-2.0
/* Round trips to a netlink kernel socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>

#include "measure.h"
#include "nldemo.h"

#define SO_BUFFERS (8 << 20)

/* Every time has messages and answers of its own. */
struct echo {
	int *sockets;
	unsigned int socket_count;
	uint16_t type, flags;	/* of what is sent */
	size_t size;		/* of a payload */
	unsigned int batch;	/* messages sent at once */
	size_t message_room, answer_room;
	uint8_t *sent, *received;
	ssize_t *lengths;	/* of what was received */
	uint32_t seq;		/* of the round's first message */
};

static int open_socket(int protocol)
{
	struct sockaddr_nl local = { .nl_family = AF_NETLINK };
	struct sockaddr_nl kernel = local;
	int buffers = SO_BUFFERS;
	int fd = socket(AF_NETLINK, SOCK_RAW, protocol);

	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffers, sizeof(buffers)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffers, sizeof(buffers)))
		die("SO_SNDBUFFORCE");
	if (bind(fd, (struct sockaddr *)&local, sizeof(local)) ||
	    connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)))
		die("bind");
	return fd;
}

static uint32_t portid(int fd)
{
	struct sockaddr_nl address;
	socklen_t len = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &len))
		die("getsockname");
	return address.nl_pid;
}

static int socket_of(const struct echo *echo, unsigned int n)
{
	return echo->sockets[n % echo->socket_count];
}

static void prepare(void *context, unsigned int n)
{
	struct echo *echo = context;

	echo->seq += n * echo->batch;
	for (unsigned int i = 0; i < n * echo->batch; i++) {
		struct nlmsghdr *message = (void *)(echo->sent + i * echo->message_room);

		*message = (struct nlmsghdr) {
			.nlmsg_len = NLMSG_LENGTH(echo->size),
			.nlmsg_type = echo->type,
			.nlmsg_flags = echo->flags,
			.nlmsg_seq = echo->seq + i,
		};
		fill(NLMSG_DATA(message), echo->size, message->nlmsg_seq);
		memset(echo->received + i * echo->answer_room, 0, sizeof(struct nlmsghdr));
	}
}

static void once(void *context, unsigned int n)
{
	struct echo *echo = context;
	int fd = socket_of(echo, n);
	unsigned int first = n * echo->batch;

	if (send(fd, echo->sent + first * echo->message_room,
		 echo->batch * echo->message_room, 0) < 0)
		die("send");
	for (unsigned int i = first; i < first + echo->batch; i++)
		echo->lengths[i] = recv(fd, echo->received + i * echo->answer_room,
					echo->answer_room, MSG_DONTWAIT);
}

static bool is_answer(const struct echo *echo, unsigned int i, uint32_t to)
{
	const struct nlmsghdr *answer = (void *)(echo->received + i * echo->answer_room);
	uint32_t seq = echo->seq + i;

	if (echo->lengths[i] < (ssize_t)sizeof(*answer) ||
	    answer->nlmsg_seq != seq || answer->nlmsg_pid != to)
		return false;
	if (echo->type != NLDEMO_MSG_ECHO) {
		const struct nlmsgerr *ack = NLMSG_DATA(answer);

		return answer->nlmsg_type == NLMSG_ERROR && ack->error == 0;
	}
	return answer->nlmsg_type == NLDEMO_MSG_ECHO &&
	       answer->nlmsg_len == NLMSG_LENGTH(echo->size) &&
	       echo->lengths[i] == (ssize_t)echo->message_room &&
	       is_filled(NLMSG_DATA(answer), echo->size, seq);
}

static bool right(void *context, unsigned int n)
{
	struct echo *echo = context;

	for (unsigned int time = 0; time < n; time++) {
		uint32_t to = portid(socket_of(echo, time));

		for (unsigned int i = time * echo->batch; i < (time + 1) * echo->batch; i++)
			if (!is_answer(echo, i, to))
				return false;
	}
	return true;
}

static void round_trips(struct echo *echo, unsigned int rounds, unsigned int times)
{
	unsigned int messages = times * echo->batch;
	struct work work = {
		.once = once, .right = right, .prepare = prepare, .context = echo,
	};

	echo->message_room = NLMSG_SPACE(echo->size);
	/* Without a payload, an acknowledgement is the larger one. */
	echo->answer_room = NLMSG_SPACE(echo->size + sizeof(struct nlmsgerr));
	echo->sent = allocate(messages * echo->message_room);
	echo->received = allocate(messages * echo->answer_room);
	echo->lengths = allocate(messages * sizeof(*echo->lengths));
	echo->sockets = allocate(echo->socket_count * sizeof(*echo->sockets));
	for (unsigned int i = 0; i < echo->socket_count; i++)
		echo->sockets[i] = open_socket(NLDEMO_PROTOCOL_DEFAULT);
	measure(&work, rounds, times);
}

/* ROUNDS TIMES SIZE BATCH SOCKETS: echo requests. */
void measure_echo(char **arguments)
{
	unsigned int rounds = number("ROUNDS", arguments[0], 1, 1000000);
	unsigned int times = number("TIMES", arguments[1], 1, 1000000);
	struct echo echo = {
		.type = NLDEMO_MSG_ECHO,
		.flags = NLM_F_REQUEST,
		.size = number("SIZE", arguments[2], 0, 1 << 20),
		.batch = number("BATCH", arguments[3], 1, 1000),
		.socket_count = number("SOCKETS", arguments[4], 1, 100000),
	};

	round_trips(&echo, rounds, times);
}

/* ROUNDS TIMES: the least that netlink answers, an acknowledgement of nothing. */
void measure_floor(char **arguments)
{
	unsigned int rounds = number("ROUNDS", arguments[0], 1, 1000000);
	unsigned int times = number("TIMES", arguments[1], 1, 1000000);
	struct echo echo = {
		.type = NLMSG_NOOP,
		.flags = NLM_F_REQUEST | NLM_F_ACK,
		.batch = 1,
		.socket_count = 1,
	};

	round_trips(&echo, rounds, times);
}
