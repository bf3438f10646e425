// SPDX-License-Identifier: GPL-2.0
/* UDP and TCP, which no hook queues. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"

/* Makes a socket in the network namespace at path, or in this one if that is "-". */
static int socket_in(const char *path, int type)
{
	int home = -1, away = -1, fd;

	if (strcmp(path, "-")) {
		home = open("/proc/self/ns/net", O_RDONLY);
		away = open(path, O_RDONLY);
		if (home < 0 || away < 0 || setns(away, CLONE_NEWNET))
			die(path);
	}
	fd = socket(AF_INET, type, 0);
	if (fd < 0)
		die("socket");
	if (home >= 0) {
		if (setns(home, CLONE_NEWNET))
			die("setns");
		close(away);
		close(home);
	}
	return fd;
}

/* Binds fd to a free port of the address, and says to which. */
static struct sockaddr_in bind_to(int fd, const char *address)
{
	struct sockaddr_in local = { .sin_family = AF_INET };
	socklen_t len = sizeof(local);

	errno = 0;
	if (!address || inet_pton(AF_INET, address, &local.sin_addr) != 1)
		die("ADDRESS is to be one of IPv4");
	if (bind(fd, (struct sockaddr *)&local, len) ||
	    getsockname(fd, (struct sockaddr *)&local, &len))
		die("bind");
	return local;
}

/* ROUNDS TIMES SIZE ADDRESS NETNS: datagrams to an address of another namespace. */
void measure_udp(char **arguments)
{
	unsigned int rounds = number("ROUNDS", arguments[0], 1, 1000000);
	unsigned int times = number("TIMES", arguments[1], 1, 1000000);
	struct pair pair = { .sent_size = number("SIZE", arguments[2], 1, 65507) };
	struct sockaddr_in address;

	errno = 0;
	if (!arguments[3] || !arguments[4])
		die("ADDRESS and NETNS are needed");
	pair.to = socket_in(arguments[4], SOCK_DGRAM);
	pair.from = socket_in("-", SOCK_DGRAM);
	address = bind_to(pair.to, arguments[3]);
	if (connect(pair.from, (struct sockaddr *)&address, sizeof(address)))
		die("connect");
	measure_pair(&pair, rounds, times);
}

/* What answers a segment, so that no acknowledgement goes alone or late. */
static int answering, answered;

static void answer(void)
{
	char byte = 0;

	if (send(answering, &byte, 1, 0) != 1 || recv(answered, &byte, 1, 0) != 1)
		die("answer");
}

/* ROUNDS TIMES SIZE: so much over a connection on lo, and a byte back. */
void measure_tcp(char **arguments)
{
	unsigned int rounds = number("ROUNDS", arguments[0], 1, 1000000);
	unsigned int times = number("TIMES", arguments[1], 1, 1000000);
	struct pair pair = {
		.sent_size = number("SIZE", arguments[2], 1, 1 << 20), .after = answer,
	};
	int listener = socket_in("-", SOCK_STREAM), on = 1;
	struct sockaddr_in address = bind_to(listener, "127.0.0.1");

	pair.from = socket_in("-", SOCK_STREAM);
	if (listen(listener, 1) ||
	    connect(pair.from, (struct sockaddr *)&address, sizeof(address)))
		die("connect");
	pair.to = accept(listener, NULL, NULL);
	if (pair.to < 0 ||
	    setsockopt(pair.from, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    setsockopt(pair.to, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		die("TCP_NODELAY");
	answering = pair.to;
	answered = pair.from;
	measure_pair(&pair, rounds, times);
}
