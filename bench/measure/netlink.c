// SPDX-License-Identifier: GPL-2.0
/* Round trips to a netlink kernel socket. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>

#include "measure.h"
#include "nldemo.h"

#define SOCKET_BUFFER (8 << 20)

/* The kind and number of messages that a client sends. */
struct trip {
	uint16_t type, flags;
	size_t size;		/* of the payload */
	unsigned int batch;	/* messages sent at once */
	unsigned int sockets;	/* they take turns */
};

/* Each message of a round, and each answer, has its own buffer. */
struct client {
	struct trip trip;
	struct repetition often;
	int *sockets;
	size_t message_room, answer_room;
	uint8_t *messages, *answers;
	ssize_t *lengths;	/* results of recv() */
	uint32_t seq;		/* number of the round's first message */
	double *took;
	pthread_t thread;
};

static int open_socket(void)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	const struct sockaddr *address = (const struct sockaddr *)&any;
	int fd = socket(AF_NETLINK, SOCK_RAW, NLDEMO_PROTOCOL_DEFAULT);
	int size = SOCKET_BUFFER;

	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		die("SO_RCVBUFFORCE");
	if (bind(fd, address, sizeof(any)) || connect(fd, address, sizeof(any)))
		die("connect");
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

static int socket_of(const struct client *client, unsigned int n)
{
	return client->sockets[n % client->trip.sockets];
}

static struct nlmsghdr *message(const struct client *client, unsigned int i)
{
	return (void *)(client->messages + i * client->message_room);
}

static struct nlmsghdr *answer(const struct client *client, unsigned int i)
{
	return (void *)(client->answers + i * client->answer_room);
}

static void prepare(void *context, unsigned int n)
{
	struct client *client = context;

	client->seq += n * client->trip.batch;
	for (unsigned int i = 0; i < n * client->trip.batch; i++) {
		*message(client, i) = (struct nlmsghdr) {
			.nlmsg_len = NLMSG_LENGTH(client->trip.size),
			.nlmsg_type = client->trip.type,
			.nlmsg_flags = client->trip.flags,
			.nlmsg_seq = client->seq + i,
		};
		fill(NLMSG_DATA(message(client, i)), client->trip.size, client->seq + i);
		memset(answer(client, i), 0, client->answer_room);
	}
}

static void once(void *context, unsigned int n)
{
	struct client *client = context;
	unsigned int first = n * client->trip.batch;
	int fd = socket_of(client, n);

	if (send(fd, message(client, first), client->trip.batch * client->message_room, 0) < 0)
		die("send");
	for (unsigned int i = first; i < first + client->trip.batch; i++)
		client->lengths[i] = recv(fd, answer(client, i), client->answer_room, MSG_DONTWAIT);
}

static bool is_right(const struct client *client, unsigned int i, uint32_t to)
{
	const struct nlmsghdr *header = answer(client, i);
	uint32_t seq = client->seq + i;

	if (client->lengths[i] < (ssize_t)sizeof(*header) ||
	    header->nlmsg_len > client->lengths[i] ||
	    header->nlmsg_seq != seq || header->nlmsg_pid != to)
		return false;
	switch (client->trip.type) {
	case NLDEMO_MSG_ECHO:
		return header->nlmsg_type == NLDEMO_MSG_ECHO &&
		       header->nlmsg_len == NLMSG_LENGTH(client->trip.size) &&
		       is_filled(NLMSG_DATA(header), client->trip.size, seq);
	case NLDEMO_MSG_CONFIG_GET:
		return header->nlmsg_type == NLDEMO_MSG_CONFIG;
	default:
		return header->nlmsg_type == NLMSG_ERROR &&
		       ((const struct nlmsgerr *)NLMSG_DATA(header))->error == 0;
	}
}

static bool right(void *context, unsigned int n)
{
	const struct client *client = context;

	for (unsigned int time = 0; time < n; time++) {
		unsigned int first = time * client->trip.batch;
		uint32_t to = portid(socket_of(client, time));

		for (unsigned int i = first; i < first + client->trip.batch; i++)
			if (!is_right(client, i, to))
				return false;
	}
	return true;
}

static void *run(void *context)
{
	struct client *client = context;
	const struct trip *trip = &client->trip;
	unsigned int messages = client->often.times * trip->batch;
	struct work work = {
		.prepare = prepare, .once = once, .right = right, .context = client,
	};

	client->message_room = NLMSG_SPACE(trip->size);
	/* Only the answer to an echo request can be long. */
	client->answer_room = NLMSG_SPACE(trip->type == NLDEMO_MSG_ECHO ? trip->size : 512);
	client->messages = allocate(messages, client->message_room);
	client->answers = allocate(messages, client->answer_room);
	client->lengths = allocate(messages, sizeof(*client->lengths));
	client->sockets = allocate(trip->sockets, sizeof(*client->sockets));
	for (unsigned int i = 0; i < trip->sockets; i++)
		client->sockets[i] = open_socket();
	client->took = measure(&work, client->often);
	return NULL;
}

static void measure_trips(struct trip trip, struct repetition often, unsigned int threads)
{
	struct client *clients = allocate(threads, sizeof(*clients));
	double *took = allocate(threads * often.rounds, sizeof(*took));

	for (unsigned int i = 0; i < threads; i++)
		clients[i] = (struct client) { .trip = trip, .often = often };
	/*
	 * Client 0 runs in this thread. So with one client the process has only one thread, and
	 * in a system call the kernel finds the socket's file without counting a reference to it.
	 */
	for (unsigned int i = 1; i < threads; i++) {
		errno = pthread_create(&clients[i].thread, NULL, run, &clients[i]);
		if (errno)
			die("pthread_create");
	}
	run(&clients[0]);
	for (unsigned int i = 0; i < threads; i++) {
		if (i)
			pthread_join(clients[i].thread, NULL);
		memcpy(took + i * often.rounds, clients[i].took, often.rounds * sizeof(*took));
	}
	print(took, threads * often.rounds);
}

/*
 * ROUNDS TIMES: measures messages of the type NLMSG_NOOP with NLM_F_ACK. No other message that
 * netlink answers costs less, so this cost is the floor of a round trip.
 */
void measure_floor(char **arguments)
{
	struct trip trip = {
		.type = NLMSG_NOOP, .flags = NLM_F_REQUEST | NLM_F_ACK, .batch = 1, .sockets = 1,
	};

	measure_trips(trip, repetition(arguments), 1);
}

/* ROUNDS TIMES SIZE BATCH SOCKETS THREADS: measures echo requests. */
void measure_echo(char **arguments)
{
	struct repetition often = repetition(arguments);
	struct trip trip = { .type = NLDEMO_MSG_ECHO, .flags = NLM_F_REQUEST };

	trip.size = number("SIZE", arguments[2], 0, 1 << 20);
	trip.batch = number("BATCH", arguments[3], 1, 1000);
	trip.sockets = number("SOCKETS", arguments[4], 1, 100000);
	measure_trips(trip, often, number("THREADS", arguments[5], 1, 1000));
}

/* ROUNDS TIMES: measures requests for the configuration. */
void measure_config(char **arguments)
{
	struct trip trip = {
		.type = NLDEMO_MSG_CONFIG_GET, .flags = NLM_F_REQUEST, .batch = 1, .sockets = 1,
	};

	measure_trips(trip, repetition(arguments), 1);
}
