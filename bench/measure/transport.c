// SPDX-License-Identifier: GPL-2.0
/* The works that send UDP and TCP packets. No hook queues these packets. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"

static int open_socket(int type)
{
	int fd = socket(AF_INET, type, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

static void set(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		die("setsockopt");
}

static void enter(int netns)
{
	if (setns(netns, CLONE_NEWNET))
		die("setns");
}

static int open_netns(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		die(path);
	return fd;
}

/* Makes a socket in the network namespace at path NETNS, bound to ADDRESS and a free port. */
static int open_far(int type, char **arguments, struct sockaddr_in *address)
{
	int home = open_netns("/proc/thread-self/ns/net");
	socklen_t len = sizeof(*address);
	int fd;

	errno = 0;
	*address = (struct sockaddr_in) { .sin_family = AF_INET };
	if (!arguments[0] || inet_pton(AF_INET, arguments[0], &address->sin_addr) != 1)
		die("ADDRESS must be an IPv4 address");
	if (!arguments[1])
		die("the argument NETNS is missing");
	enter(open_netns(arguments[1]));
	fd = open_socket(type);
	if (bind(fd, (struct sockaddr *)address, len) ||
	    getsockname(fd, (struct sockaddr *)address, &len))
		die("bind");
	enter(home);
	return fd;
}

/*
 * ROUNDS TIMES SIZE SEGMENT ADDRESS NETNS: measures datagrams. If SEGMENT is not 0, a datagram
 * consists of segments of at most SEGMENT bytes, which the kernel keeps together in one packet
 * (UDP_SEGMENT and UDP_GRO).
 */
void measure_udp(char **arguments)
{
	struct repetition often = repetition(arguments);
	struct pair pair = { .sent_size = number("SIZE", arguments[2], 1, 65507) };
	int segment = (int)number("SEGMENT", arguments[3], 0, 65507);
	struct sockaddr_in address;

	pair.to = open_far(SOCK_DGRAM, arguments + 4, &address);
	pair.from = open_socket(SOCK_DGRAM);
	if (segment) {
		set(pair.from, SOL_UDP, UDP_SEGMENT, segment);
		set(pair.to, SOL_UDP, UDP_GRO, 1);
	}
	if (connect(pair.from, (struct sockaddr *)&address, sizeof(address)))
		die("connect");
	measure_pair(&pair, often);
}

/* The two ends of a connection. */
static int near, far;

/*
 * Sends a byte back. The packet of this byte also acknowledges the bytes that TCP received. So TCP
 * sends no separate acknowledgement, and does not delay the acknowledgement.
 */
static void respond(void)
{
	char byte = 0;

	if (send(far, &byte, 1, 0) != 1 || recv(near, &byte, 1, 0) != 1)
		die("response");
}

/* ROUNDS TIMES SIZE ADDRESS NETNS: measures SIZE bytes over a connection, and a byte back. */
void measure_tcp(char **arguments)
{
	struct repetition often = repetition(arguments);
	struct pair pair = { .sent_size = number("SIZE", arguments[2], 1, 1 << 20), .after = respond };
	struct sockaddr_in address;
	int listener = open_far(SOCK_STREAM, arguments + 3, &address);

	near = open_socket(SOCK_STREAM);
	if (listen(listener, 1) || connect(near, (struct sockaddr *)&address, sizeof(address)))
		die("connect");
	far = accept(listener, NULL, NULL);
	if (far < 0)
		die("accept");
	set(near, IPPROTO_TCP, TCP_NODELAY, 1);
	set(far, IPPROTO_TCP, TCP_NODELAY, 1);
	pair.from = near;
	pair.to = far;
	measure_pair(&pair, often);
}
